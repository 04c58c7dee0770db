"""A recorded run as the replay sees it: how long each task holds a slot, what waits for what, and the pauses that stay as they were."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from spark_copilot.ml.simulator.pools import turns
from spark_copilot.rules_engine.facts import DRIVERS, FAILED, MISSING, SUCCESS, AppRun, FloatColumn, IntColumn

DISPATCH_MS = 150.0
"""A slot that stood empty for less than this before a task started was being handed over; longer, the task was held back by something else."""

START_MS = 2_000.0
"""Delays up to this after a stage's submission are the stage's own start (tasks being made, code being shipped)."""

_FOREVER = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class SimStage:
    """One stage attempt. Arrays have one entry a task attempt, in the order of launch.

    `hold_ms`: launch to finish plus the hand-over of the slot before it. `release_ms`: earliest start after the stage's submission (0: at once).
    `after`: position of the attempt that this one repeats, -1 for none. `copy_of`, `copy_delay_ms`: a speculative copy and how long after its original.
    `wait_ms`: pause between what the stage waits for and its submission. `tail_ms`: last task to completion.
    """

    ref: str
    stage_id: int
    row: int
    job: int
    hold_ms: FloatColumn
    release_ms: FloatColumn
    after: IntColumn
    copy_of: IntColumn
    copy_delay_ms: FloatColumn
    task_rows: IntColumn
    """Rows of the run's task table; -1 for tasks that a remedy invented."""
    prerequisites: tuple[int, ...]
    wait_ms: float
    tail_ms: float
    turn: int = 0
    """Stages with the same number go by age; of two numbers the one with fewer tasks running goes first (`pools.turns`)."""
    skip: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SimJob:
    """One job. It is submitted `wait_ms` after job `anchor` ends (-1: after the application starts), and ends `tail_ms` after its last stage.

    `idle_ms` is the whole duration of a job that ran no stage.
    """

    job_id: int
    anchor: int
    wait_ms: float
    tail_ms: float
    idle_ms: float
    observed_ms: float
    stages: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """Slots of one executor: times relative to the application's start; `removed_ms` infinite when it stayed."""

    executor_id: str
    count: int
    added_ms: float
    removed_ms: float = _FOREVER


@dataclass(frozen=True, slots=True, eq=False)
class ReplayModel:
    """Everything the replay needs; remedies return changed copies. Times are milliseconds after the application's start."""

    run: AppRun
    stages: tuple[SimStage, ...]
    jobs: tuple[SimJob, ...]
    slots: tuple[Slots, ...]
    end_anchor: int
    end_wait_ms: float
    task_fixed_ms: float
    """What a task costs beside its work, learnt from the shortest tasks of the log."""
    gap_scale: float = 1.0
    """Factor on every pause in which the driver alone worked."""
    warm_ms: float = 0.0
    """Added to the first task of each slot; 0 while the recorded tasks still hold their own warm-up."""
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, run: AppRun) -> Self:
        """The model of a recorded run. Stages whose tasks were not logged have none and last what they lasted."""
        jobs, job_index = _jobs(run)
        stages = _stages(run, job_index)
        members: dict[int, list[int]] = defaultdict(list)
        for position, stage in enumerate(stages):
            members[stage.job].append(position)
        jobs = [_with_stages(run, job, tuple(members[i]), stages) for i, job in enumerate(jobs)]
        last = max(range(len(jobs)), key=lambda i: _job_end(run, i), default=-1)
        end_wait = float(run.ended_ms - (_job_end(run, last) if last >= 0 else run.started_ms))
        return cls(
            run=run,
            stages=tuple(stages),
            jobs=tuple(jobs),
            slots=_slots(run),
            end_anchor=last,
            end_wait_ms=max(end_wait, 0.0),
            task_fixed_ms=_fixed_cost(run),
        )

    def position_of(self, ref: str) -> int | None:
        """Position of a stage attempt named "4.0"; None when it has no place in the replay."""
        return self._positions().get(ref)

    def _positions(self) -> Mapping[str, int]:
        return {stage.ref: position for position, stage in enumerate(self.stages)}

    def with_stages(self, changed: Mapping[int, SimStage]) -> Self:
        """The model with some stages replaced, by position."""
        return replace(self, stages=tuple(changed.get(i, s) for i, s in enumerate(self.stages)))


