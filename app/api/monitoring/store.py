"""A directory of event logs as a History Server sees it: what is in it now, and the runs that were asked for last."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.app.api.monitoring.values import Json, moment
from spark_copilot.connectors.eventlog import ReadLimits, headlines, read_runs
from spark_copilot.connectors.run_tables import RunCache
from spark_copilot.rules_engine.errors import CopilotError, NotFound
from spark_copilot.rules_engine.facts import MISSING, Application, AppRun

MAX_KEPT_TASKS = 2_000_000
"""Tasks of all runs held in memory together; the runs asked for longest ago go first."""
RESCAN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One application attempt and the log that holds it."""

    app: Application
    log: Path
    stamp: tuple[int, int]
    """Bytes and last change (ns) of the log when it was read."""
    download: Path | None = None
    """What is handed out as the log, when it is another file than `log`."""
    number: int = 0
    """Applications before it in the log."""


class Store(Protocol):
    """Where the monitoring routes find applications."""

    def attempts(self) -> dict[str, list[Attempt]]:
        """Attempts by application id, the newest first, in the order of the listing: the application that ended last first."""
        ...

    def attempt(self, app_id: str, attempt_id: str | None) -> Attempt:
        """The attempt; without an attempt id the application's newest.

        Raises:
            NotFound: no such application or attempt.
        """
        ...

    def totals(self, app_id: str, attempt_id: str | None) -> Totals:
        """The run of an attempt.

        Raises:
            NotFound: no such application.
            CopilotError: it cannot be read.
        """
        ...


class KeptRuns:
    """The runs asked for last, in memory. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Hashable, tuple[tuple[int, int], Totals]] = OrderedDict()

    def get(self, key: Hashable, stamp: tuple[int, int]) -> Totals | None:
        """The run, if it is still the one with this stamp."""
        known = self._runs.get(key)
        if known is None or known[0] != stamp:
            return None
        self._runs.move_to_end(key)
        return known[1]

    def put(self, key: Hashable, stamp: tuple[int, int], totals: Totals) -> None:
        """Keep a run; those asked for longest ago make room."""
        self._runs[key] = (stamp, totals)
        self._runs.move_to_end(key)
        while len(self._runs) > 1 and sum(len(t.run.tasks) for _, t in self._runs.values()) > MAX_KEPT_TASKS:
            self._runs.popitem(last=False)


def listed(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Attempts as `Store.attempts` answers; of two with the same names the one that changed last."""
    found: dict[str, dict[str | None, Attempt]] = {}
    for attempt in attempts:
        same = found.setdefault(attempt.app.id, {})
        known = same.get(attempt.app.attempt)
        if known is None or known.stamp[1] <= attempt.stamp[1]:
            same[attempt.app.attempt] = attempt
    by_id = {app: sorted(every.values(), key=lambda a: a.app.started_ms, reverse=True) for app, every in found.items()}
    return dict(sorted(by_id.items(), key=lambda item: item[1][0].app.ended_ms, reverse=True))


def pick(attempts: dict[str, list[Attempt]], app_id: str, attempt_id: str | None) -> Attempt:
    """One of them.

    Raises:
        NotFound: no such application or attempt.
    """
    found = next((a for a in attempts.get(app_id, []) if attempt_id is None or a.app.attempt == attempt_id), None)
    if found is None:
        raise NotFound(f"no such app: {app_id}" + (f"/{attempt_id}" if attempt_id else ""))
    return found


