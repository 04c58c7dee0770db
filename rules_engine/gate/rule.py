"""A gate rule: a small generator over a view of one application's settings. Its docstring is its page."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spark_copilot.rules_engine.gate.finding import Hit, Severity
from spark_copilot.rules_engine.gate.view import View

Check = Callable[[View], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class GateRule:
    """One entry of the gate's list. `on`: whether it runs when nothing is selected."""

    code: str
    name: str
    severity: Severity
    on: bool
    check: Check

    @property
    def summary(self) -> str:
        """The first line of the page."""
        return (inspect.getdoc(self.check) or "").split("\n", 1)[0]

    @property
    def page(self) -> str:
        """What, why, example, fix, when not; in plain text."""
        state = "on" if self.on else "off; --select switches it on"
        return f"{self.code} {self.name} ({self.severity}, {state})\n\n{inspect.getdoc(self.check) or ''}\n"


def gate_rule(code: str, name: str, severity: Severity, *, on: bool = True) -> Callable[[Check], GateRule]:
    """Name a generator as a gate rule."""

    def wrap(check: Check) -> GateRule:
        return GateRule(code, name, severity, on, check)

    return wrap
