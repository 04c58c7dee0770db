"""What every answer about a run is made of: the question with what it may draw on, the answer, and how a finding is put into words."""

from collections.abc import Callable
from dataclasses import dataclass

from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change, Finding, Report, Saving
from spark_copilot.rules_engine.units import show_money, show_ms

WhatIf = Callable[[int], str | None]
"""Executors -> one sentence from the simulator, None when it cannot reason about that."""

WhatIfSet = Callable[[str, str], str | None]
"""A setting and another value for it -> one sentence from the simulator, None when it cannot reason about that."""


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """Text about one run. `findings` are the keys it speaks of, `cards` ids worth reading on, `intent` the route taken.

    `stages` and `sql` are what it lists, in the order said, for questions that follow.
    """

    intent: str
    text: str
    findings: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    sql: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a run, its report, and the replay where there is one."""

    question: str
    report: Report
    run: AppRun | None
    what_if: WhatIf | None = None
    what_if_set: WhatIfSet | None = None

    @property
    def text(self) -> str:
        """The question in lower case."""
        return self.question.lower()


Route = Callable[[Asked], RunAnswer | None]


def place(finding: Finding) -> str:
    """Where a finding is, in two words."""
    where = finding.where
    if where.stage_id is not None:
        return f"stage {where.stage_id}"
    if where.sql_id is not None:
        return f"SQL {where.sql_id}"
    if where.executor_id is not None:
        return f"executor {where.executor_id}"
    return where.table or where.setting or "the application"


def show_saving(saving: Saving | None) -> str:
    """What mending it brings, in words; empty when nothing can be won."""
    if saving is None or saving.wall_ms.mid <= 0:
        return ""
    wall = saving.wall_ms
    text = f"worth {show_ms(wall.mid)} of wall clock (between {show_ms(wall.low)} and {show_ms(wall.high)})"
    if saving.cost is not None and saving.cost.mid > 0:
        text += f" and {show_money(saving.cost.mid, saving.cost.currency)}"
    return text


def describe(finding: Finding, *, changes: int = 1) -> list[str]:
    """A finding in lines: what, where, how bad and how sure; why; what to change."""
    saving = show_saving(finding.saving)
    first = f"{finding.title} ({place(finding)}, {finding.severity.value}, confidence {finding.confidence.value})" + (
        f": {saving}." if saving else "."
    )
    lines = [first, finding.because.rstrip(".") + "."] if finding.because else [first]
    return [*lines, *(f"Change: {change_line(change)}" for change in finding.changes[:changes])]


def change_line(change: Change) -> str:
    """A change with the key, its value now and the value proposed."""
    if change.kind == "conf" and change.to is not None:
        before = f" (now {change.from_})" if change.from_ is not None else " (now not set)"
        return f"`{change.key}` = {change.to}{before}. {change.text.rstrip('.')}."
    if change.kind == "conf" and change.key not in change.text:
        before = f" (now {from_log(change.from_, 80)})" if change.from_ is not None else ""
        return f"`{change.key}`{before}: {change.text.rstrip('.')}."
    return f"{change.text.rstrip('.')}."


def said(
    intent: str, lines: list[str], findings: tuple[Finding, ...] = (), *, stages: tuple[str, ...] = (), sql: tuple[int, ...] = ()
) -> RunAnswer:
    """An answer of these lines that rests on these findings."""
    cards = tuple(dict.fromkeys(card for finding in findings for card in finding.sources))
    return RunAnswer(intent, "\n".join(lines), tuple(f.key for f in findings), cards, stages, sql)
