"""The plan in words: what to do first, what the run should take and cost after each step, and where to stop."""

from typing import NamedTuple

from spark_copilot.rules_engine.findings import Report
from spark_copilot.rules_engine.units import show_money, show_ms

WORTH_RATIO = 0.03
"""A step that saves less of the wall clock is not worth a change for its own sake."""


class Step(NamedTuple):
    """One step, with the run as it should be once it and those before it are done. `cost` is None without prices."""

    text: str
    wall_ms: float
    cost: str | None
    worth: bool

    @property
    def after(self) -> str:
        """The expected run, in words."""
        return f"then about {show_ms(self.wall_ms)}" + (f" and {self.cost}" if self.cost else "")


def steps(report: Report) -> list[Step]:
    """The plan's steps that save time, in order. Savings of a plan are replayed together, so they add up."""
    wall = float(report.application.duration_ms)
    cost = report.cost.total if report.cost is not None else None
    made = []
    for item in report.plan:
        if item.saving is None:
            continue
        wall = max(wall - item.saving.wall_ms.mid, 0.0)
        money = None
        if cost is not None and report.cost is not None and item.saving.cost is not None:
            cost = max(cost - item.saving.cost.mid, 0.0)
            money = show_money(cost, report.cost.currency)
        worth = item.saving.wall_ms.mid >= WORTH_RATIO * report.application.duration_ms or money is not None
        made.append(Step(item.text, wall, money, worth))
    return made


def stop_after(made: list[Step]) -> str | None:
    """Where to stop: the first step from which on nothing is worth a change; None when all are, or none is there."""
    worth = [i for i, step in enumerate(made) if step.worth]
    if not made or not worth or worth[-1] == len(made) - 1:
        return None
    return f"stop after step {worth[-1] + 1}: the rest brings under {100 * WORTH_RATIO:.0f} % each"
