"""Waiting for blocks, for local slots, and for tasks to be started."""

from collections.abc import Iterator

import numpy as np

from spark_copilot.rules_engine.facts import SUCCESS, AppRun
from spark_copilot.rules_engine.findings import Evidence, Observation, RemoveShare, Repartition
from spark_copilot.rules_engine.limits import ShuffleLimits
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf

LARGE_TASKS = "each task carries much"


@rule("shuffle-fetch-wait", family="shuffle", limits=ShuffleLimits, title="Tasks wait for shuffle blocks from other executors")
def shuffle_fetch_wait(run: AppRun, limits: ShuffleLimits) -> Iterator[Observation]:
    """A good part of the tasks' run time is waiting for blocks to arrive.

    Why it costs: the slot is held while nothing is computed.
    What to do: shuffle less (filter and aggregate earlier, broadcast small sides), fewer and larger blocks (fewer map tasks), faster local disks, more fetches in flight.
    Blind spot: a slow disk on one node and a full network look the same here.
    """
    for stage in profile(run).stages:
        waited, busy = int(stage.column("fetch_wait_ms").sum()), int(stage.column("run_ms").sum())
        if not busy or waited < limits.fetch_run_ratio * busy or waited / run.slots_max < limits.min_wall_ratio * run.wall_ms:
            continue
        yield Observation(
            code="shuffle-fetch-wait",
            where=stage.where,
            evidence=(
                Evidence(metric="waiting / run time", value=100 * waited / busy, limit=100 * limits.fetch_run_ratio, unit="percent"),
                Evidence(metric="waited, all tasks", value=waited, limit=None, unit="ms"),
                Evidence(
                    metric="read from other executors",
                    value=float(stage.column("shuffle_read_remote_bytes").sum()),
                    limit=None,
                    unit="bytes",
                ),
            ),
            remedy=RemoveShare(stages=(stage.ref,), of="fetch_wait", ratio=limits.fetch_removable_ratio),
            changes=conf(run, "spark.reducer.maxSizeInFlight", "96m", "fetch more at once", "undo when reducers run short of memory")
            + code("shuffle-less", "filter, select and aggregate before the shuffle", "stop when waiting is under a tenth of run time"),
        )


@rule(
    "task-overhead", family="shuffle", limits=ShuffleLimits, title="Much slot time goes into starting tasks and bringing their results home"
)
def task_overhead(run: AppRun, limits: ShuffleLimits) -> Iterator[Observation]:
    """Task durations less the executor's run time: scheduling, shipping and unpacking the task, serialising and fetching its result.

    Why it costs: the slot is held and no row is worked on.
    What to do: fewer, larger tasks; smaller closures (broadcast what they carry); smaller results; a driver with cores to spare.
    Blind spot: the first tasks of each executor load classes and are left out; a busy driver shows here too.
    """
    tasks = run.tasks
    if not len(tasks):
        return
    warm = _after_warm_up(run)
    counted = warm & (tasks.status == SUCCESS)
    overhead = np.where(counted, tasks.overhead_ms, 0)
    wall = float(overhead.sum()) / run.slots_max
    least = max(limits.overhead_wall_ratio * run.wall_ms, limits.overhead_min_ms)
    if wall < least or overhead.sum() < limits.overhead_slot_ratio * tasks.duration_ms[counted].sum():
        return
    by_stage = np.bincount(tasks.stage_row, weights=overhead.astype(np.float64), minlength=len(run.stages))
    worst = int(by_stage.argmax())
    heavy = [row for row in np.argsort(-by_stage, kind="stable").tolist() if by_stage[row] >= 0.02 * by_stage.sum()]
    unpacking = np.where(warm, tasks.require("deserialise_ms"), 0)
    unpack = int(unpacking.sum())
    its = np.flatnonzero(counted & (tasks.stage_row == worst))
    each = float(np.median(unpacking[its])) if len(its) else 0.0
    large = each >= limits.unpack_large_ms and each >= limits.unpack_large_ratio * float(np.median(tasks.duration_ms[its]))
    yield Observation(
        code="task-overhead",
        where=profile(run).stage(worst).where,
        evidence=(
            Evidence(metric="overhead / cores", value=wall, limit=least, unit="ms"),
            Evidence(metric="of it unpacking tasks", value=unpack / run.slots_max, limit=None, unit="ms"),
            Evidence(metric="unpacking one task, usually", value=each, limit=limits.unpack_large_ms, unit="ms"),
            Evidence(metric="tasks", value=int(warm.sum()), limit=None, unit="count"),
        ),
        remedy=RemoveShare(stages=tuple(run.stages.ref(r) for r in heavy), of="scheduler", ratio=limits.overhead_removable_ratio),
        changes=code(
            "smaller-tasks",
            "put what every task carries into a table or a broadcast: join with the table of a long list of values instead of writing it into the query, "
            "and broadcast large objects that a function captures",
            "stop when a task is unpacked in a few milliseconds",
        )
        if large
        else code(
            "fewer-tasks",
            "make fewer and larger tasks, broadcast large objects instead of capturing them, return less from each task",
            "stop when overhead is a few percent",
        ),
        occurrences=len(heavy),
        also=tuple(int(run.stages.stage_id[r]) for r in heavy if r != worst),
        cause=LARGE_TASKS if large else None,
    )


