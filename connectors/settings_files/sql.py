"""SQL scripts: SET statements of Spark; strings, comments and other statements are left alone."""

import re
from bisect import bisect_left
from collections.abc import Iterator

from spark_copilot.connectors.settings_files.base import Collector, Reader, is_templated
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_TOKEN = re.compile(
    r"(?P<skip>--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^'\\]|\\.|'')*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)|`[^`]*(?:`|\Z)|\{\{.*?\}\}|\{%.*?%\})|(?P<end>;)",
    re.DOTALL,
)
_SET = re.compile(r"set\s+(?P<key>`[^`]+`|[A-Za-z][\w.\-:]*?)\s*=\s*(?P<value>.*?)\s*\Z", re.IGNORECASE | re.DOTALL)
_HIVE_VARIABLES = ("hivevar:", "hiveconf:", "system:", "env:", "var:")
_LARGEST = 8 << 20
_MAGIC = re.compile(r"\bset\s+`?[A-Za-z]", re.IGNORECASE)


def matches(path: str, text: str) -> bool:
    """By extension, and a SET in it."""
    return path.endswith((".sql", ".hql", ".sparksql", ".ddl")) and _MAGIC.search(text) is not None


def statements(text: str) -> Iterator[tuple[int, int, str]]:
    """(line, column, text) of every statement, its comments blanked and its leading blanks dropped."""
    start = 0
    holes: list[tuple[int, int]] = []
    breaks = [m.start() for m in re.finditer("\n", text)]
    for match in _TOKEN.finditer(text):
        if match["skip"] is not None:
            if match["skip"].startswith(("--", "/*", "{%")):
                holes.append(match.span())
        elif match["end"] is not None:
            yield from _statement(text, start, match.start(), holes, breaks)
            start, holes = match.end(), []
    yield from _statement(text, start, len(text), holes, breaks)


def _statement(text: str, start: int, end: int, holes: list[tuple[int, int]], breaks: list[int]) -> Iterator[tuple[int, int, str]]:
    piece = text[start:end]
    for a, b in reversed(holes):
        hole = text[a:b]
        piece = piece[: a - start] + re.sub(r"[^\n]", " ", hole) + piece[b - start :]
    stripped = piece.lstrip()
    if not stripped:
        return
    begin = start + len(piece) - len(stripped)
    row = bisect_left(breaks, begin)
    yield row + 1, begin - (breaks[row - 1] if row else -1), stripped


def read(file: str, text: str) -> SettingsFile:
    """Every SET of a Spark or Hadoop key."""
    out = Collector(file, "sql")
    collect(out, text[:_LARGEST])
    if len(text) > _LARGEST:
        out.mark("unreadable", text.count("\n", 0, _LARGEST) + 1, "what comes after the first 8 MiB is not read", severity="info")
    return out.done()


def collect(out: Collector, text: str, *, first_line: int = 1, column: int | None = None, scope: str = "") -> None:
    """Add the SET statements of one SQL text that starts at `first_line`."""
    if not _MAGIC.search(text):
        return
    for line, at, statement in statements(text):
        if statement[:3].lower() != "set":
            continue
        match = _SET.match(statement)
        if match is None:
            continue
        key = match["key"].strip("`")
        if key.lower().startswith(_HIVE_VARIABLES) or is_templated(key) or "." not in key:
            continue
        value = match["value"].strip()
        known = "${" not in value and "{{" not in value and not value.startswith((":", "?"))
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        out.set(key, value if known else None, first_line + line - 1, Place.RUNTIME, column=column or at, scope=scope, origin="SET")


READER = Reader("sql", matches, read)
