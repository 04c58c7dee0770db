"""Runs by handle: which runs a session may speak of, and each of them analysed on demand. A handle is an id, never a path."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spark_copilot.connectors.eventlog import headlines, read_runs
from spark_copilot.orchestration.analyse import report_of
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.errors import CopilotError, NotFound
from spark_copilot.rules_engine.facts import MISSING, Application, AppRun
from spark_copilot.rules_engine.findings import Report, Value

MAX_KEPT_TASKS = 2_000_000
"""Tasks of all analysed runs held in memory together; those asked for longest ago go first."""


class KnownRun(Value):
    """A run that can be asked for. `ended_ms` is None while the log has no end."""

    run_id: str
    name: str
    spark_version: str
    started_ms: int
    ended_ms: int | None


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedRun:
    """A run with its report."""

    run_id: str
    run: AppRun
    report: Report


class RunSource(Protocol):
    """Where runs come from: logs, a directory of them, or a store."""

    def known(self) -> Sequence[KnownRun]:
        """The runs there are, the newest first."""
        ...

    def get(self, run_id: str) -> AnalysedRun:
        """The run of this handle, analysed.

        Raises:
            NotFound: no such run here.
            CopilotError: its log cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    log: Path
    app: Application
    stamp: tuple[int, int]


class LogRuns:
    """Runs of event logs and of directories of them, read when first asked for. New and grown logs appear by themselves. Safe for threads."""

    def __init__(self, paths: Iterable[Path], pricing: str | None = None) -> None:
        self._pricing = pricing
        self._paths = tuple(paths)
        self._heads: dict[Path, tuple[tuple[int, int], tuple[Application, ...]]] = {}
        self._kept: OrderedDict[str, tuple[tuple[int, int], AnalysedRun]] = OrderedDict()
        self._lock = threading.RLock()

    def known(self) -> Sequence[KnownRun]:
        """The runs there are, the newest first; logs that cannot be read are left out."""
        listed = [known_run(run_id, place.app) for run_id, place in self._places().items()]
        return sorted(listed, key=lambda run: (-run.started_ms, run.run_id))

    def get(self, run_id: str) -> AnalysedRun:
        """The run of this handle, analysed once and kept while there is room."""
        with self._lock:
            places = self._places()
            place = places.get(run_id)
            if place is None:
                raise NotFound(f"no run {from_log(run_id, 80)!r}", hint="known: " + (", ".join(list(places)[:10]) or "none"))
            kept = self._kept.get(run_id)
            if kept is not None and kept[0] == place.stamp:
                self._kept.move_to_end(run_id)
                return kept[1]
            wanted = (place.app.id, place.app.attempt)
            run = next((r for r in read_runs(place.log) if (r.app.id, r.app.attempt) == wanted), None)
            if run is None:
                raise NotFound(f"no run {run_id!r}: its log has changed")
            made = AnalysedRun(run_id, run, report_of(run, self._pricing))
            self._kept[run_id] = (place.stamp, made)
            while len(self._kept) > 1 and sum(len(a.run.tasks) for _, a in self._kept.values()) > MAX_KEPT_TASKS:
                self._kept.popitem(last=False)
            return made

    def _places(self) -> dict[str, _Place]:
        with self._lock:
            found: dict[str, _Place] = {}
            for log in logs_in(self._paths):
                try:
                    stamp = _stamp(log)
                    head = self._heads.get(log)
                    if head is None or head[0] != stamp:
                        head = self._heads[log] = (stamp, tuple(headlines(log)))
                except (OSError, CopilotError):
                    self._heads.pop(log, None)
                    continue
                for app in head[1]:
                    found[_handle(app, found)] = _Place(log, app, stamp)
            return found


class FixedRuns:
    """Runs that are already analysed: those a command was given."""

    def __init__(self, runs: Iterable[AppRun], pricing: str | None = None) -> None:
        self._runs: dict[str, AnalysedRun] = {}
        for run in runs:
            run_id = _handle(run.app, self._runs)
            self._runs[run_id] = AnalysedRun(run_id, run, report_of(run, pricing))

    def known(self) -> Sequence[KnownRun]:
        """The runs there are, the newest first."""
        listed = [known_run(run_id, analysed.run.app) for run_id, analysed in self._runs.items()]
        return sorted(listed, key=lambda run: (-run.started_ms, run.run_id))

    def get(self, run_id: str) -> AnalysedRun:
        """The run of this handle."""
        if run_id not in self._runs:
            raise NotFound(f"no run {from_log(run_id, 80)!r}", hint="known: " + (", ".join(list(self._runs)[:10]) or "none"))
        return self._runs[run_id]


class ChosenRuns:
    """Another source cut down to the runs that a session was given: no other handle leads anywhere."""

    def __init__(self, source: RunSource, run_ids: Sequence[str]) -> None:
        self._source, self._ids = source, tuple(dict.fromkeys(run_ids))

    def known(self) -> Sequence[KnownRun]:
        """The chosen runs that are there, the newest first."""
        listed = {run.run_id: run for run in self._source.known()}
        found = [listed.get(run_id) or self._unlisted(run_id) for run_id in self._ids]
        return sorted((run for run in found if run is not None), key=lambda run: (-run.started_ms, run.run_id))

    def get(self, run_id: str) -> AnalysedRun:
        """The run of this handle, when it was chosen."""
        if run_id not in self._ids:
            raise NotFound(f"no run {from_log(run_id, 80)!r} in this conversation", hint="known: " + (", ".join(self._ids) or "none"))
        return self._source.get(run_id)

    def _unlisted(self, run_id: str) -> KnownRun | None:
        # A source may know a run by more than the name that it lists: a server, by the id of its upload.
        try:
            return known_run(run_id, self._source.get(run_id).run.app)
        except CopilotError:
            return None


def known_run(run_id: str, app: Application) -> KnownRun:
    """An application as a listing shows it."""
    return KnownRun(
        run_id=run_id,
        name=from_log(app.name, 120),
        spark_version=from_log(app.spark_version, 40),
        started_ms=app.started_ms,
        ended_ms=None if app.ended_ms == MISSING else app.ended_ms,
    )


def _handle(app: Application, taken: Iterable[str]) -> str:
    """The application's id, with its attempt where it has one, numbered where two logs share it."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in app.id)[:100].strip(".") or "run"
    name = plain if app.attempt is None else f"{plain}.{''.join(c for c in app.attempt if c.isalnum())[:20]}"
    taken, number, made = set(taken), 2, name
    while made in taken:
        made, number = f"{name}-{number}", number + 1
    return made


def logs_in(paths: Sequence[Path]) -> Iterable[Path]:
    """The logs under these paths: a directory of logs gives its children, all else itself."""
    for path in paths:
        if path.is_dir() and not path.name.startswith(("eventlog_v2_", "eventLogs-")):
            try:
                yield from sorted(child for child in path.iterdir() if not child.name.startswith((".", "_")))
            except OSError:
                continue
        else:
            yield path


def _stamp(log: Path) -> tuple[int, int]:
    stats = [file.stat() for file in ([log] if log.is_file() else [f for f in log.iterdir() if f.is_file()])]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)