def _after_warm_up(run: AppRun) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """True for tasks that were not among the first of their executor (twice its cores): those pay for class loading."""
    warm = np.ones(len(run.tasks), dtype=np.bool_)
    for executor in np.unique(run.tasks.executor_row).tolist():
        own = run.executor_task_rows(executor)
        first = own[np.argsort(run.tasks.launch_ms[own], kind="stable")][: 2 * max(int(run.executors.cores[executor]), 1)]
        warm[first] = False
    return warm


@rule("locality-wait", family="shuffle", limits=ShuffleLimits, title="Tasks wait for a slot near their data while other slots stand free")
def locality_wait(run: AppRun, limits: ShuffleLimits) -> Iterator[Observation]:
    """The scheduler holds tasks back for seconds to place them where their data is, although other executors are idle.

    Why it costs: free slots wait; with small or remote storage the data would have come faster than the wait.
    What to do: lower spark.locality.wait (0s on object stores), or spread the cached or written data over the executors.
    Blind spot: needs executors of their own; inside one process everything is local.
    """
    if run.local_cores is not None or run.executors_max < 2:
        return
    tasks = run.tasks
    for stage in profile(run).stages:
        rows = stage.rows[np.argsort(tasks.launch_ms[stage.rows], kind="stable")]
        near = tasks.locality[rows] <= 1
        if not near.any():
            continue
        used = np.unique(tasks.executor_row[rows])
        idle = int((run.executors.cores[~run.executors.is_driver] > 0).sum()) - len(used)
        # Until the task that ended last began the stage had tasks to give, and a slot that stood empty then held up its end.
        begin, end = int(tasks.launch_ms[rows[0]]), int(tasks.launch_ms[rows[tasks.finish_ms[rows].argmax()]])
        lost = ((end - begin) * run.slots_max - run.running_ms(begin, end)) / run.slots_max
        if lost < max(limits.locality_min_wait_ms, limits.min_wall_ratio * run.wall_ms) or stage.n <= run.slots_max:
            continue
        yield Observation(
            code="locality-wait",
            where=stage.where,
            evidence=(
                Evidence(metric="slot time left empty while tasks waited", value=lost, limit=limits.locality_min_wait_ms, unit="ms"),
                Evidence(metric="tasks run where their data is", value=100.0 * float(near.mean()), limit=None, unit="percent"),
                Evidence(metric="executors that ran none of them", value=max(idle, 0), limit=None, unit="count"),
            ),
            remedy=Repartition(stages=(stage.ref,), partitions=stage.n),
            changes=conf(
                run, "spark.locality.wait", "0s", "start tasks on any free slot at once", "undo when remote reads become the bottleneck"
            ),
        )
