"""Runs of a served log directory, by application id, for questions about them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from spark_copilot.app.api.monitoring import HistoryStore
from spark_copilot.connectors.eventlog import read_runs
from spark_copilot.orchestration.analyse import analyse_run
from spark_copilot.orchestration.runs import AnalysedRun, KnownRun, known_run
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.errors import NotFound

MOST_KEPT = 8


class StoreRuns:
    """A `RunSource` over the history server's directory: `run_id` is the application id, "id/attempt" an attempt of it. Safe for threads."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._kept: OrderedDict[str, tuple[tuple[int, int], AnalysedRun]] = OrderedDict()
        self._lock = threading.RLock()

    def known(self) -> Sequence[KnownRun]:
        """The newest attempt of every application, the newest first."""
        listed = [known_run(app_id, attempts[0].app) for app_id, attempts in self._store.attempts().items()]
        return sorted(listed, key=lambda run: (-run.started_ms, run.run_id))

    def get(self, run_id: str) -> AnalysedRun:
        """The run, analysed once and kept until its log grows."""
        app_id, _, attempt_id = run_id.partition("/")
        attempt = self._store.attempt(from_log(app_id, 200), attempt_id or None)
        with self._lock:
            kept = self._kept.get(run_id)
            if kept is not None and kept[0] == attempt.stamp:
                self._kept.move_to_end(run_id)
                return kept[1]
        wanted = (attempt.app.id, attempt.app.attempt)
        run = next((r for r in read_runs(attempt.log, limits=self._store.limits) if (r.app.id, r.app.attempt) == wanted), None)
        if run is None:
            raise NotFound(f"no run {from_log(run_id, 80)!r}")
        made = AnalysedRun(run_id, run, analyse_run(run))
        with self._lock:
            self._kept[run_id] = (attempt.stamp, made)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made


class NoRuns:
    """A source without runs: a server without a log directory."""

    def known(self) -> Sequence[KnownRun]:
        """None."""
        return ()

    def get(self, run_id: str) -> AnalysedRun:
        """Never there."""
        raise NotFound(f"no run {from_log(run_id, 80)!r}: the server has no log directory", hint="start it with serve --log-dir DIR")
