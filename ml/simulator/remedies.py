"""Remedies applied to a model: each returns a changed copy, so they compose in any number."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np

from spark_copilot.ml.simulator.model import ReplayModel, SimStage, failed_positions
from spark_copilot.ml.simulator.resizing import resized
from spark_copilot.rules_engine.facts import KILLED, SUCCESS, FloatColumn, IntColumn
from spark_copilot.rules_engine.findings import (
    Broadcast,
    Cache,
    CutTail,
    DriverGap,
    DropExecutor,
    Remedy,
    RemoveShare,
    Repartition,
    Resize,
    SkipStages,
)

Case = Literal["low", "mid", "high"]
"""Which end of the uncertainty to replay: `low` saves least."""

SPILL_BYTES_PER_MS = 90_000.0
"""90 MB/s: serialise, write, read back and merge, per byte on disk, on one slot."""

EVEN_CASES: dict[Case, float] = {"low": 1.5, "mid": 1.2, "high": 0.95}
"""Work spread over more tasks: they share cores, caches and memory with those beside them, and are never quite even. Measured on two cores."""

SHUFFLE_WRITE_MS = (3e-4, 4.5e-6)
SHUFFLE_READ_MS = (6.5e-4, 1.05e-5)
"""Slot time of a shuffled and sorted side: milliseconds a row and a byte, writing it and reading, sorting and merging it. Measured on two cores."""

SHUFFLE_CASES: dict[Case, float] = {"low": 0.6, "mid": 1.0, "high": 1.7}
"""Narrow rows cost less than the numbers above say, wide rows of text more."""

SURE_CASES: dict[Case, float] = {"low": 0.7, "mid": 1.0, "high": 1.2}
OPEN_CASES: dict[Case, float] = {"low": 0.0, "mid": 1.0, "high": 2.0}
"""A share of a phase that goes: an estimate, and one of which the log says only that it is possible."""

GAP_CASES: dict[Case, float] = {"low": 0.5, "mid": 1.0, "high": 2.0}
"""The log does not tell what the driver did in its pauses, so as little as half and as much as twice the estimate may come back."""

CACHED_TASK_MS = 20.0
"""A task that finds its block costs at most about this by itself; the shortest tasks of a heavy log say nothing about it."""

CACHED_READ_RATIO = 0.12
"""What a stage still costs when it reads its rows from a cache instead of computing them."""


def apply(model: ReplayModel, remedies: Iterable[Remedy], case: Case = "mid") -> ReplayModel:
    """The model under these remedies, in order. Stages that the replay does not know are left out."""
    for remedy in remedies:
        match remedy:
            case Resize():
                model = resized(model, remedy)
            case DriverGap():
                gone = remedy.ms * GAP_CASES[case] / max(driver_gap_ms(model), 1.0)
                model = replace(model, gap_scale=model.gap_scale * (1.0 - min(gone, 1.0)))
            case DropExecutor():
                model = _drop_executor(model, remedy)
            case _:
                positions = [p for ref in remedy.stages if (p := model.position_of(ref)) is not None]
                model = model.with_stages({p: _change(model, model.stages[p], remedy, case) for p in positions})
    return model


def _change(model: ReplayModel, stage: SimStage, remedy: Remedy, case: Case) -> SimStage:
    match remedy:
        case CutTail():
            return _cut(
                stage,
                {"low": min(remedy.to_quantile + 0.15, 0.97), "mid": remedy.to_quantile, "high": max(remedy.to_quantile - 0.25, 0.5)}[case],
            )
        case Repartition():
            return _repartition(model, stage, remedy.partitions, case)
        case RemoveShare(of="failed"):
            return _without(stage, failed_positions(model, stage))
        case RemoveShare(of="speculation"):
            return _without(stage, _lost_copies(model, stage))
        case RemoveShare():
            ratio = min(remedy.ratio * (SURE_CASES if remedy.sure else OPEN_CASES)[case], 1.0)
            return replace(
                stage, hold_ms=np.maximum(stage.hold_ms - ratio * _share_ms(model, stage, remedy.of), np.minimum(stage.hold_ms, 1.0))
            )
        case SkipStages():
            return replace(stage, skip=True)
        case Cache():
            kept = CACHED_READ_RATIO * {"low": 2.0, "mid": 1.0, "high": 0.5}[case]
            return replace(stage, hold_ms=np.minimum(stage.hold_ms, min(model.task_fixed_ms, CACHED_TASK_MS) + kept * stage.hold_ms))
        case Broadcast():
            return _without_shuffle(model, stage, case)
        case _:
            return stage


def _cut(stage: SimStage, quantile: float) -> SimStage:
    if not len(stage.hold_ms):
        return stage
    return replace(stage, hold_ms=np.minimum(stage.hold_ms, np.quantile(stage.hold_ms, quantile, method="linear")))


MAX_PARTITIONS = 100_000
"""Tasks that a stage is spread over in a replay; beyond, more of them no longer shorten it."""


def _repartition(model: ReplayModel, stage: SimStage, partitions: int, case: Case) -> SimStage:
    """The stage's work, less what each task costs by itself, spread evenly over `partitions` tasks; attempts that failed are dropped."""
    n = len(stage.hold_ms)
    if not n:
        return stage
    partitions = min(partitions, max(n, MAX_PARTITIONS))
    fixed, work = _fixed_and_work(model, stage)
    each = (work - min(_spill_gone_ms(model, stage, partitions) * SPILL_CASES[case], 0.6 * work)) / partitions
    factor = EVEN_CASES[case]
    hold = np.full(partitions, each * factor + fixed)
    return _fresh(stage, hold)


