"""A rule: a pure generator with a name. The decorator only builds a value; `catalog.RULES` says what runs."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Observation

L = TypeVar("L")
Check = Callable[[AppRun, L], Iterator[Observation]]

PAGE_HEADINGS = ("Why it costs:", "What to do:", "Blind spot:")
"""Every rule's docstring has these paragraphs; it is the rule's page."""


@dataclass(frozen=True, slots=True)
class Rule(Generic[L]):
    """One entry of the catalog. `page` is the docstring of `check`; `limits` is the class of thresholds it takes."""

    code: str
    family: str
    title: str
    limits: type[L]
    check: Check[L]

    @property
    def page(self) -> str:
        """The rule's page in plain text, as `explain CODE` prints it."""
        return f"{self.code} ({self.family})\n{self.title}\n\n{inspect.getdoc(self.check) or ''}\n"

    def __call__(self, run: AppRun, limits: L) -> Iterator[Observation]:
        return self.check(run, limits)


AnyRule = Rule[Any]


def rule(code: str, *, family: str, limits: type[L], title: str) -> Callable[[Check[L]], Rule[L]]:
    """Name a generator as the rule of `code`."""

    def name(check: Check[L]) -> Rule[L]:
        return Rule(code=code, family=family, title=title, limits=limits, check=check)

    return name
