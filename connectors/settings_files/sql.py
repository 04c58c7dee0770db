"""SQL text: SET statements of Spark; strings, comments and other statements are left alone."""

import re
from collections.abc import Iterator

from spark_copilot.connectors.settings_files.base import Collector, is_templated
from spark_copilot.rules_engine.gate.setting import Place

_QUOTED = r"'(?:[^'\\]++|\\.)*+(?:'|\Z)|\"(?:[^\"\\]++|\\.)*+(?:\"|\Z)"
_BRACES = r"\{(?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+\}"
_JINJA = rf"\{{\{{(?:{_QUOTED}|{_BRACES}|(?!\}}\}}).)*+(?:\}}\}}|\Z)"
_HOLE = rf"--[^\n]*+|/\*.*?(?:\*/|\Z)|\{{%.*?(?:%\}}|\Z)|\{{#.*?(?:#\}}|\Z)|(?=\{{\{{[\-+]?\s*+config\s*+\(){_JINJA}"
"""What stands in a script and is no SQL: comments, statements of a template, and the settings of a dbt model."""
_TEXT = rf"{_QUOTED}|`[^`]*+(?:`|\Z)|{_JINJA}"
_BLANK = re.compile(rf"(?:\s++|{_HOLE})*+", re.DOTALL)
_HOLES = re.compile(rf"(?P<hole>{_HOLE})|{_TEXT}", re.DOTALL)
_BODY = re.compile(rf"(?:[^;'\"`{{/\-]++|{_HOLE}|{_TEXT}|[^;])*+", re.DOTALL)
"""What a statement is made of, up to its semicolon. Nothing in these patterns is tried twice: the time is linear in the text, whatever it holds."""
_SET = re.compile(r"set\s+(?P<key>`[^`]+`|[A-Za-z][\w.\-:]*?)\s*=(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_HIVE_VARIABLES = ("hivevar:", "hiveconf:", "system:", "env:", "var:")
_LONGEST_SET = 64 << 10
SET_HINT = re.compile(r"\bset\s+`?[A-Za-z]", re.IGNORECASE)


def statements(text: str) -> Iterator[tuple[int, int, str]]:
    """(line, column, text) of every SET statement, its comments blanked and its leading blanks dropped."""
    at, line, counted, row = 0, 1, 0, 0
    while at < len(text):
        begin = _end(_BLANK, text, at)
        end = _end(_BODY, text, begin)
        if text[begin : begin + 3].lower() == "set":
            line += text.count("\n", counted, begin)
            row = max(row, text.rfind("\n", counted, begin) + 1)
            counted = begin
            yield line, begin - row + 1, _without_comments(text[begin : min(end, begin + _LONGEST_SET)])
        at = end + 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match is not None else at


def _without_comments(statement: str) -> str:
    return _HOLES.sub(lambda m: re.sub(r"[^\n]", " ", m[0]) if m["hole"] else m[0], statement)


def collect(out: Collector, text: str, *, first_line: int = 1, column: int | None = None, scope: str = "") -> None:
    """Add the SET statements of one SQL text that starts at `first_line`."""
    if not SET_HINT.search(text):
        return
    for line, at, statement in statements(text):
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
