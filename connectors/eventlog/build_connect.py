"""Spark Connect events -> `ConnectOperation` and `ConnectSession`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spark_copilot.connectors.eventlog import events_connect as ev
from spark_copilot.connectors.eventlog.build_tasks import sane_ms
from spark_copilot.rules_engine.facts import MISSING, ConnectOperation, ConnectSession

MAX_OPERATIONS = 20_000
"""A server runs for weeks: operations beyond this many are counted, and so are sessions."""
MAX_ROWS = 1 << 62
MAX_SHOWN = 2_000
"""Characters of a statement or a failure that are kept. A statement is a plan in words, often of many pages."""
_MAX_MASKED = 64 << 10
"""Characters that are looked at for secrets before the cut: one that begins before the cut ends long before this."""
_ENDS = ("finished", "failed", "cancelled")


@dataclass(slots=True)
class Operation:
    """One operation while its events arrive."""

    id: str
    tag: str
    session: str = ""
    user: str = ""
    statement: str = ""
    state: str = "started"
    started: int = MISSING
    analysed: int = MISSING
    ready: int = MISSING
    ended: int = MISSING
    closed: int = MISSING
    error: str | None = None
    rows: int = MISSING


class Connect:
    """Operations and sessions of a Spark Connect server, in the order they began."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.mask = mask
        self.operations: dict[str, Operation] = {}
        self.sessions: dict[str, ConnectSession] = {}
        self.left_out = 0

    def started(self, event: ev.OperationStarted) -> None:
        """SparkListenerConnectOperationStarted."""
        one = self._operation(event.tag or event.operation, event.operation)
        if one is None:
            self.left_out += 1
            return
        one.session, one.user, one.started = self._word(event.session), self._word(event.user), sane_ms(event.time)
        one.statement = self._shown(event.statement)

    def step(self, event: ev.OperationStep, state: str) -> None:
        """The other events of an operation."""
        one = self._operation(event.tag or event.operation, event.operation)
        if one is None:
            return
        time = max(sane_ms(event.time), one.started)
        if state == "analysed":
            one.analysed = time
        elif state == "ready":
            one.ready = time
        elif state == "closed":
            one.closed = time
        elif one.ended == MISSING:
            one.ended = time
        # Closing follows every end and says nothing of it; an operation that was cancelled may still fail of that.
        if state != "closed" and one.state not in _ENDS:
            one.state = state
        if event.error is not None:
            one.error = self._shown(event.error)
        if event.rows is not None:
            one.rows = min(max(event.rows, 0), MAX_ROWS)

    def session_started(self, event: ev.SessionChange) -> None:
        """SparkListenerConnectSessionStarted."""
        key = event.session[:MAX_SHOWN]
        if key in self.sessions or len(self.sessions) < MAX_OPERATIONS:
            self.sessions[key] = ConnectSession(self._word(event.session), self._word(event.user), sane_ms(event.time), MISSING)

    def session_closed(self, event: ev.SessionChange) -> None:
        """SparkListenerConnectSessionClosed."""
        key = event.session[:MAX_SHOWN]
        if key not in self.sessions:
            self.session_started(ev.SessionChange(event.session, event.user))
        known = self.sessions.get(key)
        if known is not None:
            closed = max(sane_ms(event.time), known.started_ms)
            self.sessions[key] = ConnectSession(known.session_id, known.user, known.started_ms, closed)

    def _operation(self, key: str, operation: str) -> Operation | None:
        key = key[:MAX_SHOWN]
        known = self.operations.get(key)
        if known is None and len(self.operations) < MAX_OPERATIONS:
            known = self.operations[key] = Operation(self._word(operation), self._word(key))
        return known

    def _word(self, text: str) -> str:
        return self.mask(text[:_MAX_MASKED])[:MAX_SHOWN]

    def _shown(self, text: str) -> str:
        masked = self.mask(text[:_MAX_MASKED])
        return masked if len(masked) <= MAX_SHOWN else masked[: MAX_SHOWN - 1] + "…"

    def table(
        self, jobs: Iterable[tuple[int, tuple[str, ...]]], executions: Iterable[tuple[int, tuple[str, ...], list[int]]]
    ) -> tuple[ConnectOperation, ...]:
        """The operations, with the jobs and SQL executions that bear their tag.

        Args:
            jobs: id and tags of each.
            executions: id, tags and jobs of each.
        """
        if not self.operations:
            return ()
        keys = {one.tag: key for key, one in self.operations.items()}
        job_ids: dict[str, list[int]] = {}
        sql_ids: dict[str, dict[int, None]] = {}
        operation_of: dict[int, str] = {}
        for job, tags in jobs:
            for tag in tags:
                if tag in keys:
                    job_ids.setdefault(tag, []).append(job)
                    operation_of[job] = tag
        for execution, tags, mine in executions:
            for tag in {*(tag for tag in tags if tag in keys), *(operation_of[job] for job in mine if job in operation_of)}:
                sql_ids.setdefault(tag, {})[execution] = None
        return tuple(
            ConnectOperation(
                operation_id=one.id,
                session_id=one.session,
                user=one.user,
                statement=one.statement,
                state=one.state,
                started_ms=one.started,
                analysed_ms=one.analysed,
                ready_ms=one.ready,
                ended_ms=one.ended,
                closed_ms=one.closed,
                error=one.error,
                rows=one.rows,
                job_ids=tuple(job_ids.get(one.tag, ())),
                sql_ids=tuple(sql_ids.get(one.tag, ())),
            )
            for one in self.operations.values()
        )
