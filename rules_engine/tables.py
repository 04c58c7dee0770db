"""The columns of a run: tasks, stages, jobs and executors, each a table of numpy arrays with their unit in the name.

`MISSING` (-1) marks one value that the log does not have; a column that the log does not have at all is None, never zeros, and `require` turns it
into a `MissingFact`. Times are UTC epoch milliseconds, durations milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.cached_rdds import StorageUse
from spark_copilot.rules_engine.errors import MissingFact

IntColumn = npt.NDArray[np.int64]

FloatColumn = npt.NDArray[np.float64]

BoolColumn = npt.NDArray[np.bool_]

MISSING = -1

SUCCESS, FAILED, KILLED = 0, 1, 2
"""Values of `TaskTable.status`. Killed (speculation, stage abort, preemption by the scheduler) is not failed."""

DRIVERS = ("driver", "<driver>")
"""Executor ids of the driver; the second in logs of Spark 1."""

LOCALITIES = ("PROCESS_LOCAL", "NODE_LOCAL", "NO_PREF", "RACK_LOCAL", "ANY")
"""Values of `TaskTable.locality` are indices into this; MISSING where the log has another word."""


def _empty() -> IntColumn:
    return np.zeros(0, dtype=np.int64)


def _no() -> BoolColumn:
    return np.zeros(0, dtype=np.bool_)


class _Table:
    """What the tables share: selection by mask or order, and a column that must be there."""

    __slots__ = ()

    def require(self, name: str) -> IntColumn:
        """The column of this name.

        Raises:
            MissingFact: the log did not hold it.
        """
        column: IntColumn | None = getattr(self, name)
        if column is None:
            raise MissingFact(f"{name.replace('_', ' ')} ({type(self).__name__})")
        return column

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """The same table with these rows (a mask or indices) in this order; shared string tuples stay whole."""
        changed = {f.name: value[rows] for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}  # type: ignore[arg-type]
        return replace(self, **changed)  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class TaskTable(_Table):
    """Ended task attempts in the order of their end events: successful, failed, killed and speculative ones alike.

    Every column has shape (n_tasks,). `stage_row` indexes `StageTable`, `executor_row` indexes `ExecutorTable`; both are always valid.
    The metric columns are None when no task of the log carries metrics; a task without metrics in a log that has some
    holds zeros and `has_metrics` False.
    """

    task_id: IntColumn = field(default_factory=_empty)
    index: IntColumn = field(default_factory=_empty)
    attempt: IntColumn = field(default_factory=_empty)
    partition_id: IntColumn = field(default_factory=_empty)
    stage_row: IntColumn = field(default_factory=_empty)
    executor_row: IntColumn = field(default_factory=_empty)
    launch_ms: IntColumn = field(default_factory=_empty)
    finish_ms: IntColumn = field(default_factory=_empty)
    getting_result_ms: IntColumn = field(default_factory=_empty)
    status: IntColumn = field(default_factory=_empty)
    locality: IntColumn = field(default_factory=_empty)
    speculative: BoolColumn = field(default_factory=_no)
    has_metrics: BoolColumn = field(default_factory=_no)
    error_row: IntColumn = field(default_factory=_empty)
    """Index into `AppRun.errors`, MISSING for a task that succeeded."""
    run_ms: IntColumn | None = None
    cpu_ns: IntColumn | None = None
    deserialise_ms: IntColumn | None = None
    deserialise_cpu_ns: IntColumn | None = None
    result_serialisation_ms: IntColumn | None = None
    result_bytes: IntColumn | None = None
    gc_ms: IntColumn | None = None
    peak_execution_memory_bytes: IntColumn | None = None
    memory_spilled_bytes: IntColumn | None = None
    disk_spilled_bytes: IntColumn | None = None
    input_bytes: IntColumn | None = None
    input_records: IntColumn | None = None
    output_bytes: IntColumn | None = None
    output_records: IntColumn | None = None
    shuffle_read_local_blocks: IntColumn | None = None
    shuffle_read_remote_blocks: IntColumn | None = None
    shuffle_read_local_bytes: IntColumn | None = None
    shuffle_read_remote_bytes: IntColumn | None = None
    shuffle_read_remote_to_disk_bytes: IntColumn | None = None
    shuffle_read_records: IntColumn | None = None
    fetch_wait_ms: IntColumn | None = None
    remote_requests_ms: IntColumn | None = None
    shuffle_write_bytes: IntColumn | None = None
    shuffle_write_records: IntColumn | None = None
    shuffle_write_ns: IntColumn | None = None
    push_read: npt.NDArray[np.int64] | None = None
    """Push-based shuffle read metrics, shape (n_tasks, 9), columns in the order of `PUSH_READ`; None when every value is zero."""

    def __len__(self) -> int:
        return len(self.task_id)

    @cached_property
    def duration_ms(self) -> IntColumn:
        """Launch to finish, never negative: the time the task held its slot."""
        held: IntColumn = np.maximum(self.finish_ms - self.launch_ms, 0)
        return held

    @cached_property
    def read_bytes(self) -> IntColumn:
        """What the task took in: input plus shuffle read."""
        shuffled: IntColumn = self.require("shuffle_read_local_bytes") + self.require("shuffle_read_remote_bytes")
        taken: IntColumn = self.require("input_bytes") + shuffled
        return taken

    @cached_property
    def read_records(self) -> IntColumn:
        """Rows the task took in: input plus shuffle read."""
        taken: IntColumn = self.require("input_records") + self.require("shuffle_read_records")
        return taken

    @cached_property
    def written_bytes(self) -> IntColumn:
        """What the task put out: output plus shuffle write."""
        given: IntColumn = self.require("output_bytes") + self.require("shuffle_write_bytes")
        return given

    @cached_property
    def overhead_ms(self) -> IntColumn:
        """Slot time outside the executor's run time: scheduling, deserialisation, result serialisation and fetch; never negative."""
        outside: IntColumn = np.maximum(self.duration_ms - self.require("run_ms"), 0)
        return outside


