"""Executor and block manager events -> `ExecutorTable`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.connectors.eventlog.build_stages import column
from spark_copilot.connectors.eventlog.build_storage import Storage
from spark_copilot.connectors.eventlog.build_tasks import keep_peaks, sane_ms
from spark_copilot.rules_engine.facts import MISSING, ExecutorTable, Process
from spark_copilot.rules_engine.redact import map_texts

MAX_PROCESSES = 1_000
"""Beside executors; real runs have one."""


@dataclass(slots=True)
class Executor:
    """One executor (or the driver) while its events arrive."""

    id: str
    added: int = MISSING
    removed: int = MISSING
    cores: int = 0
    memory: int = 0
    on_heap: int = 0
    off_heap: int = 0
    profile: int = 0
    host: str = ""
    reason: str | None = None
    log_urls: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    host_port: str = ""
    excluded: bool = False
    excluded_in: list[int] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)


MAX_CORES = 16_384
"""More than any machine has: an executor that claims more has an unknown number of them."""


class Executors:
    """Executors of a run, in the order they were first seen."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.mask = mask
        self.by_id: dict[str, Executor] = {}
        self.processes: dict[str, Process] = {}
        self.too_many_cores = 0

    def get(self, name: str) -> Executor:
        """The executor, made when an event names it first."""
        name = "driver" if name == "<driver>" else name
        return self.by_id.setdefault(name, Executor(name))

    def added(self, event: ev.ExecutorAdded) -> None:
        """SparkListenerExecutorAdded."""
        one, info = self.get(event.executor), event.info
        one.added, one.cores, one.profile, one.host = sane_ms(event.time), max(info.cores, 0), info.profile, info.host
        if one.cores > MAX_CORES:
            one.cores, self.too_many_cores = 0, self.too_many_cores + 1
        one.removed, one.reason = MISSING, None
        one.log_urls = {k: self.mask(v) for k, v in info.log_urls.items()}
        one.attributes = {k: self.mask(v) for k, v in info.attributes.items()}
        one.resources = map_texts(info.resources, self.mask)

    def removed(self, event: ev.ExecutorRemoved) -> None:
        """SparkListenerExecutorRemoved."""
        one = self.get(event.executor)
        one.removed, one.reason = max(sane_ms(event.time), one.added, 0), self.mask(event.reason)

    def process(self, event: ev.ProcessAdded) -> None:
        """SparkListenerMiscellaneousProcessAdded."""
        if event.id not in self.processes and len(self.processes) >= MAX_PROCESSES:
            return
        info = event.info
        urls = {k: self.mask(v) for k, v in info.log_urls.items()}
        self.processes[event.id] = Process(self.mask(event.id), info.host_port, min(max(info.cores, 0), 1 << 31), sane_ms(event.time), urls)

    def block_manager(self, event: ev.BlockManagerAdded) -> None:
        """SparkListenerBlockManagerAdded."""
        one, at = self.get(event.manager.executor), event.manager
        one.memory, one.host_port = max(event.memory, 0), f"{at.host}:{at.port}"
        one.on_heap, one.off_heap = max(event.on_heap, 0), max(event.off_heap, 0)
        one.host = one.host or at.host
        if one.added == MISSING:
            one.added = sane_ms(event.time)

    def marked(self, event: ev.ExecutorMark) -> list[Executor]:
        """The executors that an exclusion means: the one it names, or those of the host that are there."""
        if event.executor:
            return [self.get(event.executor)]
        return [
            one for one in self.by_id.values() if event.host and one.host == event.host and one.removed == MISSING and one.id != "driver"
        ]

    def stage_metrics(self, event: ev.StageExecutorMetrics) -> None:
        """SparkListenerStageExecutorMetrics."""
        keep_peaks(self.get(event.executor).peaks, event.metrics)

    def table(self, storage: Storage) -> ExecutorTable:
        """The executors, with what they hold in storage."""
        every = list(self.by_id.values())
        return ExecutorTable(
            added_ms=column(e.added for e in every),
            removed_ms=column(max(e.removed, e.added) if e.removed >= 0 else MISSING for e in every),
            cores=column(e.cores for e in every),
            max_memory_bytes=column(e.memory for e in every),
            max_on_heap_bytes=column(e.on_heap for e in every),
            max_off_heap_bytes=column(e.off_heap for e in every),
            resource_profile=column(e.profile for e in every),
            executor_id=tuple(e.id for e in every),
            host=tuple(e.host for e in every),
            removed_reason=tuple(e.reason for e in every),
            log_urls=tuple(e.log_urls for e in every),
            attributes=tuple(e.attributes for e in every),
            resources=tuple(e.resources for e in every),
            host_port=tuple(e.host_port for e in every),
            excluded=np.array([e.excluded for e in every], dtype=np.bool_),
            peaks=tuple(e.peaks for e in every),
            excluded_in=tuple(tuple(e.excluded_in) for e in every),
            storage=tuple(storage.use(e.id) for e in every),
        )
