"""The recorded run on another cluster: other slots, and what each task pays for starting on them."""

from dataclasses import replace

import numpy as np

from spark_copilot.ml.simulator.model import MAX_SLOTS, ReplayModel, SimStage, Slots
from spark_copilot.rules_engine.facts import SUCCESS, AppRun, FloatColumn
from spark_copilot.rules_engine.findings import Resize

MAX_ALL_SLOTS = 1 << 20
"""Slots of a cluster that is replayed."""


def resized(model: ReplayModel, remedy: Resize) -> ReplayModel:
    """Executors arrive as the recorded ones did (more of them with the last), and stay.

    Executors with machines of their own warm up one by one. Executors that share one machine with the driver take its cores from each other whenever they
    start tasks: the more of them, the dearer each start.
    """
    slots = _slots(model, remedy)
    if _share_a_machine(model.run):
        crowd = sum(s.count for s in slots) / max(_most_slots(model), 1)
        return replace(_crowded(model, crowd), slots=slots)
    return replace(_without_warm_up(model), slots=slots)


def _slots(model: ReplayModel, remedy: Resize) -> tuple[Slots, ...]:
    observed = model.slots
    cpus = model.run.task_cpus
    count = min(remedy.cores // cpus if remedy.cores is not None else int(np.median([s.count for s in observed])), MAX_SLOTS)
    if model.run.local_cores is not None:
        return (Slots("driver", min((remedy.executors or 1) * max(count, 1), MAX_ALL_SLOTS), 0.0),)
    wanted = remedy.executors if remedy.executors is not None else max(model.run.executors_max, 1)
    arrivals = sorted(s.added_ms for s in observed)
    wanted = min(wanted, MAX_ALL_SLOTS // max(count, 1))
    return tuple(Slots(f"sim-{i}", max(count, 1), arrivals[min(i, len(arrivals) - 1)]) for i in range(wanted))


def _share_a_machine(run: AppRun) -> bool:
    """Whether every executor runs on the driver's host, as on a local cluster or one machine's standalone master."""
    hosts = run.executors.host
    drivers = {hosts[row] for row in np.flatnonzero(run.executors.is_driver).tolist() if row < len(hosts)}
    workers = {hosts[row] for row in np.flatnonzero(~run.executors.is_driver).tolist() if row < len(hosts)}
    return run.local_cores is None and len(workers) == 1 and workers == drivers and workers != {""}


def _most_slots(model: ReplayModel) -> int:
    """The most slots that the recorded run had at one time."""
    changes = sorted([(s.added_ms, s.count) for s in model.slots] + [(s.removed_ms, -s.count) for s in model.slots])
    return int(np.cumsum([count for _, count in changes]).max(initial=0))


def _crowded(model: ReplayModel, crowd: float) -> ReplayModel:
    """The model with what each task took beside its run time grown or shrunk by `crowd`, down to what the least crowded task took.

    Beside its run time a task is launched, its code loaded and its result taken: computing by the executor and the driver, which waits for the machine's cores.
    Measured with 1 to 8 executors on two cores: in proportion to the executors.
    """
    beside = {p: _beside_ms(model, stage) for p, stage in enumerate(model.stages)}
    paid = np.concatenate([b[b > 0.0] for b in beside.values()]) if beside else np.zeros(0)
    alone = float(paid.min(initial=np.inf))
    return model.with_stages(
        {
            p: replace(model.stages[p], hold_ms=model.stages[p].hold_ms + np.maximum(b - alone, 0.0) * (crowd - 1.0))
            for p, b in beside.items()
        }
    )


def _beside_ms(model: ReplayModel, stage: SimStage) -> FloatColumn:
    """How long each task held its slot without running; 0 for tasks that a remedy made or that did not succeed, and where the log has no run times."""
    tasks = model.run.tasks
    if tasks.run_ms is None or not len(tasks):
        return np.zeros(len(stage.hold_ms))
    rows = np.maximum(stage.task_rows, 0)
    known = (stage.task_rows >= 0) & (tasks.status[rows] == SUCCESS)
    return np.where(known, np.maximum(stage.hold_ms - tasks.run_ms[rows], 0.0), 0.0)


def _without_warm_up(model: ReplayModel) -> ReplayModel:
    """The model with the warm-up of each executor's first tasks taken out of them and charged to the first task of every slot instead.

    A first task loads classes and starts Python workers; another number of executors pays that another number of times.
    """
    tasks = model.run.tasks
    if model.warm_ms or not len(tasks):
        return model
    first = np.zeros(len(tasks), dtype=np.bool_)
    row_of = {name: row for row, name in enumerate(model.run.executors.executor_id)}
    for slots in model.slots:
        if slots.executor_id not in row_of:
            continue
        own = model.run.executor_task_rows(row_of[slots.executor_id])
        first[own[np.argsort(tasks.launch_ms[own], kind="stable")][: slots.count]] = True
    excesses: list[float] = []
    changed = {}
    for position, stage in enumerate(model.stages):
        known = stage.task_rows >= 0
        cold = known & first[np.maximum(stage.task_rows, 0)]
        if not cold.any() or not (known & ~cold).any():
            continue
        usual = float(np.median(stage.hold_ms[known & ~cold]))
        excess = np.where(cold, np.maximum(stage.hold_ms - usual, 0.0), 0.0)
        excesses += excess[cold].tolist()
        changed[position] = replace(stage, hold_ms=stage.hold_ms - excess)
    if not excesses:
        return model
    return replace(model.with_stages(changed), warm_ms=float(np.median(excesses)))
