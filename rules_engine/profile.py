"""Stages seen from their tasks: what rules ask of a stage, computed once per run and only for stages that weigh something."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from spark_copilot.rules_engine.facts import MISSING, SUCCESS, AppRun, BoolColumn, IntColumn, PlanNode, SqlExecution
from spark_copilot.rules_engine.findings import Where

MIN_STAGE_RATIO: Final = 0.01
"""Stages whose tasks hold less than this share of the wall clock (and less than a second) cannot be worth a change."""


WARM_WAVES: Final = 3
"""Waves of tasks at the begin of a run in which a JVM still gets faster."""
SLOW_TASK_MS: Final = 1_000
"""A task that is slower than its peers by less is one of many that scatter."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage attempt with the task attempts that succeeded. Times in milliseconds."""

    run: AppRun
    row: int
    rows: IntColumn
    """Rows of `run.tasks`."""

    @property
    def ref(self) -> str:
        """The attempt as remedies name it."""
        return self.run.stages.ref(self.row)

    @property
    def n(self) -> int:
        """Tasks that succeeded."""
        return len(self.rows)

    @property
    def declared(self) -> int:
        """Tasks the stage was submitted with."""
        return max(int(self.run.stages.n_tasks[self.row]), self.n)

    @cached_property
    def ms(self) -> IntColumn:
        """Slot time of each task."""
        return self.run.tasks.duration_ms[self.rows]

    @cached_property
    def total_ms(self) -> int:
        """Slot time of all tasks."""
        return int(self.ms.sum())

    @cached_property
    def span_ms(self) -> int:
        """First launch to last finish."""
        tasks = self.run.tasks
        return int(tasks.finish_ms[self.rows].max() - tasks.launch_ms[self.rows].min()) if self.n else 0

    @cached_property
    def slowest(self) -> int:
        """Position of the longest task."""
        return int(self.ms.argmax())

    @cached_property
    def usual_ms(self) -> float:
        """Median slot time of the other tasks: the slowest is not held against itself."""
        return self._usual(self.ms)

    def _usual(self, values: IntColumn) -> float:
        return float(np.median(np.delete(values, self.slowest))) if self.n > 1 else float(values[0])

    @cached_property
    def tail_ms(self) -> float:
        """How much longer the slowest task took than its median peer."""
        return float(self.ms[self.slowest]) - self.usual_ms

    @cached_property
    def tail_ratio(self) -> float:
        """Slowest over median peer."""
        return float(self.ms[self.slowest]) / max(self.usual_ms, 1.0)

    @cached_property
    def _slow(self) -> BoolColumn:
        """Tasks that took over twice as long as their peers, and longer by `SLOW_TASK_MS`."""
        return self.ms > max(2.0 * self.usual_ms, self.usual_ms + SLOW_TASK_MS)

    @cached_property
    def left_behind_ms(self) -> int:
        """From the end of the last task that was not slow to the end of the stage: what the slow ones made it wait."""
        ends = self.run.tasks.finish_ms[self.rows]
        usual = ~self._slow
        return int(ends.max() - ends[usual].max()) if usual.any() else 0

    @cached_property
    def held_up_ms(self) -> float:
        """What slow tasks took beyond their peers, spread over the slots; first-wave tasks do not count, they pay for warm-up.

        Nor do the slow ones right after them in the first waves of the run: compiled code comes task by task.
        """
        launch = self.run.tasks.launch_ms
        launched = np.argsort(launch[self.rows], kind="stable")
        later = np.ones(self.n, dtype=np.bool_)
        later[launched[: self.run.slots_max]] = False
        until = np.partition(launch, min(WARM_WAVES * self.run.slots_max, len(launch)) - 1)[: WARM_WAVES * self.run.slots_max].max()
        leading = np.logical_and.accumulate(self._slow[launched])
        later[launched[leading & (launch[self.rows][launched] <= until)]] = False
        slow = later & self._slow
        return float((self.ms[slow] - self.usual_ms).sum()) / self.run.slots_max

    @cached_property
    def warms_up(self) -> bool:
        """Whether each of its tasks is the first that its executor ran: classes are loaded and Python is started in them."""
        tasks = self.run.tasks
        first = profile(self.run).first_launch_ms[tasks.executor_row[self.rows]]
        return bool((tasks.launch_ms[self.rows] <= first).all())

    def column(self, name: str) -> IntColumn:
        """A metric of the stage's tasks; raises MissingFact where the log has none."""
        return self.run.tasks.require(name)[self.rows]

    @cached_property
    def read_bytes(self) -> IntColumn:
        """Input plus shuffle read of each task."""
        return self.run.tasks.read_bytes[self.rows]

    @cached_property
    def read_records(self) -> IntColumn:
        """Rows each task took in."""
        return self.run.tasks.read_records[self.rows]

    @cached_property
    def made_records(self) -> IntColumn:
        """Rows each task put out, to a shuffle or a table: an explode or a join may make most of them in one task that took in no more than others."""
        tasks = self.run.tasks
        known = [c for c in (tasks.shuffle_write_records, tasks.output_records) if c is not None]
        return np.sum([c[self.rows] for c in known], axis=0, dtype=np.int64) if known else np.zeros(self.n, dtype=np.int64)

    def data_ratio(self) -> float:
        """The slowest task's rows or bytes, taken in or put out, whichever stands out most, over its median peer's; 1.0 where there were none."""
        return max(self._ratio(self.read_bytes), self._ratio(self.read_records), self._ratio(self.made_records))

    def _ratio(self, values: IntColumn) -> float:
        mine = float(values[self.slowest])
        return mine / max(self._usual(values), 1.0) if mine > 0 else 1.0

    @cached_property
    def sql(self) -> SqlExecution | None:
        """The SQL execution the stage ran for."""
        row = int(self.run.stages.sql_row[self.row])
        return self.run.sql[row] if 0 <= row < len(self.run.sql) else None

    @cached_property
    def listed(self) -> str | None:
        """What a job lists that Spark starts by itself to find the files of very many folders; None for any other stage."""
        text = self.run.stages.description[self.row] if self.run.stages.description else None
        return text.removeprefix(_LISTING) if text is not None and text.startswith(_LISTING) else None

    @property
    def where(self) -> Where:
        """The place, with call site and SQL text where the log has them."""
        return where_of(self.run, self.row)

    def gap_row(self) -> int:
        """Row of the slowest task in the run's task table."""
        return int(self.rows[self.slowest])


