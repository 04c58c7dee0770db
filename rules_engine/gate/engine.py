"""Run the gate's rules over one view. A rule that breaks costs its own findings, visibly."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spark_copilot.rules_engine.gate.finding import GateFinding, Hit
from spark_copilot.rules_engine.gate.rule import GateRule
from spark_copilot.rules_engine.gate.view import View

log = logging.getLogger(__name__)
URL = "docs/gate-rules.md#{code}"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules said of one view; `failed` names rules that broke, with the error."""

    findings: tuple[GateFinding, ...]
    failed: tuple[tuple[str, str], ...] = ()


def finding_of(rule: GateRule, file: str, hit: Hit) -> GateFinding:
    """The hit as it leaves the gate."""
    return GateFinding(
        rule=rule.code,
        name=rule.name,
        severity=hit.severity or rule.severity,
        file=file,
        line=hit.line,
        message=hit.message,
        column=hit.column,
        key=hit.key,
        fix=hit.fix,
        url=URL.format(code=rule.code.lower()),
        edit=hit.edit,
        related=hit.related,
    )


def judge(view: View, rules: Iterable[GateRule], *, file: str | None = None) -> Judged:
    """Every rule once over one view."""
    found: list[GateFinding] = []
    failed: list[tuple[str, str]] = []
    for rule in rules:
        try:
            hits: Sequence[Hit] = list(rule.check(view))
        except Exception as error:
            log.exception("gate rule %s failed on %s", rule.code, view.file)
            failed.append((rule.code, repr(error)))
            continue
        found += [finding_of(rule, file or view.file, hit) for hit in hits]
    return Judged(tuple(found), tuple(failed))
