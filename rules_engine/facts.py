"""What one run was: `AppRun`, columnar and frozen. Built by `connectors/eventlog`, read by everything else.

Columns are numpy arrays with their unit in the name; times are UTC epoch milliseconds, durations milliseconds. `MISSING` (-1) marks one value
that the log does not have; a column that the log does not have at all is None, never zeros, and `require` turns it into a `MissingFact`.
Strings repeat much, so they stand once in a tuple and columns hold their index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.cached_rdds import CachedRdd, StorageUse
from spark_copilot.rules_engine.errors import MissingFact
from spark_copilot.rules_engine.units import parse_count

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


@dataclass(frozen=True, slots=True, eq=False)
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

    @property
    def duration_ms(self) -> IntColumn:
        """Launch to finish, never negative: the time the task held its slot."""
        held: IntColumn = np.maximum(self.finish_ms - self.launch_ms, 0)
        return held

    @property
    def read_bytes(self) -> IntColumn:
        """What the task took in: input plus shuffle read."""
        shuffled: IntColumn = self.require("shuffle_read_local_bytes") + self.require("shuffle_read_remote_bytes")
        taken: IntColumn = self.require("input_bytes") + shuffled
        return taken

    @property
    def read_records(self) -> IntColumn:
        """Rows the task took in: input plus shuffle read."""
        taken: IntColumn = self.require("input_records") + self.require("shuffle_read_records")
        return taken

    @property
    def written_bytes(self) -> IntColumn:
        """What the task put out: output plus shuffle write."""
        given: IntColumn = self.require("output_bytes") + self.require("shuffle_write_bytes")
        return given

    @property
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


@dataclass(frozen=True, slots=True)
class PlanMetric:
    """One SQL metric of a plan node: its accumulator and how Spark renders it (sum, size, timing, nsTiming, average)."""

    name: str
    accumulator: int
    kind: str


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One operator of a physical plan as the log holds it; `text` is Spark's simple string, `metadata` what scans add."""

    name: str
    text: str
    children: tuple["PlanNode", ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[PlanMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class SqlExecution:
    """One SQL execution. `plan` is the last plan (after adaptive re-planning), `first_plan` the one it started with.

    `metrics` maps accumulator ids of its plans to totals over tasks and driver updates; ids never updated are absent.
    `completed_ms` MISSING: no end event. `root_id` MISSING before Spark 3.4.
    """

    sql_id: int
    root_id: int
    description: str
    details: str
    physical_plan: str
    submitted_ms: int
    completed_ms: int
    error: str | None
    first_plan: PlanNode | None
    plan: PlanNode | None
    replans: int = 0
    job_ids: tuple[int, ...] = ()
    metrics: Mapping[int, int] = field(default_factory=dict)
    modified_configs: Mapping[str, str] = field(default_factory=dict)
    job_tags: tuple[str, ...] = ()
    metric_strings: Mapping[int, str] | None = None
    """Spark's own rendering per accumulator ("total (min, med, max …)"), only when the run was read with task-level SQL metrics."""
    error_message: str | None = None
    """The end event's own field: empty for success since Spark 3.4, None before and while running."""
    query_id: str | None = None
    """Since Spark 4.2."""
    all_metrics: tuple[PlanMetric, ...] = ()
    """Metrics of every plan version, in the order they appeared."""


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """One micro-batch of a Structured Streaming query, from its progress event; durations by Spark's names (addBatch …)."""

    query_id: str
    run_id: str
    name: str | None
    batch_id: int
    timestamp_ms: int
    duration_ms: Mapping[str, int]
    input_rows: int
    input_rows_per_second: float
    processed_rows_per_second: float
    state_rows: int
    state_memory_bytes: int
    state_rows_updated: int = 0
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """What the run was started with. Secrets are masked before this is built."""

    spark: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    hadoop: Mapping[str, str] = field(default_factory=dict)
    jvm: Mapping[str, str] = field(default_factory=dict)
    classpath: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """Identity and span. `ended_ms` is MISSING when the log has no end event; `last_event_ms` is the latest time any event names."""

    id: str
    name: str
    user: str
    spark_version: str
    started_ms: int
    ended_ms: int
    last_event_ms: int
    attempt: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectOperation:
    """One request of a Spark Connect client. Texts are masked and cut.

    `state` is started, analysed, ready, finished, failed or cancelled: as far as the log tells. `ended_ms` is when it finished, failed or was
    cancelled, `closed_ms` when the client let go of it; MISSING where no event says so, and so is `rows` of what produced none.
    """

    operation_id: str
    session_id: str
    user: str
    statement: str
    state: str
    started_ms: int
    analysed_ms: int
    ready_ms: int
    ended_ms: int
    closed_ms: int
    error: str | None
    rows: int
    job_ids: tuple[int, ...] = ()
    sql_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectSession:
    """One session of a Spark Connect client; `closed_ms` MISSING while it is open."""

    session_id: str
    user: str
    started_ms: int
    closed_ms: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process that belongs to the application and runs no tasks: YARN's application master."""

    process_id: str
    host_port: str
    cores: int
    added_ms: int
    log_urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task attempt that began and whose end is not in the log; only in a run that was read in detail."""

    task_id: int
    index: int
    attempt: int
    partition_id: int
    stage_row: int
    executor_row: int
    launch_ms: int
    locality: int
    speculative: bool


@dataclass(frozen=True, slots=True)
class Resubmission:
    """A finished task that had to run again because its executor was lost with its output; the new attempt is a task of its own."""

    task_id: int
    stage_row: int
    executor_row: int
    duration_ms: int
    alive: bool = True
    """Whether the executor was still listed when Spark said so."""


@dataclass(frozen=True, slots=True)
class Late:
    """What came after its stage, job or executor was closed: it happened, and Spark's own pages leave it out of their sums.

    Only in a run that was read in detail. Tasks are named by id.
    """

    stage_tasks: tuple[int, ...] = ()
    """Began when their stage attempt had ended and none of its tasks ran."""
    executor_tasks: tuple[int, ...] = ()
    """Ended when their executor had been removed."""
    job_ends: Mapping[int, int] = field(default_factory=dict)
    """Job id -> rows of `tasks` that were there when it ended."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How whole the log was, with the place of what was wrong: `issues` are sentences, at most a few dozen, the counts are complete."""

    bad_lines: int = 0
    missing_task_ends: int = 0
    compacted: bool = False
    truncated: bool = False
    unknown_events: Mapping[str, int] = field(default_factory=dict)
    issues: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AppRun:
    """One application attempt, whole. Derived views are computed once, on first use."""

    app: Application
    environment: Environment = field(default_factory=Environment)
    tasks: TaskTable = field(default_factory=TaskTable)
    stages: StageTable = field(default_factory=StageTable)
    jobs: JobTable = field(default_factory=JobTable)
    executors: ExecutorTable = field(default_factory=ExecutorTable)
    sql: tuple[SqlExecution, ...] = ()
    streaming: tuple[StreamProgress, ...] = ()
    errors: tuple[str, ...] = ()
    """Distinct failure and kill reasons of tasks; `TaskTable.error_row` points here."""
    resource_profiles: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    running: tuple[RunningTask, ...] = ()
    resubmitted: tuple[Resubmission, ...] = ()
    stage_peaks: Mapping[tuple[int, int], Mapping[str, int]] = field(default_factory=dict)
    """(stage row, executor row) -> peak executor metrics; only in a run that was read in detail."""
    late: Late = field(default_factory=Late)
    cached: tuple[CachedRdd, ...] = ()
    """RDDs persisted at the end; only where the log has block updates."""
    processes: tuple[Process, ...] = ()
    operations: tuple[ConnectOperation, ...] = ()
    """Requests to a Spark Connect server, in the order they began."""
    sessions: tuple[ConnectSession, ...] = ()

    def __repr__(self) -> str:
        return f"AppRun({self.app.id}, {len(self.tasks)} tasks)"

    @property
    def started_ms(self) -> int:
        """Application start."""
        return self.app.started_ms

    @property
    def ended_ms(self) -> int:
        """Application end, or the last event of a log without one; never before the start."""
        end = self.app.ended_ms if self.app.ended_ms != MISSING else self.app.last_event_ms
        return max(end, self.app.started_ms)

    @property
    def wall_ms(self) -> int:
        """Application start to end, start-up included: what every share is taken of."""
        return self.ended_ms - self.started_ms

    @property
    def complete(self) -> bool:
        """Whether the log holds the application's end."""
        return self.app.ended_ms != MISSING

    def conf(self, key: str, default: str | None = None) -> str | None:
        """A Spark property of the run, or the default."""
        return self.environment.spark.get(key, default)

    @cached_property
    def successful(self) -> TaskTable:
        """The attempts that succeeded; `tasks` holds all of them."""
        return self.tasks.take(self.tasks.status == SUCCESS)

    @cached_property
    def _by_stage(self) -> tuple[IntColumn, IntColumn]:
        order = np.argsort(self.tasks.stage_row, kind="stable")
        bounds = np.searchsorted(self.tasks.stage_row[order], np.arange(len(self.stages) + 1))
        return order.astype(np.int64), bounds.astype(np.int64)

    def task_rows(self, stage_row: int) -> IntColumn:
        """Rows of `tasks` that belong to one stage attempt, in the order of their end events."""
        order, bounds = self._by_stage
        return order[bounds[stage_row] : bounds[stage_row + 1]]

    @cached_property
    def _by_executor(self) -> tuple[IntColumn, IntColumn]:
        order = np.argsort(self.tasks.executor_row, kind="stable")
        bounds = np.searchsorted(self.tasks.executor_row[order], np.arange(len(self.executors) + 1))
        return order.astype(np.int64), bounds.astype(np.int64)

    def executor_task_rows(self, executor_row: int) -> IntColumn:
        """Rows of `tasks` that one executor ran, in the order of their end events."""
        order, bounds = self._by_executor
        return order[bounds[executor_row] : bounds[executor_row + 1]]

    @cached_property
    def stage_row_of(self) -> Mapping[tuple[int, int], int]:
        """(stage id, attempt) -> row of `stages`."""
        return {(int(s), int(a)): row for row, (s, a) in enumerate(zip(self.stages.stage_id, self.stages.attempt, strict=True))}

    @cached_property
    def local_cores(self) -> int | None:
        """N of `local[N]` (the driver's cores for `local[*]`), None on a cluster. `local-cluster` is a cluster."""
        master = self.conf("spark.master", "") or ""
        if not master.startswith("local") or master.startswith("local-cluster"):
            return None
        driver = self.executors.cores[self.executors.is_driver]
        if len(driver) and driver.max() > 0:
            return int(driver.max())
        return max(parse_count(master.removeprefix("local[").split(",")[0].rstrip("]")) or 1, 1)

    @cached_property
    def task_cpus(self) -> int:
        """Cores one task takes (`spark.task.cpus`), at least 1."""
        return max(parse_count(self.conf("spark.task.cpus", "1") or "1") or 1, 1)

    @cached_property
    def slots_max(self) -> int:
        """The most tasks that could run at the same time, from executors that were alive together; at least 1."""
        if self.local_cores is not None:
            return max(self.local_cores // self.task_cpus, 1)
        workers = np.flatnonzero(~self.executors.is_driver & (self.executors.cores > 0))
        if not len(workers):
            return max(self._most_at_once, 1)
        slots = self.executors.cores[workers] // self.task_cpus
        gone = self.executors.removed_ms[workers]
        times = np.concatenate([self.executors.added_ms[workers], np.where(gone == MISSING, np.iinfo(np.int64).max, gone)])
        deltas = np.concatenate([slots, -slots])
        return max(int(np.cumsum(deltas[np.lexsort((deltas, times))]).max()), 1)

    @cached_property
    def _most_at_once(self) -> int:
        if not len(self.tasks):
            return 0
        times = np.concatenate([self.tasks.launch_ms, self.tasks.finish_ms])
        deltas = np.repeat(np.array([1, -1], dtype=np.int64), len(self.tasks))
        return int(np.cumsum(deltas[np.lexsort((deltas, times))]).max())

    @cached_property
    def executors_max(self) -> int:
        """The most executors alive at once; 1 for `local[N]`."""
        if self.local_cores is not None:
            return 1
        workers = np.flatnonzero(~self.executors.is_driver)
        if not len(workers):
            return 1 if len(self.tasks) else 0
        gone = self.executors.removed_ms[workers]
        times = np.concatenate([self.executors.added_ms[workers], np.where(gone == MISSING, np.iinfo(np.int64).max, gone)])
        deltas = np.repeat(np.array([1, -1], dtype=np.int64), len(workers))
        return int(np.cumsum(deltas[np.lexsort((deltas, times))]).max())

    @cached_property
    def executors_needed(self) -> int:
        """Executors that hold as many tasks as ran at once for nine tenths of the time in which any ran; at least 1."""
        times = np.concatenate([self.tasks.launch_ms, self.tasks.finish_ms])
        deltas = np.repeat(np.array([1, -1], dtype=np.int64), len(self.tasks))
        order = np.lexsort((deltas, times))
        level, spans = np.cumsum(deltas[order])[:-1], np.diff(times[order])
        busy = level > 0
        workers = self.executors.cores[~self.executors.is_driver & (self.executors.cores > 0)]
        if not busy.any() or not len(workers):
            return 1
        ranked = np.argsort(level[busy], kind="stable")
        reach = np.cumsum(spans[busy][ranked])
        at_once = int(level[busy][ranked][np.searchsorted(reach, 0.9 * reach[-1])])
        per_executor = max(int(np.median(workers)) // self.task_cpus, 1)
        return max(-(-at_once // per_executor), 1)

    @cached_property
    def busy_intervals(self) -> npt.NDArray[np.int64]:
        """Disjoint spans in which at least one task ran, shape (n, 2), in order, cut to the application's span."""
        return union(np.stack([self.tasks.launch_ms, self.tasks.finish_ms], axis=1), self.started_ms, self.ended_ms)

    @cached_property
    def first_job_ms(self) -> int:
        """When the first job was submitted (or the first task launched); the application's end if nothing ever ran."""
        candidates = [self.ended_ms]
        if len(self.jobs):
            candidates.append(int(self.jobs.submitted_ms.min()))
        if len(self.tasks):
            candidates.append(int(self.tasks.launch_ms.min()))
        return min(max(min(candidates), self.started_ms), self.ended_ms)


def union(spans: npt.NDArray[np.int64], low: int, high: int) -> npt.NDArray[np.int64]:
    """Disjoint spans that cover what `spans` (shape (n, 2), start and end) cover between `low` and `high`; empty ones vanish."""
    cut = np.clip(spans, low, high)
    cut = cut[cut[:, 1] > cut[:, 0]]
    if not len(cut):
        return np.zeros((0, 2), dtype=np.int64)
    cut = cut[np.argsort(cut[:, 0], kind="stable")]
    reach = np.maximum.accumulate(cut[:, 1])
    opens = np.flatnonzero(np.concatenate([[True], cut[1:, 0] > reach[:-1]]))
    ends = np.concatenate([reach[opens[1:] - 1], reach[-1:]])
    return np.stack([cut[opens, 0], ends], axis=1)