SPILL_CASES: dict[Case, float] = {"low": 0.5, "mid": 0.8, "high": 1.0}
"""Part of what spilling is reckoned to cost that comes back once nothing spills."""


def _spill_gone_ms(model: ReplayModel, stage: SimStage, partitions: int) -> float:
    """What spilling cost the stage's tasks, where each of so many tasks would hold no more than the largest could keep in memory; else nothing."""
    kept = _column(model, stage, "peak_execution_memory_bytes")
    held = float((kept + _column(model, stage, "memory_spilled_bytes")).sum())
    fits = held / partitions <= float(kept.max(initial=0.0))
    return float(_share_ms(model, stage, "spill").sum()) if fits else 0.0


SMALL_TASK_MS = 100.0
ROW_MS, BYTE_MS = 5e-3, 2e-5
"""A generous price of a row and a byte, for telling what a very short task does besides existing."""


def _fixed_and_work(model: ReplayModel, stage: SimStage) -> tuple[float, float]:
    """What one task of this stage costs by itself, and what the stage's tasks do beside that. Of very short tasks that count their rows, rows and bytes are the work."""
    usual = float(np.median(stage.hold_ms))
    learnt = min(model.task_fixed_ms, usual * 0.9)
    rest = float(np.maximum(stage.hold_ms - learnt, 0.0).sum())
    rows = _column(model, stage, "input_records") + _column(model, stage, "shuffle_read_records")
    if usual > SMALL_TASK_MS or not rows.any():
        return learnt, rest
    moved = sum(_column(model, stage, c) for c in ("input_bytes", "shuffle_read_local_bytes", "shuffle_read_remote_bytes"))
    work = min(float((ROW_MS * rows + BYTE_MS * moved).sum()), rest)
    return max(learnt, usual - work / len(rows)), work


def _fresh(stage: SimStage, hold: FloatColumn) -> SimStage:
    n = len(hold)
    nobody: IntColumn = np.full(n, -1, dtype=np.int64)
    return replace(stage, hold_ms=hold, release_ms=np.zeros(n), after=nobody, copy_of=nobody, copy_delay_ms=np.zeros(n), task_rows=nobody)


def _without(stage: SimStage, positions: IntColumn) -> SimStage:
    """The stage without some attempts; what waited for them starts at once."""
    if not len(positions):
        return stage
    keep = np.ones(len(stage.hold_ms), dtype=np.bool_)
    keep[positions] = False
    moved = np.cumsum(keep) - 1

    def relinked(column: IntColumn) -> IntColumn:
        kept = column[keep]
        alive = (kept >= 0) & keep[np.maximum(kept, 0)]
        return np.where(alive, moved[np.maximum(kept, 0)], -1).astype(np.int64)

    return replace(
        stage,
        hold_ms=stage.hold_ms[keep],
        release_ms=np.where(stage.after[keep] >= 0, 0.0, stage.release_ms[keep]),
        after=relinked(stage.after),
        copy_of=relinked(stage.copy_of),
        copy_delay_ms=stage.copy_delay_ms[keep],
        task_rows=stage.task_rows[keep],
    )