class HistoryStore:
    """Lists and reads the logs of one directory. New and grown logs appear by themselves; a broken one spoils nothing. Safe for threads."""

    def __init__(self, log_dir: Path, *, limits: ReadLimits | None = None, cache: RunCache | None = None) -> None:
        self.log_dir, self.limits, self.cache = log_dir, limits or ReadLimits(), cache
        self._logs: dict[Path, tuple[tuple[int, int], list[Attempt]]] = {}
        self._kept = KeptRuns()
        self._scanned = 0.0
        self._lock = threading.RLock()

    def attempts(self) -> dict[str, list[Attempt]]:
        """Attempts by application id, the newest first, in the order of the listing: the application that ended last first."""
        with self._lock:
            self._scan()
            return listed(attempt for _, attempts in self._logs.values() for attempt in attempts)

    def attempt(self, app_id: str, attempt_id: str | None) -> Attempt:
        """The attempt; without an attempt id the application's newest.

        Raises:
            NotFound: no log of that application or attempt.
        """
        return pick(self.attempts(), app_id, attempt_id)

    def totals(self, app_id: str, attempt_id: str | None) -> Totals:
        """The run of an attempt, read when it is asked for first or has grown since.

        Raises:
            NotFound: no such application.
            CopilotError: its log cannot be read.
        """
        attempt = self.attempt(app_id, attempt_id)
        key = (attempt.app.id, attempt.app.attempt)
        with self._lock:
            if (known := self._kept.get(key, attempt.stamp)) is not None:
                return known
            run = None
            for number, one in enumerate(self._read(attempt.log)):
                if (one.app.id, one.app.attempt) == key:
                    run = one
                    break
                if number == attempt.number:  # a log without an application start gives its id only when it is read whole
                    run = one
            if run is None:
                raise NotFound(f"no such app: {app_id}")
            totals = Totals(run)
            self._kept.put(key, attempt.stamp, totals)
            return totals

    def _read(self, log: Path) -> Iterator[AppRun]:
        if self.cache is not None:
            return self.cache.runs(log, limits=self.limits, detail=True)
        return read_runs(log, limits=self.limits, detail=True)

    def _scan(self) -> None:
        if time.monotonic() - self._scanned < RESCAN_SECONDS:
            return
        seen: set[Path] = set()
        for log in _logs_in(self.log_dir):
            seen.add(log)
            try:
                stamp = _stamp(log)
                known = self._logs.get(log)
                if known is None or known[0] != stamp:
                    self._logs[log] = (
                        stamp,
                        [Attempt(app, log, stamp, number=n) for n, app in enumerate(headlines(log, limits=self.limits))],
                    )
            except (OSError, CopilotError):
                self._logs.pop(log, None)
        for gone in set(self._logs) - seen:
            del self._logs[gone]
        self._scanned = time.monotonic()


def _logs_in(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(child for child in folder.iterdir() if not child.name.startswith((".", "_")))
    except OSError:
        return


def _stamp(log: Path) -> tuple[int, int]:
    files = [log] if log.is_file() else [file for file in log.iterdir() if file.is_file()]
    stats = [file.stat() for file in files]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


def _in_progress(log: Path) -> bool:
    """Whether the name says that the log is still written: the History Server then looks for no end, even where there is one."""
    if log.is_dir():
        return any(log.glob("appstatus_*.inprogress"))
    return log.name.endswith(".inprogress")


def application_json(attempts: list[Attempt]) -> Json:
    """ApplicationInfo of one application's attempts."""
    return {"id": attempts[0].app.id, "name": attempts[0].app.name, "attempts": [attempt_json(a) for a in attempts]}


def attempt_json(attempt: Attempt) -> Json:
    """ApplicationAttemptInfo; an attempt without an end has -1 there and no duration."""
    app = attempt.app
    ended = MISSING if _in_progress(attempt.log) else app.ended_ms
    complete = ended != MISSING
    updated = attempt.stamp[1] // 1_000_000
    out: Json = {} if app.attempt is None else {"attemptId": app.attempt}
    out |= {
        "startTime": moment(app.started_ms),
        "endTime": moment(ended),
        "lastUpdated": moment(updated),
        "duration": ended - app.started_ms if complete else 0,
        "sparkUser": app.user,
        "completed": complete,
        "appSparkVersion": app.spark_version,
    }
    if app.exit_code is not None:
        out["exitCode"] = app.exit_code
    out |= {
        "logSourceName": attempt.log.parent.as_uri(),
        "logSourceFullPath": attempt.log.parent.as_uri(),
        "startTimeEpoch": app.started_ms,
        "endTimeEpoch": ended,
        "lastUpdatedEpoch": updated,
    }
    return out