def _job_end(run: AppRun, row: int) -> int:
    end = int(run.jobs.completed_ms[row])
    return run.ended_ms if end == MISSING else end


def _jobs(run: AppRun) -> tuple[list[SimJob], dict[int, int]]:
    """Jobs with the job whose end each waited for: the last one that had ended when it was submitted."""
    ends = np.array([_job_end(run, i) for i in range(len(run.jobs))], dtype=np.int64)
    by_end = np.argsort(ends, kind="stable")
    sorted_ends = ends[by_end]
    jobs = []
    for row in range(len(run.jobs)):
        submitted = int(run.jobs.submitted_ms[row])
        before = int(np.searchsorted(sorted_ends, submitted, side="right")) - 1
        while before >= 0 and int(by_end[before]) == row:
            before -= 1
        anchor = int(by_end[before]) if before >= 0 else -1
        base = int(ends[anchor]) if anchor >= 0 else run.started_ms
        jobs.append(
            SimJob(
                job_id=int(run.jobs.job_id[row]),
                anchor=anchor,
                wait_ms=float(max(submitted - base, 0)),
                tail_ms=0.0,
                idle_ms=float(max(int(ends[row]) - submitted, 0)),
                observed_ms=float(max(int(ends[row]) - submitted, 0)),
                stages=(),
            )
        )
    return jobs, {int(j): i for i, j in enumerate(run.jobs.job_id)}


def _with_stages(run: AppRun, job: SimJob, members: tuple[int, ...], stages: list[SimStage]) -> SimJob:
    if not members:
        return job
    row = int(np.flatnonzero(run.jobs.job_id == job.job_id)[0])
    ends = [_stage_end(run, stages[m].row) for m in members]
    return replace(job, stages=members, tail_ms=float(max(_job_end(run, row) - max(ends), 0)))


def _stage_end(run: AppRun, row: int) -> int:
    end = int(run.stages.completed_ms[row])
    if end != MISSING:
        return end
    rows = run.task_rows(row)
    return int(run.tasks.finish_ms[rows].max()) if len(rows) else max(int(run.stages.submitted_ms[row]), run.started_ms)


def _stages(run: AppRun, job_index: Mapping[int, int]) -> list[SimStage]:
    table = run.stages
    ran = [
        row for row in range(len(table)) if not table.skipped[row] and (int(table.submitted_ms[row]) != MISSING or len(run.task_rows(row)))
    ]
    ran.sort(key=lambda row: (_submitted(run, row), int(table.stage_id[row]), int(table.attempt[row])))
    position = {row: i for i, row in enumerate(ran)}
    of_id: dict[int, list[int]] = defaultdict(list)
    for row in ran:
        of_id[int(table.stage_id[row])].append(row)
    times = _slot_times(run)
    stages = []
    for row in ran:
        submitted = _submitted(run, row)
        waits_for = []
        wanted = [*table.parents[row], int(table.stage_id[row])]
        for stage_id in wanted:
            ended = [r for r in of_id.get(stage_id, ()) if r != row and position[r] < position[row] and _stage_end(run, r) <= submitted]
            if ended:
                waits_for.append(max(ended, key=lambda r: _stage_end(run, r)))
        job = int(table.job_row[row])
        base = max((_stage_end(run, r) for r in waits_for), default=run.started_ms)
        if 0 <= job < len(run.jobs):
            base = max(base, min(int(run.jobs.submitted_ms[job]), submitted))
        stages.append(_stage(run, row, job, tuple(position[r] for r in waits_for), float(max(submitted - base, 0)), times))
    return [replace(s, turn=turn) for s, turn in zip(stages, turns(run, ran, [_submitted(run, row) for row in ran]), strict=True)]


