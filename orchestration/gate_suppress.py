"""Suppressions inside files: `spark-copilot: ignore[SG505] reason until=2026-12-31`, in whatever comment the format has."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date

from spark_copilot.rules_engine.gate.finding import GateFinding

_COMMENT = re.compile(r"(?:#|--|//|/\*|<!--)\s*spark-copilot:\s*(?P<kind>ignore|ignore-file)\[(?P<codes>[^\]]*)\]\s*(?P<rest>[^\n]*)")
_UNTIL = re.compile(r"\buntil[=:\s]\s*(\d{4}-\d{2}-\d{2})")


@dataclass(slots=True)
class Suppression:
    """One comment. `lines` is what it covers, empty for the whole file; `used` are the codes that met a finding."""

    line: int
    codes: tuple[str, ...]
    reason: str
    until: date | None
    lines: frozenset[int]
    used: set[str] = field(default_factory=set)

    def covers(self, finding: GateFinding, today: date) -> bool:
        """Whether it silences this finding on this day."""
        if self.until is not None and today > self.until:
            return False
        if self.lines and finding.line not in self.lines:
            return False
        return any(selects(code, finding.rule, finding.name) for code in self.codes)


def selects(pattern: str, code: str, name: str) -> bool:
    """Whether a code, the start of one, a name or ALL means this rule."""
    wanted = pattern.strip()
    return wanted.upper() == "ALL" or (wanted != "" and code.startswith(wanted.upper())) or wanted.lower() == name


def suppressions(text: str) -> list[Suppression]:
    """Every suppression of a file; a comment on a line of its own covers the next line that is none."""
    if "spark-copilot:" not in text:
        return []
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines, 1):
        match = _COMMENT.search(line)
        if match is None:
            continue
        rest = match["rest"].replace("*/", "").replace("-->", "").strip()
        until = _UNTIL.search(rest)
        covered = frozenset[int]()
        if match["kind"] == "ignore":
            following = number
            if line[: match.start()].strip() == "":
                while following < len(lines) and (
                    following == number or _COMMENT.search(lines[following - 1]) or not lines[following - 1].strip()
                ):
                    following += 1
            covered = frozenset({number, following})
        found.append(
            Suppression(
                number, tuple(c for c in match["codes"].split(",") if c.strip()), _UNTIL.sub("", rest).strip(" ,;"), _date(until), covered
            )
        )
    return found


def _date(match: re.Match[str] | None) -> date | None:
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def apply(findings: Iterable[GateFinding], comments: list[Suppression], today: date) -> list[GateFinding]:
    """The findings, those that a comment covers with its reason in `suppressed`."""
    out = []
    for finding in findings:
        comment = next((c for c in comments if c.covers(finding, today)), None)
        if comment is not None:
            comment.used.add(finding.rule)
            finding = replace(finding, suppressed=comment.reason or "no reason given")
        out.append(finding)
    return out
