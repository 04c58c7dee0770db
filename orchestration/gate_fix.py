"""Safe repairs: renames, moved comments, dropped quotes. One edit a line and pass; only text that is still what the rule saw is touched."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from spark_copilot.rules_engine.gate.finding import Fix, GateFinding


def repaired(findings: Iterable[GateFinding], texts: Mapping[str, str]) -> dict[str, str]:
    """The new text of every file that changes."""
    edits: dict[str, dict[int, list[Fix]]] = defaultdict(lambda: defaultdict(list))
    for finding in findings:
        if finding.edit is not None and finding.file in texts:
            edits[finding.file][finding.edit.line].append(finding.edit)
    changed = {}
    for file, by_line in edits.items():
        lines = texts[file].split("\n")
        for number in sorted(by_line, reverse=True):
            _apply(lines, number - 1, by_line[number])
        text = "\n".join(lines)
        if text != texts[file]:
            changed[file] = text
    return changed


def _apply(lines: list[str], at: int, edits: list[Fix]) -> None:
    if not 0 <= at < len(lines):
        return
    for edit in dict.fromkeys(edits):
        if lines[at].count(edit.old) != 1:
            continue  # gone, or not to be told apart
        lines[at] = lines[at].replace(edit.old, edit.new).rstrip() if edit.comment else lines[at].replace(edit.old, edit.new)
        if edit.comment:
            lines.insert(at, edit.comment)
            at += 1


def diff(changed: Mapping[str, str], texts: Mapping[str, str]) -> str:
    """The repairs as a unified diff."""
    parts = []
    for file, text in sorted(changed.items()):
        old, new = texts[file].splitlines(keepends=True), text.splitlines(keepends=True)
        parts += list(difflib.unified_diff(old, new, f"a/{file.lstrip('/')}", f"b/{file.lstrip('/')}"))
    return "".join(parts)
