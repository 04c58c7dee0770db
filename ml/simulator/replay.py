"""The scheduler: an event loop over jobs, stages and slots, as Spark's own scheduler would place the recorded tasks."""

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np

from spark_copilot.ml.simulator.model import ReplayModel, SimStage
from spark_copilot.rules_engine.facts import FloatColumn

_JOB, _STAGE, _READY, _DONE, _SLOTS, _JOB_END, _STAGE_END = range(7)

_TASK = 1 << 24
"""More than the slots of any replay: a task's position and its slot travel in one number."""

_LATE = 1 << 48
"""Added to the order of a task's end, so that whatever else happens in the same moment is known before its slot is given away."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Times in milliseconds after the application's start. Arrays are by position in the model; NaN for what never ran."""

    wall_ms: float
    job_start_ms: FloatColumn
    job_end_ms: FloatColumn
    stage_start_ms: FloatColumn
    stage_end_ms: FloatColumn
    task_ms: float
    """Slot time of all tasks."""


class Scheduler:
    """One replay in the making."""

    def __init__(self, model: ReplayModel) -> None:
        self.model = model
        self.events: list[tuple[float, int, int, int, int]] = []
        self.sequence = 0
        self.pending: dict[int, deque[int]] = {}
        self.pool = [s.turn for s in model.stages]
        pools = max(self.pool, default=0) + 1
        # Both lists may hold entries that are out of date. Stages with a task to start, by age, in each pool; pools, by how many tasks they run.
        self.waiting: list[list[tuple[int, int, int]]] = [[] for _ in range(pools)]
        self.turns: list[tuple[int, int]] = []
        self.running = [0] * pools
        self.left = [len(s.hold_ms) if not s.skip else 0 for s in model.stages]
        self.free: list[int] = []
        self.gone: list[int] = []
        self.removed_ms: list[float] = []
        self.hold = [s.hold_ms.tolist() for s in model.stages]
        self.release = [s.release_ms.tolist() for s in model.stages]
        self.followers = [_followers(s) for s in model.stages]
        self.copies = [_copies(s) for s in model.stages]
        self.plain = [not f and not c for f, c in zip(self.followers, self.copies, strict=True)]
        n_stages, n_jobs = len(model.stages), len(model.jobs)
        self.stage_start, self.stage_end = np.full(n_stages, np.nan), np.full(n_stages, np.nan)
        self.job_start, self.job_end = np.full(n_jobs, np.nan), np.full(n_jobs, np.nan)
        self.dependants: list[list[int]] = [[] for _ in range(n_stages)]
        self.missing = [0] * n_stages
        for position, stage in enumerate(model.stages):
            self.missing[position] = len(stage.prerequisites) + (1 if 0 <= stage.job < n_jobs else 0)
            for p in stage.prerequisites:
                self.dependants[p].append(position)
        self.base = [0.0] * n_stages
        self.job_left = [len(j.stages) for j in model.jobs]
        self.job_last = [0.0] * n_jobs
        self.anchored: dict[int, list[int]] = {}
        for position, job in enumerate(model.jobs):
            self.anchored.setdefault(job.anchor, []).append(position)
        self.now = 0.0
        self.last = 0.0
        self.cold: set[int] = set()

    def push(self, time: float, kind: int, a: int, b: int = 0) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (time, self.sequence, kind, a, b))

    def run(self) -> Replay:
        """Schedule everything."""
        model = self.model
        for position, slots in enumerate(model.slots):
            self.push(slots.added_ms, _SLOTS, position)
        for job in self.anchored.get(-1, []):
            self.push(model.jobs[job].wait_ms, _JOB, job)
        for position, stage in enumerate(model.stages):
            if self.missing[position] == 0:  # a stage of no known job
                self.push(stage.wait_ms, _STAGE, position)
        while self.events or self.revive():
            self.now, _, kind, a, b = heapq.heappop(self.events)
            if kind == _DONE:
                self.task_done(a, b)
            elif kind == _READY:
                self.ready(a, b)
            elif kind == _JOB:
                self.job_submitted(a)
            elif kind == _STAGE:
                self.stage_submitted(a)
            elif kind == _STAGE_END:
                self.stage_ended(a)
            elif kind == _JOB_END:
                self.job_ended(a)
            else:
                slots = model.slots[a]
                self.add_slots(slots.count, slots.removed_ms)
            # Hand out slots once everything of this moment is known, so that equal times do not depend on their order.
            if not self.events or self.events[0][0] > self.now:
                self.assign()
                if not self.free:
                    self.burst()
        end = self.job_end[model.end_anchor] if model.end_anchor >= 0 else 0.0
        wall = float(end if np.isfinite(end) else self.last) + model.end_wait_ms * model.gap_scale
        held = float(sum(float(s.hold_ms.sum()) for s in model.stages if not s.skip))
        return Replay(max(wall, self.last), self.job_start, self.job_end, self.stage_start, self.stage_end, held)

    def add_slots(self, count: int, removed_ms: float) -> None:
        for _ in range(count):
            if self.model.warm_ms:
                self.cold.add(len(self.removed_ms))
            self.removed_ms.append(removed_ms)
            self.free.append(len(self.removed_ms) - 1)

    def revive(self) -> bool:
        """Executors that had left when the replay still has work (it ran later than the record) stay: the cluster would not have let them go."""
        waiting = any(self.pending.values())
        if not waiting or not self.gone:
            return False
        for slot in self.gone:
            self.removed_ms[slot] = float("inf")
        self.free, self.gone = list(self.gone), []
        self.assign()
        return bool(self.events)

    def job_submitted(self, job: int) -> None:
        self.job_start[job] = self.now
        if not self.model.jobs[job].stages:
            self.push(self.now + self.model.jobs[job].idle_ms, _JOB_END, job)
            return
        for position in self.model.jobs[job].stages:
            self.prerequisite_met(position)

    def prerequisite_met(self, position: int) -> None:
        self.missing[position] -= 1
        self.base[position] = max(self.base[position], self.now)
        if self.missing[position] == 0:
            stage = self.model.stages[position]
            self.push(self.now + (0.0 if stage.skip else stage.wait_ms), _STAGE, position)

    def stage_submitted(self, position: int) -> None:
        self.stage_start[position] = self.now
        stage = self.model.stages[position]
        if self.left[position] == 0:
            self.push(self.now + (0.0 if stage.skip else stage.tail_ms), _STAGE_END, position)
            return
        queue: deque[int] = deque()
        release = self.release[position]
        first = (stage.after < 0) & (stage.copy_of < 0)
        for task in np.flatnonzero(first).tolist():
            if release[task] > 0.0:
                self.push(self.now + release[task], _READY, position, task)
            else:
                queue.append(task)
        self.pending[position] = queue
        self.offer(position)

    def ready(self, position: int, task: int) -> None:
        queue = self.pending[position]
        queue.append(task)
        if len(queue) == 1:
            self.offer(position)

    def offer(self, position: int) -> None:
        """The stage has a task to start again."""
        if self.pending.get(position):
            stage, pool = self.model.stages[position], self.pool[position]
            heapq.heappush(self.waiting[pool], (stage.job, stage.stage_id, position))
            self.took(pool, 0)

    def took(self, pool: int, tasks: int) -> None:
        """So many more tasks of a pool run."""
        self.running[pool] += tasks
        if len(self.running) > 1 and self.waiting[pool]:
            heapq.heappush(self.turns, (self.running[pool], pool))

    def assign(self) -> None:
        while self.free:
            position = self.next_stage()
            if position is None:
                return
            slot = self.free.pop()
            if self.removed_ms[slot] <= self.now:
                self.gone.append(slot)
                continue
            task = self.pending[position].popleft()
            self.took(self.pool[position], 1)
            hold = self.hold[position][task]
            if slot in self.cold:
                self.cold.discard(slot)
                hold += self.model.warm_ms
            for copy, delay in self.copies[position].get(task, ()):
                if delay < hold:
                    self.push(self.now + delay, _READY, position, copy)
                else:
                    self.left[position] -= 1  # the original ends before a copy would start
            self.sequence += 1
            heapq.heappush(self.events, (self.now + hold, _LATE + self.sequence, _DONE, position, task * _TASK + slot))

    def next_stage(self) -> int | None:
        """Within a pool the earliest job, then stage, with a task waiting. Of several pools (FAIR) the one with the fewest tasks running, then by name."""
        if len(self.running) == 1:
            return self.first_of(0)
        while self.turns:
            running, pool = self.turns[0]
            if running == self.running[pool] and (position := self.first_of(pool)) is not None:
                return position
            heapq.heappop(self.turns)
        return None

    def first_of(self, pool: int) -> int | None:
        waiting = self.waiting[pool]
        while waiting:
            position = waiting[0][2]
            if self.pending.get(position):
                return position
            heapq.heappop(waiting)
        return None

    def burst(self) -> None:
        """While no slot is free and all that happens is that tasks end: each slot goes to the task whose turn it is, without a round through the events.

        Left to the events: the last task of a stage, slots that leave, stages with repeated attempts or copies.
        """
        events, pool, left, several = self.events, self.pool, self.left, len(self.running) > 1
        position = self.next_stage()
        while position is not None and events and self.plain[position]:
            time, _, kind, owner, packed = events[0]
            slot = packed % _TASK
            if kind != _DONE or left[owner] <= 1 or not self.plain[owner] or self.removed_ms[slot] <= time:
                return
            if several and (position := self.after_end(pool[owner])) is None:
                return
            queue = self.pending[position]
            task = queue.popleft()
            left[owner] -= 1
            self.last = max(self.last, time)
            self.sequence += 1
            heapq.heapreplace(events, (time + self.hold[position][task], _LATE + self.sequence, _DONE, position, task * _TASK + slot))
            if not queue:
                position = self.next_stage()

    def after_end(self, pool: int) -> int | None:
        """The plain stage that gets the slot of a task that ended in a pool, counted as running one more; None, with nothing changed, where there is none."""
        running = self.running[pool] - 1
        if self.turns and (running, pool) <= self.turns[0] and (position := self.first_of(pool)) is not None:
            return position if self.plain[position] else None  # its own pool is still the one with the fewest
        self.took(pool, -1)
        position = self.next_stage()
        if position is None or not self.plain[position]:
            self.took(pool, 1)
            return None
        self.took(self.pool[position], 1)
        return position

    def task_done(self, position: int, packed: int) -> None:
        task, slot = divmod(packed, 1 << 24)
        self.last = max(self.last, self.now)
        self.took(self.pool[position], -1)
        if self.removed_ms[slot] > self.now:
            self.free.append(slot)
        else:
            self.gone.append(slot)
        for follower in self.followers[position].get(task, ()):
            self.ready(position, follower)
        self.left[position] -= 1
        if self.left[position] <= 0:
            self.push(self.now + self.model.stages[position].tail_ms, _STAGE_END, position)
            self.pending.pop(position, None)

    def stage_ended(self, position: int) -> None:
        if np.isfinite(self.stage_end[position]):
            return
        self.stage_end[position] = self.now
        for dependant in self.dependants[position]:
            self.prerequisite_met(dependant)
        job = self.model.stages[position].job
        if 0 <= job < len(self.job_left):
            self.job_left[job] -= 1
            if self.job_left[job] == 0:
                self.push(self.now + self.model.jobs[job].tail_ms, _JOB_END, job)

    def job_ended(self, job: int) -> None:
        self.job_end[job] = self.now
        self.last = max(self.last, self.now)
        for waiting in self.anchored.get(job, ()):
            self.push(self.now + self.model.jobs[waiting].wait_ms * self.model.gap_scale, _JOB, waiting)


def _followers(stage: SimStage) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for task in np.flatnonzero(stage.after >= 0).tolist():
        found.setdefault(int(stage.after[task]), []).append(task)
    return found


def _copies(stage: SimStage) -> dict[int, list[tuple[int, float]]]:
    found: dict[int, list[tuple[int, float]]] = {}
    for task in np.flatnonzero(stage.copy_of >= 0).tolist():
        found.setdefault(int(stage.copy_of[task]), []).append((task, float(stage.copy_delay_ms[task])))
    return found


def replay(model: ReplayModel) -> Replay:
    """Schedule the model's tasks. Deterministic; linear in tasks times the logarithm of slots."""
    return Scheduler(model).run()
