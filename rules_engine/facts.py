"""What one run was: `AppRun`, columnar and frozen. Built by `connectors/eventlog`, read by everything else.

Columns are numpy arrays with their unit in the name; times are UTC epoch milliseconds, durations milliseconds. `MISSING` (-1) marks one value
that the log does not have; a column that the log does not have at all is None, never zeros, and `require` turns it into a `MissingFact`.
Strings repeat much, so they stand once in a tuple and columns hold their index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.cached_rdds import CachedRdd
from spark_copilot.rules_engine.entities import (
    Application,
    ConnectOperation,
    ConnectSession,
    Environment,
    Late,
    Process,
    Quality,
    Resubmission,
    RunningTask,
)
from spark_copilot.rules_engine.queries import (
    PlanMetric,
    PlanNode,
    SqlExecution,
    StreamProgress,
)
from spark_copilot.rules_engine.tables import (
    DRIVERS,
    FAILED,
    KILLED,
    LOCALITIES,
    MISSING,
    PUSH_READ,
    SUCCESS,
    BoolColumn,
    ExecutorTable,
    FloatColumn,
    IntColumn,
    JobTable,
    RddInfo,
    StageTable,
    TaskTable,
)
from spark_copilot.rules_engine.units import parse_count

__all__ = [
    "DRIVERS",
    "FAILED",
    "KILLED",
    "LOCALITIES",
    "MISSING",
    "PUSH_READ",
    "SUCCESS",
    "AppRun",
    "Application",
    "BoolColumn",
    "ConnectOperation",
    "ConnectSession",
    "Environment",
    "ExecutorTable",
    "FloatColumn",
    "IntColumn",
    "JobTable",
    "Late",
    "PlanMetric",
    "PlanNode",
    "Process",
    "Quality",
    "RddInfo",
    "Resubmission",
    "RunningTask",
    "SqlExecution",
    "StageTable",
    "StreamProgress",
    "TaskTable",
    "union",
]


MAX_THREADS = 16_384
"""Of `local[N]`: no process runs more tasks at once, whatever N says."""


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
        return min(max(parse_count(master.removeprefix("local[").split(",")[0].rstrip("]")) or 1, 1), MAX_THREADS)

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

    def running_ms(self, begin_ms: int, end_ms: int) -> int:
        """Time of all tasks between two moments, each task's part of it added up."""
        return self._run_until(end_ms) - self._run_until(begin_ms)

    def _run_until(self, moment_ms: int) -> int:
        total = 0
        for sign, (moments, sums) in zip((1, -1), self._moments, strict=True):
            before = int(np.searchsorted(moments, moment_ms))
            total += sign * (int(sums[before]) + (len(moments) - before) * moment_ms)
        return total

    @cached_property
    def _moments(self) -> tuple[tuple[IntColumn, IntColumn], ...]:
        """The tasks' ends, then their starts: in order, and the sums of all before each."""
        ordered = [np.sort(times) for times in (self.tasks.finish_ms, self.tasks.launch_ms)]
        return tuple((moments, np.concatenate([[0], np.cumsum(moments)]).astype(np.int64)) for moments in ordered)

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