def where_of(run: AppRun, row: int) -> Where:
    """The place of one stage attempt."""
    sql_row = int(run.stages.sql_row[row])
    sql = run.sql[sql_row] if 0 <= sql_row < len(run.sql) else None
    return Where(
        stage_id=int(run.stages.stage_id[row]),
        stage_attempt=int(run.stages.attempt[row]),
        sql_id=None if sql is None else sql.sql_id,
        call_site=call_site(run, row),
        sql_description=None if sql is None else (sql.description or None),
    )


_LISTING = "Listing leaf files and directories for "

_OPAQUE = ("NativeMethodAccessorImpl", "$anonfun$", "ThreadPoolExecutor.java", "withThreadLocalCaptured", "DirectMethodHandleAccessor")


def call_site(run: AppRun, row: int) -> str | None:
    """The line of the user's code behind a stage: the job's or SQL execution's description where the stage's own name is Spark's inner works."""
    candidates = [run.stages.name[row]]
    job = int(run.stages.job_row[row])
    if 0 <= job < len(run.jobs):
        candidates.append(run.jobs.name[job])
    sql = int(run.stages.sql_row[row])
    if 0 <= sql < len(run.sql):
        candidates.append(run.sql[sql].description)
    known = [c for c in candidates if c]
    return next((c for c in known if not any(o in c for o in _OPAQUE)), known[0] if known else None)


@dataclass(frozen=True, eq=False)
class Profile:
    """The stages of a run that weigh something, and where plan nodes ran."""

    run: AppRun

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Stages whose successful tasks hold at least a second and `MIN_STAGE_RATIO` of the wall clock, in table order."""
        run = self.run
        if not len(run.tasks):
            return ()
        ok = run.tasks.status == SUCCESS
        held = np.bincount(run.tasks.stage_row[ok], weights=run.tasks.duration_ms[ok].astype(np.float64), minlength=len(run.stages))
        heavy = np.flatnonzero((held >= 1_000) & (held >= MIN_STAGE_RATIO * run.wall_ms))
        found = []
        for row in heavy.tolist():
            rows = run.task_rows(row)
            found.append(Stage(run, row, rows[ok[rows]]))
        return tuple(found)

    @cached_property
    def first_launch_ms(self) -> IntColumn:
        """When each executor started its first task, shape (n_executors,); far in the future for one that ran none."""
        first = np.full(len(self.run.executors), np.iinfo(np.int64).max, dtype=np.int64)
        np.minimum.at(first, self.run.tasks.executor_row, self.run.tasks.launch_ms)
        return first

    def stage(self, row: int) -> Stage:
        """Any stage, heavy or not."""
        rows = self.run.task_rows(row)
        return Stage(self.run, row, rows[self.run.tasks.status[rows] == SUCCESS])

    @cached_property
    def _stage_of_accumulator(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for row, accumulables in enumerate(self.run.stages.accumulables):
            for accumulator in accumulables:
                found.setdefault(accumulator, []).append(row)
        return found

    def stages_of(self, node: PlanNode) -> list[int]:
        """Stage rows in which a plan node ran: those that updated one of its metrics. Empty where the log keeps no accumulables."""
        rows = {row for m in node.metrics for row in self._stage_of_accumulator.get(m.accumulator, ())}
        return sorted(rows)

    @cached_property
    def sql_span_ms(self) -> dict[int, int]:
        """SQL id -> start to end, to the application's end where it has none."""
        return {
            s.sql_id: max((s.completed_ms if s.completed_ms != MISSING else self.run.ended_ms) - s.submitted_ms, 0) for s in self.run.sql
        }

    def executions(self) -> Iterator[SqlExecution]:
        """SQL executions with a plan that took at least a hundredth of the wall clock."""
        for execution in self.run.sql:
            if execution.plan is not None and self.sql_span_ms[execution.sql_id] >= MIN_STAGE_RATIO * self.run.wall_ms:
                yield execution


def profile(run: AppRun) -> Profile:
    """The profile of a run, made once and kept with the run."""
    kept = run.__dict__.get("_profile")
    if kept is None:
        kept = run.__dict__["_profile"] = Profile(run)
    found: Profile = kept
    return found
