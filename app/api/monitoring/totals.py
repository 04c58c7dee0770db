"""A run's sums by stage and by executor, made once: every listing is a look-up in them."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spark_copilot.app.api.monitoring.values import PEAKS
from spark_copilot.rules_engine.facts import (
    FAILED,
    KILLED,
    MISSING,
    PUSH_READ,
    SUCCESS,
    AppRun,
    IntColumn,
    Resubmission,
    RunningTask,
    SqlExecution,
)

TASK_KILLED = "TaskKilled ("
_NUMBERS = itertools.count()


def kill_reason(text: str) -> str:
    """A failure as task pages print it: of a killed task the reason alone."""
    return text[len(TASK_KILLED) : -1] if text.startswith(TASK_KILLED) and text.endswith(")") else text


class Totals:
    """Sums of one run. Rows are those of its tables."""

    def __init__(self, run: AppRun) -> None:
        self.run = run
        self.number = next(_NUMBERS)
        """Unlike that of any other run read by this process, or of the same one read again."""
        self._executor_sums: dict[str, IntColumn] = {}

    @cached_property
    def settled(self) -> bool:
        """Whether every answer about the run stays as it is: nothing in it counts up to now."""
        run = self.run
        return run.complete and not run.running and all(one.completed_ms != MISSING for one in self.executions)

    @cached_property
    def executions(self) -> list[SqlExecution]:
        """SQL executions by id, without those that only a job names: Spark 1.6 logs no more of any."""
        told = (one for one in self.run.sql if one.plan is not None or max(one.submitted_ms, one.completed_ms) != MISSING)
        return sorted(told, key=lambda one: one.sql_id)

    def metric(self, name: str) -> IntColumn:
        """A task metric; zeros where the log has none."""
        column: IntColumn | None = getattr(self.run.tasks, name)
        return self._zeros if column is None else column

    def push(self, name: str) -> IntColumn:
        """A push-based shuffle metric by the names of `PUSH_READ`."""
        pushed = self.run.tasks.push_read
        return self._zeros if pushed is None else pushed[:, PUSH_READ.index(name)]

    @cached_property
    def _zeros(self) -> IntColumn:
        return np.zeros(len(self.run.tasks), dtype=np.int64)

    @cached_property
    def duration_ms(self) -> IntColumn:
        """How long each task was held, shape (n_tasks,)."""
        return self.run.tasks.duration_ms

    @cached_property
    def in_stage(self) -> npt.NDArray[np.bool_]:
        """Tasks that count in their stage's sums, shape (n_tasks,)."""
        return ~np.isin(self.run.tasks.task_id, np.array(self.run.late.stage_tasks, dtype=np.int64))

    @cached_property
    def in_executor(self) -> npt.NDArray[np.bool_]:
        """Tasks that count as ended in their executor's sums, shape (n_tasks,)."""
        return ~np.isin(self.run.tasks.task_id, np.array(self.run.late.executor_tasks, dtype=np.int64))

    def by_stage(self, name: str) -> IntColumn:
        """A metric's sum a stage attempt."""
        return self._sum(self.metric(name) * self.in_stage, self.run.tasks.stage_row, len(self.run.stages))

    @cached_property
    def stage_sums(self) -> dict[str, IntColumn]:
        """Every metric's sum a stage attempt, push metrics too."""
        names = [f.name for f in fields(self.run.tasks) if f.name.endswith(("_ms", "_ns", "_bytes", "_records", "_blocks"))]
        sums = {name: self.by_stage(name) for name in names}
        sums.update(
            {name: self._sum(self.push(name) * self.in_stage, self.run.tasks.stage_row, len(self.run.stages)) for name in PUSH_READ}
        )
        return sums

    def by_executor(self, name: str) -> IntColumn:
        """A metric's sum an executor."""
        known = self._executor_sums.get(name)
        if known is None:
            values = self.duration_ms if name == "duration_ms" else self.metric(name)
            known = self._executor_sums[name] = self._sum(values * self.in_executor, self.run.tasks.executor_row, len(self.run.executors))
        return known

    @cached_property
    def shown_sums(self) -> dict[str, list[int]]:
        """`stage_sums` as plain numbers: a listing takes dozens of each stage."""
        return {name: column.tolist() for name, column in self.stage_sums.items()}

    @cached_property
    def job_row_of(self) -> dict[int, int]:
        """Job id -> row."""
        return {int(job): row for row, job in enumerate(self.run.jobs.job_id)}

    @cached_property
    def executor_status(self) -> dict[int, IntColumn]:
        """Ended tasks an executor by outcome."""
        tasks, n = self.run.tasks, len(self.run.executors)
        return {
            status: np.bincount(tasks.executor_row[(tasks.status == status) & self.in_executor], minlength=n)
            for status in (SUCCESS, FAILED, KILLED)
        }

    @cached_property
    def executor_active(self) -> Counter[int]:
        """Running tasks an executor; to Spark those that ended after it still run."""
        late = self.run.tasks.executor_row[~self.in_executor].tolist()
        return Counter([*(task.executor_row for task in self.run.running), *late])

    @cached_property
    def executor_lost(self) -> Counter[int]:
        """Resubmitted tasks an executor that was still listed."""
        return Counter(task.executor_row for task in self.run.resubmitted if task.alive)

    @cached_property
    def peaks_of_stage(self) -> dict[int, dict[int, Mapping[str, int]]]:
        """Stage row -> executor row -> peak executor metrics."""
        found: dict[int, dict[int, Mapping[str, int]]] = {}
        for (stage, executor), peaks in self.run.stage_peaks.items():
            found.setdefault(stage, {})[executor] = peaks
        return found

    @cached_property
    def peak_of_stage(self) -> dict[int, dict[str, int]]:
        """Stage row -> the highest of each executor metric over its executors."""
        found: dict[int, dict[str, int]] = {}
        for row, executors in self.peaks_of_stage.items():
            peak = found[row] = dict.fromkeys(PEAKS, 0)
            for peaks in executors.values():
                for name, value in peaks.items():
                    if value > peak.get(name, value):
                        peak[name] = value
        return found

    @cached_property
    def _killed(self) -> bool:
        return bool((self.run.tasks.status == KILLED).any())

    @cached_property
    def resubmitted_of_stage(self) -> dict[int, list[Resubmission]]:
        """Stage row -> its tasks that had to run again."""
        found: dict[int, list[Resubmission]] = {}
        for one in self.run.resubmitted:
            found.setdefault(one.stage_row, []).append(one)
        return found

    @staticmethod
    def _sum(values: IntColumn, rows: IntColumn, length: int) -> IntColumn:
        out = np.zeros(length, dtype=np.int64)
        np.add.at(out, rows, values)
        return out

    @cached_property
    def stage_status(self) -> dict[int, IntColumn]:
        """Ended tasks a stage attempt by outcome; a resubmitted task counts as failed once more."""
        tasks, n = self.run.tasks, len(self.run.stages)
        counts = {
            status: np.bincount(tasks.stage_row[(tasks.status == status) & self.in_stage], minlength=n)
            for status in (SUCCESS, FAILED, KILLED)
        }
        for again in self.run.resubmitted:
            counts[FAILED][again.stage_row] += 1
        return counts

    @cached_property
    def stage_active(self) -> IntColumn:
        """Tasks a stage attempt that began and did not end."""
        return np.bincount(
            [t.stage_row for t in self.run.running if t.task_id not in self._outside], minlength=len(self.run.stages)
        ).astype(np.int64)

    @cached_property
    def stage_first_launch(self) -> IntColumn:
        """The first task's launch a stage attempt, MISSING without one."""
        highest = np.iinfo(np.int64).max
        first = np.full(len(self.run.stages), highest, dtype=np.int64)
        np.minimum.at(first, self.run.tasks.stage_row[self.in_stage], self.run.tasks.launch_ms[self.in_stage])
        for task in self.run.running:
            if task.task_id in self._outside:
                continue
            first[task.stage_row] = min(int(first[task.stage_row]), task.launch_ms)
        return np.where(first == highest, MISSING, first)

    @cached_property
    def rows_of_stage(self) -> dict[int, list[int]]:
        """Stage id -> rows of its attempts that an event described."""
        found: dict[int, list[int]] = {}
        stages = self.run.stages
        for row in np.flatnonzero(stages.described).tolist():
            found.setdefault(int(stages.stage_id[row]), []).append(row)
        return found

    @cached_property
    def _outside(self) -> frozenset[int]:
        return frozenset(self.run.late.stage_tasks)

    @cached_property
    def running_of_stage(self) -> dict[int, list[RunningTask]]:
        """Stage row -> its tasks whose end is not in the log."""
        found: dict[int, list[RunningTask]] = {}
        for task in self.run.running:
            found.setdefault(task.stage_row, []).append(task)
        return found

    def counted_rows(self, stage_row: int, before: int | None = None) -> IntColumn:
        """Task rows of a stage attempt that count in its sums, of those that ended before this row."""
        rows = self.run.task_rows(stage_row)
        if self.run.late.stage_tasks:
            rows = rows[self.in_stage[rows]]
        return rows if before is None else rows[rows < before]

    def completed_indices(self, rows: Iterable[int], before: int | None = None) -> int:
        """Distinct partitions of these stage attempts that some task finished, counted by stage id."""
        tasks, ids = self.run.tasks, self.run.stages.stage_id
        rows = list(rows)
        if len(rows) == len({int(ids[row]) for row in rows}) and all(self._all_ended(row, before) for row in rows):
            return sum(self._completed[row] for row in rows)
        done: dict[int, list[IntColumn]] = {}
        for row in rows:
            mine = self.counted_rows(row, before)
            done.setdefault(int(ids[row]), []).append(tasks.index[mine[tasks.status[mine] == SUCCESS]])
        return sum(len(np.unique(np.concatenate(every))) for every in done.values())

    def _all_ended(self, stage_row: int, before: int | None) -> bool:
        if before is None:
            return True
        mine = self.run.task_rows(stage_row)
        return not len(mine) or int(mine[-1]) < before

    @cached_property
    def _completed(self) -> list[int]:
        """Distinct partitions a stage attempt that some task finished."""
        tasks = self.run.tasks
        counted = (tasks.status == SUCCESS) & self.in_stage
        stage, index = tasks.stage_row[counted], tasks.index[counted]
        order = np.lexsort((index, stage))
        stage, index = stage[order], index[order]
        new = np.ones(len(stage), dtype=np.bool_)
        new[1:] = (stage[1:] != stage[:-1]) | (index[1:] != index[:-1])
        counts: list[int] = np.bincount(stage[new], minlength=len(self.run.stages)).tolist()
        return counts

    def killed_summary(self, rows: npt.NDArray[np.int64]) -> dict[str, int]:
        """Kill reason -> tasks, over these task rows."""
        tasks = self.run.tasks
        reasons: Counter[str] = Counter()
        if not self._killed:
            return {}
        for row in rows[tasks.status[rows] == KILLED]:
            error = int(tasks.error_row[row])
            text = self.run.errors[error] if error != MISSING else ""
            reasons[kill_reason(text)] += 1
        return dict(reasons)
