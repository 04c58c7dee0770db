"""What remedies are worth: the recorded run and the run under them, both replayed, their difference with an interval."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from spark_copilot.ml.simulator.model import ReplayModel
from spark_copilot.ml.simulator.remedies import Case, apply
from spark_copilot.ml.simulator.replay import Replay, replay
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import DriverGap, DropExecutor, Interval, Remedy, Resize, Saving
from spark_copilot.rules_engine.resources import executor_leases

NOISE_RATIO = 0.04
"""Two identical runs differ by about this share of the wall clock; no interval is narrower on either side."""

_CASES: tuple[Case, ...] = ("low", "mid", "high")


class Simulator:
    """Prices remedies for one run. The model and the base replay are made once; jobs that a remedy does not touch are not replayed again."""

    def __init__(self, run: AppRun) -> None:
        self.run = run
        self._known: dict[tuple[Remedy, ...], Saving] = {}
        self._parts: dict[tuple[int, ...], tuple[ReplayModel, Replay]] = {}

    @cached_property
    def model(self) -> ReplayModel:
        """The recorded run."""
        return ReplayModel.of(self.run)

    @cached_property
    def base(self) -> Replay:
        """The recorded run, replayed."""
        return replay(self.model)

    @cached_property
    def error_ratio(self) -> float:
        """How far the replay of the recorded run is from the record, as a share of the wall clock."""
        return abs(self.base.wall_ms - self.run.wall_ms) / max(self.run.wall_ms, 1)

    def price(self, remedies: Sequence[Remedy]) -> Saving:
        """What these remedies save together. Never negative; low <= mid <= high."""
        key = tuple(remedies)
        if key not in self._known:
            self._known[key] = self._price(key)
        return self._known[key]

    def wall_ms(self, remedies: Sequence[Remedy], case: Case = "mid") -> float:
        """The wall clock under these remedies, on the record's scale: the replay's own error is taken off."""
        return max(self.run.wall_ms - self._saved(tuple(remedies), case)[0], 0.0)

    def _price(self, remedies: tuple[Remedy, ...]) -> Saving:
        wall, core = zip(*(self._saved(remedies, case) for case in _CASES), strict=True)
        slack = NOISE_RATIO * self.run.wall_ms if max(wall) > 0 else 0.0
        return Saving(wall_ms=self._interval(wall, slack, float(self.run.wall_ms)), core_ms=self._interval(core, 0.0, self._core_ms))

    @cached_property
    def _core_ms(self) -> float:
        """The most core time that can be saved: what was held, or what tasks took where the log names no executor."""
        return max(float(sum(lease.core_ms for lease in executor_leases(self.run))), self.base.task_ms)

    def _interval(self, cases: Sequence[float], slack: float, most: float) -> Interval:
        low, mid, high = (min(max(c, 0.0), most) for c in cases)
        low, high = min(low, mid) * (1.0 - min(self.error_ratio, 0.5)) - slack, max(high, mid) * (1.0 + self.error_ratio) + slack
        return Interval(low=round(max(low, 0.0)), mid=round(mid), high=round(min(high, most)))

    def _saved(self, remedies: tuple[Remedy, ...], case: Case) -> tuple[float, float]:
        """Wall clock and core time saved; groups of jobs are independent, so only touched ones are replayed."""
        if any(isinstance(r, Resize | DriverGap | DropExecutor) for r in remedies):
            changed = replay(apply(self.model, remedies, case))
            wall, core = self.base.wall_ms - changed.wall_ms, self.base.task_ms - changed.task_ms
            sizes = [r.executors for r in remedies if isinstance(r, Resize) and r.executors is not None]
            return wall, core + self._given_back_ms(sizes[-1], changed.wall_ms) if sizes else core
        touched = {p for r in remedies for ref in getattr(r, "stages", ()) if (p := self.model.position_of(ref)) is not None}
        wall = core = 0.0
        for group in self._groups:
            positions = {p for job in group for p in self.model.jobs[job].stages}
            if positions & touched:
                part, before = self._part(tuple(group))
                after = replay(apply(part, remedies, case))
                wall += before.wall_ms - after.wall_ms
                core += before.task_ms - after.task_ms
        return wall, core

    def _part(self, group: tuple[int, ...]) -> tuple[ReplayModel, Replay]:
        """One group of jobs by itself, and its replay as recorded: every remedy on it is held against the same."""
        known = self._parts.get(group)
        if known is None:
            part = _only(self.model, group)
            known = self._parts[group] = (part, replay(part))
        return known

    def _given_back_ms(self, executors: int, wall_ms: float) -> float:
        """Core time of executors that are no longer held: the recorded leases, less the same for fewer executors over the new wall clock."""
        held = float(sum(lease.core_ms for lease in executor_leases(self.run)))
        share = min(executors / max(self.run.executors_max, 1), 1.0)
        return max(held * (1.0 - share * wall_ms / max(self.base.wall_ms, 1.0)), 0.0)

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Jobs that overlap in time, together; what lies between groups is the driver alone."""
        starts, ends = self.base.job_start_ms, self.base.job_end_ms
        order = [int(j) for j in np.argsort(starts, kind="stable") if np.isfinite(starts[j])]
        groups: list[list[int]] = []
        reach = -1.0
        for job in order:
            end = ends[job] if np.isfinite(ends[job]) else np.inf
            if not groups or starts[job] >= reach:
                groups.append([])
            groups[-1].append(job)
            reach = max(reach, float(end))
        return groups


def _only(model: ReplayModel, group: Sequence[int]) -> ReplayModel:
    """The model with one group of jobs; a job whose anchor lies outside starts when the record says."""
    place = {job: i for i, job in enumerate(group)}
    kept = [p for job in group for p in model.jobs[job].stages]
    stage_place = {p: i for i, p in enumerate(kept)}
    run = model.run
    jobs = []
    for job in group:
        old = model.jobs[job]
        anchored = old.anchor in place
        wait = old.wait_ms if anchored else float(max(int(run.jobs.submitted_ms[job]) - run.started_ms, 0))
        jobs.append(replace(old, anchor=place.get(old.anchor, -1), wait_ms=wait, stages=tuple(stage_place[p] for p in old.stages)))
    stages = []
    for p in kept:
        old_stage = model.stages[p]
        inside = tuple(stage_place[q] for q in old_stage.prerequisites if q in stage_place)
        stages.append(replace(old_stage, job=place[old_stage.job], prerequisites=inside))
    last = max(range(len(group)), key=lambda i: int(run.jobs.completed_ms[group[i]]))
    return replace(model, stages=tuple(stages), jobs=tuple(jobs), end_anchor=last, end_wait_ms=0.0)
