"""What a gate rule says and what leaves the gate."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""From grave to slight."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A safe repair of one line: `old` becomes `new`, once. `comment` goes to a line of its own above."""

    line: int
    old: str
    new: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing a rule saw. The engine adds rule, name, severity and file. `severity` overrules the rule's own."""

    line: int
    message: str
    key: str | None = None
    column: int | None = None
    fix: str | None = None
    edit: Fix | None = None
    severity: Severity | None = None
    related: int | None = None
    """Line of the other half of a contradiction."""


@dataclass(frozen=True, slots=True)
class GateFinding:
    """One finding as it leaves the gate. Line 0: the whole file."""

    rule: str
    name: str
    severity: Severity
    file: str
    line: int
    message: str
    column: int | None = None
    key: str | None = None
    fix: str | None = None
    url: str = ""
    edit: Fix | None = None
    related: int | None = None
    suppressed: str | None = None
    """The reason of the inline suppression that covers it; such findings are counted, not reported."""

    def to_json(self) -> dict[str, Any]:
        """The contract's keys; unknown ones are left out."""
        optional = {"column": self.column, "key": self.key, "fix": self.fix}
        return {
            "rule": self.rule,
            "name": self.name,
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            **{k: v for k, v in optional.items() if v is not None},
            "message": self.message,
            "url": self.url,
        }
