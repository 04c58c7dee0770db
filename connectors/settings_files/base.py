"""What a reader of one settings format is, and the text it gets."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from spark_copilot.rules_engine.gate.setting import Mark, Place, Setting, SettingsFile

UNKNOWN = ""
"""Stands for a value that the file does not hold; it never reaches a rule, since such settings are not `known`."""

_TEMPLATE = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\$\{[^}]*\}|\$\([^)]*\)|<%.*?%>|__[A-Z][A-Z0-9_]*__|\{[A-Za-z_][\w.\[\]]*\}|%\(\w+\)s|@@?[A-Z][A-Z0-9_.]*@@?"
)


@dataclass(frozen=True, slots=True)
class Reader:
    """One settings format. `matches` sees the path with forward slashes and the text; `read` never raises on bad input."""

    kind: str
    matches: Callable[[str, str], bool]
    read: Callable[[str, str], SettingsFile]


class Broken(Exception):
    """A file of this kind that does not parse; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def is_templated(text: str) -> bool:
    """Whether a value is filled in later, in whole or in part."""
    return _TEMPLATE.search(text) is not None


_PROSE = re.compile(r"[A-Za-z][\w,.'()/-]*(?: [\w,.'()/-]+)+\Z")


def is_prose(text: str) -> bool:
    """Whether a value reads like a description of its key, where it is not known that the map reaches Spark at all."""
    return _PROSE.match(text) is not None


class Collector:
    """Gathers the settings and marks of one file."""

    def __init__(self, file: str, kind: str) -> None:
        self.file, self.kind = file, kind
        self.settings: list[Setting] = []
        self.marks: list[Mark] = []

    def set(
        self, key: str, value: str | None, line: int, place: Place, *, column: int | None = None, scope: str = "", origin: str = "", kind: str = "string", raw: str = "",
    ) -> None:  # fmt: skip
        """One assignment; a `value` of None is not known."""
        if not key or is_templated(key):
            return
        known = value is not None and not is_templated(value)
        text = value if known and value is not None else UNKNOWN
        self.settings.append(Setting(key, text, self.file, line, column, place, known, scope, origin, kind, raw))

    def mark(self, what: str, line: int, text: str = "", *, scope: str = "", column: int | None = None, **data: str) -> None:
        """One mark."""
        self.marks.append(Mark(what, line, text, scope, column, data))

    def done(self) -> SettingsFile:
        """The file as read."""
        return SettingsFile(self.file, self.kind, tuple(self.settings), tuple(self.marks))

    def broken(self, error: Broken) -> SettingsFile:
        """The file as one that does not parse; what was read before the break is dropped."""
        return replace(SettingsFile(self.file, self.kind), error=str(error), error_line=error.line)