PUSH_READ = (
    "corrupt_merged_block_chunks",
    "merged_fetch_fallback_count",
    "merged_remote_blocks_fetched",
    "merged_local_blocks_fetched",
    "merged_remote_chunks_fetched",
    "merged_local_chunks_fetched",
    "merged_remote_bytes_read",
    "merged_local_bytes_read",
    "merged_remote_requests_ms",
)


@dataclass(frozen=True, slots=True)
class RddInfo:
    """One RDD of a stage, as the stage's last event described it."""

    rdd_id: int
    name: str
    scope: str | None
    call_site: str
    parents: tuple[int, ...]
    storage_level: str
    partitions: int
    cached_partitions: int
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class StageTable(_Table):
    """Stage attempts in the order of their first event. Every column and tuple has length n_stages.

    A stage that is known from its tasks alone has `submitted_ms` MISSING and an empty name. Skipped stages have a row with `skipped` True
    and no tasks: they stand in a job's list and never ran. `job_row` and `sql_row` are the first job and SQL execution that asked for it.
    """

    stage_id: IntColumn = field(default_factory=_empty)
    attempt: IntColumn = field(default_factory=_empty)
    submitted_ms: IntColumn = field(default_factory=_empty)
    completed_ms: IntColumn = field(default_factory=_empty)
    n_tasks: IntColumn = field(default_factory=_empty)
    """Declared tasks; fewer may have ended."""
    failed: BoolColumn = field(default_factory=_no)
    skipped: BoolColumn = field(default_factory=_no)
    job_row: IntColumn = field(default_factory=_empty)
    sql_row: IntColumn = field(default_factory=_empty)
    name: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    failure_reason: tuple[str | None, ...] = ()
    parents: tuple[tuple[int, ...], ...] = ()
    """Stage ids each stage waits for."""
    rdds: tuple[tuple[RddInfo, ...], ...] = ()
    pool: tuple[str, ...] = ()
    description: tuple[str | None, ...] = ()
    resource_profile: IntColumn = field(default_factory=_empty)
    accumulables: tuple[Mapping[int, tuple[str, str]], ...] = ()
    """Accumulator id -> (name, last value as text), from the stage's completion."""
    shown_accumulables: tuple[tuple[int, ...], ...] = ()
    """Ids of the accumulables that the user named, as the UI lists them: neither Spark's own nor SQL metrics."""
    push_enabled: BoolColumn = field(default_factory=_no)
    push_mergers: IntColumn = field(default_factory=_empty)
    described: BoolColumn = field(default_factory=_no)
    """Whether a job or stage event named it; False for one known from its tasks alone."""
    excluded_executors: tuple[tuple[str, ...], ...] = ()
    """Executors that Spark gave no more tasks of the stage."""

    def __len__(self) -> int:
        return len(self.stage_id)

    def ref(self, row: int) -> str:
        """The attempt as remedies name it: "4.0"."""
        return f"{self.stage_id[row]}.{self.attempt[row]}"

    @property
    def duration_ms(self) -> IntColumn:
        """Submission to completion, 0 where either is missing."""
        known = (self.submitted_ms >= 0) & (self.completed_ms >= 0)
        return np.where(known, np.maximum(self.completed_ms - self.submitted_ms, 0), 0)


