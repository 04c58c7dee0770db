"""Spark Connect operations in words: one line of counts, and a line for each operation worth a look."""

from typing import Any

from spark_copilot.app.report.plain import shown
from spark_copilot.rules_engine.findings import Report
from spark_copilot.rules_engine.units import show_ms

MOST = 5
_ERROR_CHARS = 160


def connect_summary(report: Report) -> str | None:
    """How many operations of whom, and how they ended; None for a run that is no Spark Connect server."""
    facts = report.facts.get("connect")
    if not facts:
        return None
    told = [f"{facts[state]} {state}" for state in ("failed", "cancelled", "unfinished") if facts[state]]
    counts = (
        f"{_counted(facts['operations'], 'operation')} of {_counted(facts['users'], 'user')} in {_counted(facts['sessions'], 'session')}"
    )
    return f"Spark Connect: {counts}; {', '.join(told) or 'all finished'}"


def connect_lines(report: Report) -> list[str]:
    """The operations that did not end well, then the longest."""
    facts = report.facts.get("connect")
    return [_line(one) for one in facts["shown"][:MOST]] if facts else []


def _line(one: dict[str, Any]) -> str:
    took = "no end in the log" if one["duration_ms"] is None else show_ms(one["duration_ms"])
    parts = [f"{one['user'] or 'unknown user'}, {one['state']}, {took}"]
    for name, ids in (("SQL", one["sql_ids"]), ("job", one["job_ids"])):
        if ids:
            more = ", …" if len(ids) > MOST else ""
            parts.append(f"{name} {', '.join(map(str, ids[:MOST]))}{more}")
    line = f"{one['operation']}: {'; '.join(parts)}"
    if one["error"]:
        first = one["error"].strip().partition("\n")[0]
        line += f"; {first[:_ERROR_CHARS]}{'…' if len(first) > _ERROR_CHARS else ''}"
    return shown(line)


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
