"""Figures for Prometheus. Every label takes few values, none of them from a client or a log."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest, start_http_server
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.storage.job_queue import JobQueue
from spark_copilot.storage.models import CANCELLED, DEAD, DONE, FAILED, QUEUED, RUNNING

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0)

REQUESTS = Counter("spark_copilot_requests", "Requests answered.", ["route", "method", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "spark_copilot_request_seconds", "Time until a request was answered whole.", ["route", "method"], buckets=_SECONDS, registry=REGISTRY
)
UPLOAD_BYTES = Counter("spark_copilot_upload_bytes", "Bytes of logs accepted, as sent.", registry=REGISTRY)
REFUSALS = Counter("spark_copilot_refusals", "Requests refused, by stable code.", ["code"], registry=REGISTRY)
CACHE = Counter(
    "spark_copilot_cache_lookups", "Answers that were there already, and those that were not.", ["cache", "result"], registry=REGISTRY
)
ANALYSES = Counter("spark_copilot_analyses", "Analyses ended by this worker, by outcome.", ["outcome"], registry=REGISTRY)
PHASE_SECONDS = Histogram(
    "spark_copilot_analysis_seconds", "Time of an analysis by phase: read, analyse, store.", ["phase"], buckets=_LONG, registry=REGISTRY
)
JOBS = "spark_copilot_jobs"
QUEUE_AGE = "spark_copilot_queue_oldest_seconds"
DATABASE_UP = "spark_copilot_database_up"
_STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED, DEAD)
_OTHER_CODES = frozenset(
    {
        "not-found", "method-not-allowed", "request-not-valid", "http-error", "internal-error", "tus-version-unknown", "content-type-wrong",
        "checksum-mismatch", "analysis-crashed", "analysis-out-of-memory", "analysis-timeout", "worker-lost", "storage-failed", "log-gone",
    }
)  # fmt: skip


def refused(code: str) -> None:
    """A request was answered with this problem."""
    REFUSALS.labels(code if code in _OTHER_CODES or code in _codes(CopilotError) else "other").inc()


def looked_up(cache: str, *, hit: bool) -> None:
    """Something was there already, or had to be made."""
    CACHE.labels(cache, "hit" if hit else "miss").inc()


def _codes(kind: type[CopilotError]) -> set[str]:
    return {kind.code, *(code for inner in kind.__subclasses__() for code in _codes(inner))}


class _HasQueue(Protocol):
    @property
    def queue(self) -> JobQueue: ...


class QueueState(Collector):
    """Jobs by state, and how long the oldest that waits has waited: asked of the database when somebody looks."""

    def __init__(self, service: _HasQueue) -> None:
        self.service = service

    def collect(self) -> Iterator[Metric]:
        """The families; a database that is away is a figure, not a failed scrape."""
        jobs = GaugeMetricFamily(JOBS, "Jobs by state.", labels=["state"])
        age = GaugeMetricFamily(QUEUE_AGE, "Seconds that the oldest waiting job has waited; 0 when none waits.")
        up = GaugeMetricFamily(DATABASE_UP, "Whether the database answers.")
        try:
            depth, oldest = self.service.queue.depth(), self.service.queue.oldest_ms()
        except CopilotError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        for state in _STATES:
            jobs.add_metric([state], depth.get(state, 0))
        age.add_metric([], oldest / 1000)
        yield from (up, jobs, age)


class _Both(Collector):
    def __init__(self, service: _HasQueue) -> None:
        self.queue = QueueState(service)

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        yield from self.queue.collect()


def registry_of(service: _HasQueue) -> CollectorRegistry:
    """All of it: what this process counted, and the state of the service's queue."""
    both = CollectorRegistry()
    both.register(_Both(service))
    return both


def exposition(service: _HasQueue) -> str:
    """The text that a scrape gets."""
    return generate_latest(registry_of(service)).decode()


class Exporter:
    """The metrics' own port."""

    def __init__(self, service: _HasQueue, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, host, registry_of(service))
        self.port = int(self._server.server_port)

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
