"""What the routes and the worker share: database, repositories, queue and files of one home folder."""

import logging
import threading
from importlib.metadata import version

from spark_copilot.app.config import Settings
from spark_copilot.app.fetching import allowed_of
from spark_copilot.app.files import Files
from spark_copilot.app.report_cache import ReportCache
from spark_copilot.app.watch.metrics import Exporter
from spark_copilot.app.worker import Worker
from spark_copilot.storage import migrate, row_security
from spark_copilot.storage.database import Database
from spark_copilot.storage.job_queue import JobQueue
from spark_copilot.storage.metadata_repository import MetadataRepository
from spark_copilot.storage.metrics_repository import MetricsRepository
from spark_copilot.storage.upload_repository import UploadRepository

log = logging.getLogger(__name__)


class Service:
    """Opens the database, migrated, when something is asked of it first, so that what needs none starts without one."""

    def __init__(self, settings: Settings, *, work: bool = True, warm: bool = False) -> None:
        self.settings, self.work, self.warm = settings, work, warm
        allowed_of(settings)  # what cannot be read is said at the start, not to a client
        self.files = Files(settings.home)
        self.analyser = version("spark-intelligence-copilot")
        self.bodies = ReportCache(settings.redis_url.get_secret_value() if settings.redis_url is not None else None, self.analyser)
        self._lock = threading.RLock()
        self._worker: Worker | None = None
        self._database: Database | None = None
        self._exporter: Exporter | None = None
        self.stopping = threading.Event()

    @property
    def database(self) -> Database:
        """The database of the settings, of the shape this program knows.

        Raises:
            DatabaseUnavailable: it cannot be opened.
        """
        if self._database is None:
            with self._lock:
                if self._database is None:
                    database = Database(self.settings.database_url, self.settings.home)
                    migrate.upgrade(database)
                    if (warning := row_security.bypassed(database)) is not None:
                        log.warning(warning)
                    self._database = database
        return self._database

    @property
    def repository(self) -> MetadataRepository:
        """Runs and what hangs on them."""
        return MetadataRepository(self.database, max_attempts=self.settings.job_attempts)

    @property
    def metrics(self) -> MetricsRepository:
        """Figures of past runs."""
        return MetricsRepository(self.database)

    @property
    def uploads(self) -> UploadRepository:
        """Resumable uploads."""
        return UploadRepository(self.database)

    @property
    def queue(self) -> JobQueue:
        """The jobs."""
        return JobQueue(self.database, lease_ms=round(self.settings.job_lease_seconds * 1000))

    def start(self) -> None:
        """Open the database and begin to work, and the metrics' port; once."""
        with self._lock:
            if self._worker is None and not self.stopping.is_set() and self.work:
                self._worker = Worker(self.settings, self.queue, self.repository, self.uploads, self.files, self.analyser)
                self._worker.start(warm=self.warm)
            if self._exporter is None and not self.stopping.is_set() and self.settings.metrics_port is not None:
                self._exporter = Exporter(self, self.settings.metrics_host, self.settings.metrics_port)

    @property
    def working(self) -> bool:
        """Whether a worker of this process takes jobs."""
        return self._worker is not None and self._worker.alive

    def wake(self) -> None:
        """There is a new job."""
        self.start()
        if self._worker is not None:
            self._worker.wake()

    def stop(self, *, grace_seconds: float = 0.0) -> None:
        """Stop working and let go of the database."""
        self.stopping.set()
        with self._lock:
            worker, self._worker = self._worker, None
            exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.stop()
        if worker is not None:
            worker.stop(grace_seconds=grace_seconds)
        if self._database is not None:
            self._database.close()
