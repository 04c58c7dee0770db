"""What clients asked of a Spark Connect server, for the report."""

from collections import Counter
from typing import Any

from spark_copilot.rules_engine.facts import MISSING, AppRun, ConnectOperation

MAX_SHOWN = 20
STATEMENT_CHARS = 200


def connect_facts(run: AppRun) -> dict[str, Any] | None:
    """Counts of a Connect server's sessions and operations and the operations worth a look: those that did not end well, then the longest.

    None for a run without any.
    """
    if not run.operations:
        return None
    states = Counter(one.state for one in run.operations)
    ended = ("finished", "failed", "cancelled")
    shown = sorted(run.operations, key=lambda one: (one.state == "finished", -(_duration_ms(one) or 0), one.started_ms, one.operation_id))
    return {
        "sessions": len({one.session_id for one in run.operations} | {one.session_id for one in run.sessions}),
        "users": len({one.user for one in run.operations}),
        "operations": len(run.operations),
        **{state: states[state] for state in ended},
        "unfinished": sum(count for state, count in states.items() if state not in ended),
        "shown": [_told(one) for one in shown[:MAX_SHOWN]],
    }


def _told(one: ConnectOperation) -> dict[str, Any]:
    return {
        "operation": one.operation_id,
        "user": one.user,
        "state": one.state,
        "duration_ms": _duration_ms(one),
        "rows": None if one.rows == MISSING else one.rows,
        "job_ids": list(one.job_ids[:MAX_SHOWN]),
        "sql_ids": list(one.sql_ids[:MAX_SHOWN]),
        "error": one.error,
        "statement": one.statement[:STATEMENT_CHARS],
    }


def _duration_ms(one: ConnectOperation) -> int | None:
    return max(one.ended_ms - one.started_ms, 0) if one.ended_ms != MISSING and one.started_ms != MISSING else None
