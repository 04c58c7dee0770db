"""The runs that a caller may ask about, by handle: uploaded ones and those of the served directory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from spark_copilot.app.api.caller import TENANT
from spark_copilot.app.api.monitoring import AllRuns
from spark_copilot.orchestration.analyse import report_of
from spark_copilot.orchestration.runs import AnalysedRun, KnownRun, known_run
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.errors import NotFound
from spark_copilot.rules_engine.facts import AppRun

MOST_KEPT = 8


class _Reports:
    """The reports of the runs asked for last, shared by all callers. A run that was read again is analysed again."""

    def __init__(self, pricing: str | None) -> None:
        self._pricing = pricing
        self._kept: OrderedDict[int, AnalysedRun] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run_id: str, run: AppRun) -> AnalysedRun:
        with self._lock:
            kept = self._kept.get(id(run))
        if kept is None or kept.run is not run:
            kept = AnalysedRun(run_id, run, report_of(run, self._pricing))
        with self._lock:
            self._kept[id(run)] = kept
            self._kept.move_to_end(id(run))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return AnalysedRun(run_id, run, kept.report)


class StoreRuns:
    """A `RunSource` for one tenant (None: whoever calls). A handle is a run's id, its application's id, or "id/attempt". Safe for threads."""

    def __init__(self, store: AllRuns, tenant: str | None, reports: _Reports) -> None:
        self._store, self._tenant, self._reports = store, tenant, reports

    def known(self) -> Sequence[KnownRun]:
        """The newest attempt of every application, the newest first."""
        with self._as_tenant():
            listed = [known_run(app_id, attempts[0].app) for app_id, attempts in self._store.attempts().items()]
        return sorted(listed, key=lambda run: (-run.started_ms, run.run_id))

    def get(self, run_id: str) -> AnalysedRun:
        """The run, analysed once and kept until it is read again."""
        name, _, attempt = from_log(run_id, 200).partition("/")
        with self._as_tenant():
            try:
                run = self._store.totals(name, attempt).run if attempt else self._store.run(name)
            except NotFound:
                raise NotFound(f"no run {from_log(run_id, 80)!r}", hint="GET /api/v1/runs and GET /api/v1/applications list them") from None
        return self._reports.of(run_id, run)

    @contextmanager
    def _as_tenant(self) -> Iterator[None]:
        """Conversations go on in threads of their own, which know no caller."""
        if self._tenant is None:
            yield
            return
        token = TENANT.set(self._tenant)
        try:
            yield
        finally:
            TENANT.reset(token)


def runs_of(store: AllRuns, pricing: str | None = None) -> Callable[[str | None], StoreRuns]:
    """Tenant -> its runs, with money by this price list where it can price them."""
    reports = _Reports(pricing)
    return lambda tenant: StoreRuns(store, tenant, reports)
