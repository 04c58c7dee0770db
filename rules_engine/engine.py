"""Run rules over a run. Found, looked and saw nothing, could not look, broke: four answers, kept apart."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from spark_copilot.rules_engine.errors import MissingFact
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Failed, NotComputable, Observation
from spark_copilot.rules_engine.limits import Limits
from spark_copilot.rules_engine.rule import AnyRule

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a set of rules said. `ran`: codes that looked to the end, found or not."""

    observed: tuple[Observation, ...] = ()
    ran: tuple[str, ...] = ()
    not_computable: tuple[NotComputable, ...] = ()
    failed: tuple[Failed, ...] = ()


def evaluate(run: AppRun, rules: Iterable[AnyRule], limits: Limits) -> Outcome:
    """Every rule once. One that breaks costs its own findings, visibly; one that misses a fact says which."""
    observed: list[Observation] = []
    ran: list[str] = []
    skipped: list[NotComputable] = []
    failed: list[Failed] = []
    for rule in rules:
        try:
            seen = list(rule.check(run, limits.of(rule.limits)))  # list first: a rule that breaks half-way leaves nothing
        except MissingFact as error:
            skipped.append(NotComputable(code=rule.code, reason=str(error)))
        except Exception as error:
            log.exception("rule %s failed on %s", rule.code, run.app.id)
            failed.append(Failed(code=rule.code, error=repr(error)))
        else:
            observed += seen
            ran.append(rule.code)
    return Outcome(tuple(observed), tuple(ran), tuple(skipped), tuple(failed))