def _lost_copies(model: ReplayModel, stage: SimStage) -> IntColumn:
    if not len(model.run.tasks):
        return np.zeros(0, dtype=np.int64)
    rows = np.maximum(stage.task_rows, 0)
    lost = (stage.task_rows >= 0) & (model.run.tasks.status[rows] == KILLED) & (stage.copy_of >= 0)
    return np.flatnonzero(lost).astype(np.int64)


def _column(model: ReplayModel, stage: SimStage, name: str) -> FloatColumn:
    """A task metric by position in the stage; zeros where the log or the task has none."""
    column = getattr(model.run.tasks, name)
    if column is None or not len(column):
        return np.zeros(len(stage.hold_ms))
    return np.where(stage.task_rows >= 0, column[np.maximum(stage.task_rows, 0)], 0).astype(np.float64)


def _share_ms(model: ReplayModel, stage: SimStage, of: str) -> FloatColumn:
    run_ms = _column(model, stage, "run_ms")
    match of:
        case "gc":
            return np.minimum(_column(model, stage, "gc_ms"), run_ms)
        case "fetch_wait":
            return np.minimum(_column(model, stage, "fetch_wait_ms"), run_ms)
        case "deserialise":
            return _column(model, stage, "deserialise_ms")
        case "spill":
            return np.minimum(_column(model, stage, "disk_spilled_bytes") / SPILL_BYTES_PER_MS, 0.6 * run_ms)
        case "scheduler":
            measured = run_ms + _column(model, stage, "deserialise_ms") + _column(model, stage, "result_serialisation_ms")
            return np.where(stage.task_rows >= 0, np.maximum(stage.hold_ms - measured, 0.0), 0.0)
        case _:
            return run_ms


def _without_shuffle(model: ReplayModel, stage: SimStage, case: Case) -> SimStage:
    """A join without its shuffle: what the stage spent on writing, or on reading and sorting, rows and bytes goes; what it computes stays."""
    wrote = SHUFFLE_WRITE_MS[0] * _column(model, stage, "shuffle_write_records") + SHUFFLE_WRITE_MS[1] * _column(
        model, stage, "shuffle_write_bytes"
    )
    read_bytes = _column(model, stage, "shuffle_read_local_bytes") + _column(model, stage, "shuffle_read_remote_bytes")
    read = SHUFFLE_READ_MS[0] * _column(model, stage, "shuffle_read_records") + SHUFFLE_READ_MS[1] * read_bytes
    gone = (wrote + read) * SHUFFLE_CASES[case]
    return replace(stage, hold_ms=np.maximum(stage.hold_ms - gone, 0.1 * stage.hold_ms))


def _drop_executor(model: ReplayModel, remedy: DropExecutor) -> ReplayModel:
    """Tasks of the executor take what their stage's others take."""
    executors = model.run.executors.executor_id
    if remedy.id not in executors or not len(model.run.tasks):
        return model
    row = executors.index(remedy.id)
    changed = {}
    for position, stage in enumerate(model.stages):
        known = stage.task_rows >= 0
        rows = np.maximum(stage.task_rows, 0)
        own = known & (model.run.tasks.executor_row[rows] == row)
        others = known & ~own & (model.run.tasks.status[rows] == SUCCESS)
        if own.any() and others.any():
            usual = float(np.median(stage.hold_ms[others]))
            mine = max(float(np.median(stage.hold_ms[own])), 1.0)
            changed[position] = replace(stage, hold_ms=np.where(own, stage.hold_ms * min(usual / mine, 1.0), stage.hold_ms))
    return model.with_stages(changed)


def driver_gap_ms(model: ReplayModel) -> float:
    """The pauses between jobs and after the last one, at the record's pace; start-up is not among them."""
    return float(sum(j.wait_ms for j in model.jobs if j.anchor >= 0)) + model.end_wait_ms
