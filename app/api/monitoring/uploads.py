"""Uploaded runs as a History Server sees applications: the caller's own, read from their run tables."""

import threading
from itertools import chain
from pathlib import Path

from spark_copilot.app.api.caller import TENANT
from spark_copilot.app.api.monitoring.store import Attempt, HistoryStore, KeptRuns, listed, pick
from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.app.service import Service
from spark_copilot.connectors.run_tables import read_application, read_tables
from spark_copilot.rules_engine.errors import CopilotError, NotFound
from spark_copilot.rules_engine.facts import Application, AppRun

_SHOWN = Path("/runs")
"""The folder that attempts are said to lie in: where the server keeps them is nobody's business."""


class AllRuns:
    """The caller's uploaded runs, and those of the served directory, if there is one. Safe for threads."""

    def __init__(self, service: Service, directory: HistoryStore | None = None) -> None:
        self.service, self.directory = service, directory
        self._applications: dict[str, Application | None] = {}
        self._kept = KeptRuns()
        self._lock = threading.Lock()

    def attempts(self) -> dict[str, list[Attempt]]:
        """Attempts by application id, the newest first, in the order of the listing: the application that ended last first."""
        found = self._uploaded().values()
        if self.directory is None or TENANT.get() != self.service.settings.log_dir_tenant:
            return listed(found)
        return listed(chain(found, *self.directory.attempts().values()))

    def attempt(self, app_id: str, attempt_id: str | None) -> Attempt:
        """The attempt; without an attempt id the application's newest.

        Raises:
            NotFound: no such application or attempt.
        """
        return pick(self.attempts(), app_id, attempt_id)

    def totals(self, app_id: str, attempt_id: str | None) -> Totals:
        """The run of an attempt.

        Raises:
            NotFound: no such application.
            CopilotError: it cannot be read.
        """
        attempt = self.attempt(app_id, attempt_id)
        folder = next((folder for folder, one in self._uploaded().items() if one == attempt), None)
        if folder is None:
            if self.directory is None:
                raise NotFound(f"no such app: {app_id}")
            return self.directory.totals(app_id, attempt.app.attempt)
        return self._read(folder, attempt.stamp)

    def run(self, name: str) -> AppRun:
        """A run by the id that its upload was given, or by its application's id.

        Raises:
            NotFound: neither is known.
        """
        try:
            run_id = self.service.repository.run(TENANT.get(), name).id  # a fetch may bear another run's id
        except NotFound:
            run_id = name
        for folder, attempt in self._uploaded().items():
            if attempt.log.parent.name == run_id:
                return self._read(folder, attempt.stamp).run
        return self.totals(name, None).run

    def _read(self, folder: str, stamp: tuple[int, int]) -> Totals:
        with self._lock:
            known = self._kept.get(folder, stamp)
            if known is None:
                known = Totals(read_tables(self.service.files.path(folder)))
                self._kept.put(folder, stamp, known)
            return known

    def _uploaded(self) -> dict[str, Attempt]:
        """The caller's finished runs by the folder of their tables."""
        found: dict[str, Attempt] = {}
        for run, reports in self.service.repository.done_runs(TENANT.get()):
            for report in reports:
                folder = f"{run.results}/{report.number}"
                app = self._application(folder)
                if app is not None:
                    stamp = (run.size_bytes, (run.finished_ms or 0) * 1_000_000)
                    download = self.service.files.path(run.original) if run.original is not None else None
                    found[folder] = Attempt(app, _SHOWN / run.id / str(report.number), stamp, download)
        return found

    def _application(self, folder: str) -> Application | None:
        if folder not in self._applications:
            try:
                self._applications[folder] = read_application(self.service.files.path(folder))
            except CopilotError:
                self._applications[folder] = None  # tables of another version: the run is not listed
        return self._applications[folder]