@dataclass(frozen=True, slots=True, eq=False)
class JobTable(_Table):
    """Jobs in the order of submission; `completed_ms` MISSING while running. `sql_row` indexes `AppRun.sql` or is MISSING."""

    job_id: IntColumn = field(default_factory=_empty)
    submitted_ms: IntColumn = field(default_factory=_empty)
    completed_ms: IntColumn = field(default_factory=_empty)
    failed: BoolColumn = field(default_factory=_no)
    sql_row: IntColumn = field(default_factory=_empty)
    stage_ids: tuple[tuple[int, ...], ...] = ()
    name: tuple[str, ...] = ()
    description: tuple[str | None, ...] = ()
    group: tuple[str | None, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    failure: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.job_id)


@dataclass(frozen=True, slots=True, eq=False)
class ExecutorTable(_Table):
    """Executors in the order they were first seen, the driver among them when it has a block manager or ran tasks.

    `removed_ms` MISSING: alive at the end. `cores` 0 for the driver of a cluster.
    """

    added_ms: IntColumn = field(default_factory=_empty)
    removed_ms: IntColumn = field(default_factory=_empty)
    cores: IntColumn = field(default_factory=_empty)
    max_memory_bytes: IntColumn = field(default_factory=_empty)
    max_on_heap_bytes: IntColumn = field(default_factory=_empty)
    max_off_heap_bytes: IntColumn = field(default_factory=_empty)
    resource_profile: IntColumn = field(default_factory=_empty)
    executor_id: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    removed_reason: tuple[str | None, ...] = ()
    log_urls: tuple[Mapping[str, str], ...] = ()
    attributes: tuple[Mapping[str, str], ...] = ()
    resources: tuple[Mapping[str, Any], ...] = ()
    host_port: tuple[str, ...] = ()
    excluded: BoolColumn = field(default_factory=_no)
    peaks: tuple[Mapping[str, int], ...] = ()
    """Peak executor metrics by Spark's names (JVMHeapMemory, ProcessTreeJVMRSSMemory …); empty where none were logged."""
    excluded_in: tuple[tuple[int, ...], ...] = ()
    """Stages that were running when the log ended and give the executor no more tasks."""
    storage: tuple[StorageUse, ...] = ()
    """What it holds in storage; all zero unless the log has block updates."""

    def __len__(self) -> int:
        return len(self.executor_id)

    @property
    def is_driver(self) -> BoolColumn:
        """Rows that are the driver (also "<driver>" of old logs)."""
        return np.array([e in DRIVERS for e in self.executor_id], dtype=np.bool_)