def _submitted(run: AppRun, row: int) -> int:
    """Submission, or the first launch where the log lacks it."""
    known = int(run.stages.submitted_ms[row])
    rows = run.task_rows(row)
    first = int(run.tasks.launch_ms[rows].min()) if len(rows) else known
    return first if known == MISSING else min(known, first) if len(rows) else known


def _stage(run: AppRun, row: int, job: int, waits_for: tuple[int, ...], wait_ms: float, times: _Hold) -> SimStage:
    tasks = run.tasks
    rows = run.task_rows(row)
    rows = rows[np.lexsort((tasks.task_id[rows], tasks.launch_ms[rows]))]
    n = len(rows)
    hold = times.hold_ms[rows]
    idle = times.idle_ms[rows]
    handed = idle <= DISPATCH_MS
    release = np.where(handed, 0.0, np.maximum(tasks.launch_ms[rows] - _submitted(run, row), 0)).astype(np.float64)
    hold = hold + np.where(handed, idle, 0.0)
    # A task of the first moments that was held back holds back those launched after it: the record shows their order.
    release = np.maximum(release, np.maximum.accumulate(np.where(release <= START_MS, release, 0.0))) if n else release
    after = np.full(n, -1, dtype=np.int64)
    copy_of = np.full(n, -1, dtype=np.int64)
    delay = np.zeros(n)
    last_of: dict[int, int] = {}
    for i, (index, speculative) in enumerate(zip(tasks.index[rows].tolist(), tasks.speculative[rows].tolist(), strict=True)):
        earlier = last_of.get(index)
        if earlier is not None and speculative:
            copy_of[i] = earlier
            delay[i] = float(tasks.launch_ms[rows[i]] - tasks.launch_ms[rows[earlier]])
            continue
        if earlier is not None and tasks.launch_ms[rows[i]] >= tasks.finish_ms[rows[earlier]]:
            after[i] = earlier
        last_of[index] = i
    tail = _stage_end(run, row) - int(tasks.finish_ms[rows].max()) if n else _stage_end(run, row) - _submitted(run, row)
    return SimStage(
        ref=run.stages.ref(row),
        stage_id=int(run.stages.stage_id[row]),
        row=row,
        job=job,
        hold_ms=hold,
        release_ms=release,
        after=after,
        copy_of=copy_of,
        copy_delay_ms=delay,
        task_rows=rows,
        prerequisites=waits_for,
        wait_ms=wait_ms,
        tail_ms=float(max(tail, 0)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Hold:
    """Per task of the run, shape (n_tasks,): how long it really held its slot, and how long that slot had stood empty before."""

    hold_ms: FloatColumn
    idle_ms: FloatColumn


def _slot_times(run: AppRun) -> _Hold:
    """Place the recorded tasks on their executor's slots again.

    A task's end is logged when the driver has handled it, which for very short tasks is well after its slot was given away: where the record shows
    more tasks than slots, the one that ends first is taken to have left its slot when the next was launched.
    """
    tasks = run.tasks
    hold = np.maximum(tasks.finish_ms - tasks.launch_ms, 0).astype(np.float64)
    idle = np.zeros(len(tasks))
    ready = [_submitted(run, row) for row in range(len(run.stages))]
    finished: dict[tuple[int, int], int] = {}
    order = np.lexsort((tasks.task_id, tasks.launch_ms))
    running: dict[int, list[tuple[int, int]]] = defaultdict(list)
    free: dict[int, list[int]] = defaultdict(list)
    capacity = _capacity(run)
    launch, finish = tasks.launch_ms.tolist(), tasks.finish_ms.tolist()
    executor, stage_row, index = tasks.executor_row.tolist(), tasks.stage_row.tolist(), tasks.index.tolist()
    for i in order.tolist():
        on, start = executor[i], launch[i]
        busy, empty = running[on], free[on]
        while busy and busy[0][0] <= start:
            empty.append(heapq.heappop(busy)[0])
        since = max(ready[stage_row[i]], finished.get((stage_row[i], index[i]), 0))
        if len(busy) >= capacity[on]:
            _, other = heapq.heappop(busy)
            hold[other] = max(start - launch[other], 0)
            since = start
        elif empty:
            since = max(since, empty.pop())
        idle[i] = max(start - since, 0)
        heapq.heappush(busy, (finish[i], i))
        finished[stage_row[i], index[i]] = finish[i]
    return _Hold(hold, idle)


def _capacity(run: AppRun) -> list[int]:
    """Slots of each executor; where the log gives no cores, the most tasks it ran at once."""
    if run.local_cores is not None:
        return [run.slots_max] * len(run.executors)
    used = set(run.tasks.executor_row.tolist())
    return [
        count if (count := int(cores) // run.task_cpus) > 0 else max(_most_at_once(run, row), 1) if row in used else 1
        for row, cores in enumerate(run.executors.cores.tolist())
    ]


MAX_SLOTS = 16_384
"""Slots of one executor that are replayed; a log that names more names more than any machine has."""


def _slots(run: AppRun) -> tuple[Slots, ...]:
    if run.local_cores is not None:
        return (Slots("driver", min(run.slots_max, MAX_SLOTS), 0.0),)
    found = []
    workers = run.executors
    used = set(run.tasks.executor_row.tolist())
    for row in range(len(workers)):
        count = int(workers.cores[row]) // run.task_cpus
        if workers.executor_id[row] in DRIVERS and row not in used:
            continue
        if count <= 0:
            count = _most_at_once(run, row) if row in used else 0
        if count <= 0:
            continue
        own = run.tasks.launch_ms[run.executor_task_rows(row)]
        first = int(own.min()) if len(own) else run.ended_ms
        added = max(min(int(workers.added_ms[row]), first) - run.started_ms, 0) if workers.added_ms[row] != MISSING else 0
        gone = int(workers.removed_ms[row])
        found.append(
            Slots(
                workers.executor_id[row],
                min(count, MAX_SLOTS),
                float(added),
                _FOREVER if gone == MISSING else float(max(gone - run.started_ms, 0)),
            )
        )
    return tuple(found) or (Slots("unknown", min(run.slots_max, MAX_SLOTS), 0.0),)


def _most_at_once(run: AppRun, executor_row: int) -> int:
    own = run.executor_task_rows(executor_row)
    times = np.concatenate([run.tasks.launch_ms[own], run.tasks.finish_ms[own]])
    deltas: npt.NDArray[np.int64] = np.repeat(np.array([1, -1], dtype=np.int64), len(own))
    return int(np.cumsum(deltas[np.lexsort((deltas, times))]).max()) if len(times) else 0


def _fixed_cost(run: AppRun) -> float:
    """The 10th percentile of task times in the stage where that is least, first tasks of each executor left out; 5 to 200 ms."""
    best = 200.0
    ok = run.tasks.status == SUCCESS
    for row in range(len(run.stages)):
        rows = run.task_rows(row)
        rows = rows[ok[rows]]
        if len(rows) >= 8:
            best = min(best, float(np.quantile(run.tasks.duration_ms[rows[2:]], 0.1)))
    return max(best, 5.0)


def failed_positions(model: ReplayModel, stage: SimStage) -> IntColumn:
    """Positions of a stage's attempts that failed."""
    known = stage.task_rows >= 0
    status = np.where(known, model.run.tasks.status[np.maximum(stage.task_rows, 0)], SUCCESS) if len(model.run.tasks) else np.zeros(0)
    return np.flatnonzero(status == FAILED).astype(np.int64)
