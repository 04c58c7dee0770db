"""One task far behind the others, told apart by its cause: more data, the node, or neither."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.facts import AppRun, IntColumn
from spark_copilot.rules_engine.findings import Change, CutTail, DropExecutor, Evidence, Observation, Repartition, Severity, Where
from spark_copilot.rules_engine.limits import SkewLimits
from spark_copilot.rules_engine.profile import Stage, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import cluster, code, conf, partitions_for
from spark_copilot.rules_engine.rules.copies import rescued
from spark_copilot.rules_engine.rules.shuffle_keys import shuffle_keys
from spark_copilot.rules_engine.units import show_bytes


def _tailed(run: AppRun, limits: SkewLimits, min_tasks: int) -> Iterator[Stage]:
    """Stages whose slowest task is far behind its median peer, by ratio, in seconds and as a share of the run."""
    for stage in profile(run).stages:
        if stage.n < min_tasks:
            continue
        if stage.tail_ratio < limits.tail_ratio or stage.tail_ms < max(limits.min_tail_ms, limits.min_wall_ratio * run.wall_ms):
            continue
        # A slow task that others outlast (the first of a stage, while classes load) makes nobody wait.
        # Nor need anybody wait at its end: slow tasks in the middle of a stage keep their slots from others.
        if max(stage.left_behind_ms, stage.held_up_ms) >= max(limits.min_left_behind_ms, limits.min_wall_ratio * run.wall_ms):
            yield stage


def _by_data(stage: Stage, limits: SkewLimits) -> bool:
    """Whether the slowest task's rows or bytes explain its time."""
    rows = max(int(stage.read_records[stage.slowest]), int(stage.made_records[stage.slowest]))
    enough = rows >= limits.min_rows or int(stage.read_bytes[stage.slowest]) >= limits.min_bytes
    ratio = stage.data_ratio()
    explained = ratio >= limits.explained_ratio * stage.tail_ratio or ratio >= limits.plain_ratio
    return enough and ratio >= limits.data_ratio and explained


@rule("data-skew", family="skew", limits=SkewLimits, title="One task has far more data than the others")
def data_skew(run: AppRun, limits: SkewLimits) -> Iterator[Observation]:
    """A stage ends when its slowest task ends; here that task took in or put out several times the rows or bytes of its median peer: a hot key fills one partition, or
    long arrays and repeated keys multiply in it.

    Why it costs: the other cores finish early and stand idle while one task works through the hot partition; it is also the task that spills or runs out of memory.
    What to do: for joins let adaptive execution split the partition (it needs AQE and its skew join on); for aggregations and repartitions spread the hot key with a
    salt, or handle it apart.
    On few slots a hot partition may cost nothing, because the rest takes as long beside it; then it is said at low severity and without a saving.
    Blind spot: skew that shows only in the work per row, not in rows or bytes, is called straggler-tasks; a stage of one task has no peer to compare with.
    """
    for stage in _tailed(run, limits, limits.min_tasks_by_data):
        if not _by_data(stage, limits):
            continue
        total = int(stage.read_bytes.sum())
        wanted = max(partitions_for(run, total, 128 << 20, 2), stage.n)
        rows = stage.read_records if stage.read_records.any() else stage.made_records
        yield Observation(
            code="data-skew",
            where=stage.where,
            evidence=(
                Evidence(metric="slowest / median task", value=stage.tail_ratio, limit=limits.tail_ratio, unit="ratio"),
                Evidence(metric="its data / median task's", value=stage.data_ratio(), limit=limits.data_ratio, unit="ratio"),
                Evidence(metric="slowest task", value=float(stage.ms[stage.slowest]), limit=None, unit="ms"),
                Evidence(metric="rows of the slowest task", value=float(rows[stage.slowest]), limit=None, unit="count"),
                Evidence(metric="rows of the stage", value=float(rows.sum()), limit=None, unit="count"),
            ),
            remedy=Repartition(stages=(stage.ref,), partitions=int(wanted)),
            severity_floor=Severity.LOW if _is_lopsided(run, stage, limits) else None,
            changes=_spread(run, stage),
            cause=_key_words(stage),
        )
    yield from _lopsided(run, limits)


def _lopsided(run: AppRun, limits: SkewLimits) -> Iterator[Observation]:
    """Stages that did not wait for their hot partition only because all the rest took as long on the few slots there were."""
    waited = {stage.ref for stage in _tailed(run, limits, limits.min_tasks_by_data)}
    for stage in profile(run).stages:
        if stage.n < limits.min_tasks or stage.ref in waited or not _by_data(stage, limits) or not _is_lopsided(run, stage, limits):
            continue
        slowest = float(stage.ms[stage.slowest])
        yield Observation(
            code="data-skew",
            where=stage.where,
            evidence=(
                Evidence(metric="its data / median task's", value=stage.data_ratio(), limit=limits.lopsided_ratio, unit="ratio"),
                Evidence(metric="slowest / median task", value=stage.tail_ratio, limit=limits.lopsided_ratio, unit="ratio"),
                Evidence(metric="slowest task", value=slowest, limit=None, unit="ms"),
                Evidence(
                    metric="slots beyond which the stage only waits for it",
                    value=round(stage.total_ms / slowest, 1),
                    limit=None,
                    unit="count",
                ),
            ),
            severity_floor=Severity.LOW,
            severity_cap=Severity.LOW,
            changes=_spread(run, stage),
            cause=f"on {run.slots_max} slots the rest takes as long, so nothing is lost yet; more slots would not make the stage faster",
        )


def _is_lopsided(run: AppRun, stage: Stage, limits: SkewLimits) -> bool:
    """Whether one partition holds so much of the stage's data and time that more slots would only wait for it."""
    if stage.data_ratio() < limits.lopsided_ratio or stage.tail_ratio < max(limits.lopsided_ratio, limits.tail_ratio):
        return False
    large = float(stage.ms[stage.slowest]) >= limits.lopsided_share * stage.total_ms
    return large and stage.tail_ms >= max(limits.min_tail_ms, limits.lopsided_wall_ratio * run.wall_ms)


def _key_words(stage: Stage) -> str | None:
    keys = shuffle_keys(stage)
    return f"rows are spread by {', '.join(keys)}" if keys else None


def _spread(run: AppRun, stage: Stage) -> tuple[Change, ...]:
    stop = "stop when the slowest task is under twice the median"
    key = (shuffle_keys(stage) or ("key",))[0]
    joins = stage.sql is not None and "Join" in stage.sql.physical_plan
    changes: tuple[Change, ...] = ()
    if joins:
        changes += conf(run, "spark.sql.adaptive.enabled", "true", "let Spark see the sizes at run time and split the hot partition", stop)
        changes += conf(run, "spark.sql.adaptive.skewJoin.enabled", "true", "split skewed partitions of joins", stop)
        biggest = int(stage.read_bytes[stage.slowest])
        if 4 << 20 <= biggest < 256 << 20:
            smaller = max(biggest // 4 // (1 << 20), 1)
            changes += conf(
                run,
                "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes",
                f"{smaller}m",
                f"the hot partition is {show_bytes(biggest)}, below the default threshold of 256 MiB, so it is never split",
                stop,
            )
            changes += conf(
                run, "spark.sql.adaptive.advisoryPartitionSizeInBytes", f"{smaller}m", "the size the hot partition is split into", stop
            )
    changes += code(
        "salt",
        f"add a salt to the hot key: group or repartition by ({key}, salt), then combine per key",
        stop,
        to=f'df.withColumn("salt", (rand() * 16).cast("int")).repartition("{key}", "salt")',
    )
    return changes


@rule("straggler-tasks", family="skew", limits=SkewLimits, title="One slow task holds the stage although its data is like the others'")
def straggler_tasks(run: AppRun, limits: SkewLimits) -> Iterator[Observation]:
    """A stage ends when its slowest task ends; here one task is far behind the median without more rows or bytes.

    Why it costs: every other core of the stage waits for that task.
    What to do: find what that partition meets (a slow lookup, a bad disk, one huge record); speculation helps when the node is at fault and tasks can safely run twice.
    Blind spot: with few tasks the median says little; data-skew and slow-node take what they explain, and a task slowed by one long collection or by being among an
    executor's first is not named.
    """
    slow_nodes = {o.where.executor_id for o in slow_node.check(run, limits)}
    for stage in _tailed(run, limits, limits.min_tasks):
        if _by_data(stage, limits):
            continue
        tasks, row = run.tasks, stage.gap_row()
        if tasks.gc_ms is not None and float(tasks.gc_ms[row]) >= limits.gc_explains_ratio * stage.tail_ms:
            continue
        if run.executors.executor_id[int(tasks.executor_row[row])] in slow_nodes:
            continue
        stop = "stop when the slowest task is under twice the median"
        changes = code(
            "slow-partition",
            f"look at what partition {int(tasks.index[row])} of stage {stage.ref} meets: a slow call, a huge record, a bad disk",
            stop,
        )
        computes = _computes(stage, row, limits)
        if computes:
            changes += code(
                "deal-out",
                "its core computes all the time: deal the rows out before this step, so that those that take long lie in different partitions",
                stop,
                to=f"df.repartition({stage.n})",
            )
        elif run.local_cores is None:
            changes += conf(
                run,
                "spark.speculation",
                "true",
                "start a second copy of tasks that fall far behind",
                "undo where tasks write outside Spark",
            )
        yield Observation(
            code="straggler-tasks",
            where=stage.where,
            evidence=(
                Evidence(metric="slowest / median task", value=stage.tail_ratio, limit=limits.tail_ratio, unit="ratio"),
                Evidence(metric="slowest task", value=float(stage.ms[stage.slowest]), limit=None, unit="ms"),
                Evidence(metric="median task", value=stage.usual_ms, limit=None, unit="ms"),
                Evidence(metric="its data / median task's", value=stage.data_ratio(), limit=limits.data_ratio, unit="ratio"),
            ),
            # What a core computes has to be computed somewhere; what it waits for may go away.
            remedy=Repartition(stages=(stage.ref,), partitions=stage.n)
            if computes
            else CutTail(stages=(stage.ref,), to_quantile=limits.cut_to_quantile),
            changes=changes,
        )


def _computes(stage: Stage, task: int, limits: SkewLimits) -> bool:
    """Whether the JVM's own work fills a task; Python workers are processes of their own and do not count."""
    tasks = stage.run.tasks
    if tasks.cpu_ns is None or tasks.run_ms is None:
        return False
    return float(tasks.cpu_ns[task]) / 1e6 >= limits.computes_ratio * max(float(tasks.run_ms[task]), 1.0)


def _mean_ratio(values: IntColumn, own: npt.NDArray[np.bool_]) -> float:
    return float(values[own].mean() + 1) / float(values[~own].mean() + 1)


@rule("slow-node", family="skew", limits=SkewLimits, title="One executor is slower than the others at the same work")
def slow_node(run: AppRun, limits: SkewLimits) -> Iterator[Observation]:
    """In stage after stage the tasks of one executor take longer than the same stage's tasks elsewhere, on as much data.

    Why it costs: its tasks end last, so every stage waits for this executor.
    What to do: replace the node, or let Spark avoid it: exclude on failure, decommission, or speculate; look at its disks, its neighbours and its clock speed.
    Attempts that were killed because a copy on another executor ended far sooner count as well: there the data was not to blame.
    Blind spot: needs at least two executors in a stage; an executor that ran only a few tasks is not judged, nor one that is slow in one stage only.
    """
    tasks = run.tasks
    if len(run.executors) < 2 or not len(tasks):
        return
    worse: dict[int, list[tuple[float, int, float]]] = {}
    given_up = rescued(run)
    alone: dict[int, set[int]] = {}
    for stage in profile(run).stages:
        owner = tasks.executor_row[stage.rows]
        for executor in np.unique(owner).tolist():
            own = owner == executor
            if (~own).sum() < 2:
                continue
            if own.sum() == 1:
                # So slow that the others did all the rest: once it may be the partition, with another partition each time it is the node.
                if (~own).sum() < limits.slow_node_peers or stage.ms[own][0] < limits.slow_node_alone_ratio * np.median(stage.ms[~own]):
                    continue
                alone.setdefault(executor, set()).add(int(tasks.index[stage.rows[own][0]]))
            ratio = float(np.median(stage.ms[own])) / max(float(np.median(stage.ms[~own])), 1.0)
            # Python counts batches, not rows: there the bytes tell.
            data = max(_mean_ratio(stage.read_records, own), _mean_ratio(stage.read_bytes, own))
            lost = float(stage.ms[own].sum()) * (1 - 1 / ratio) if ratio > 1 else 0.0
            worse.setdefault(executor, []).append((ratio / max(data, 1.0), int(own.sum()), lost))
        usual = float(np.median(stage.ms))
        for row in given_up[tasks.stage_row[given_up] == stage.row].tolist() if stage.n >= limits.slow_node_peers else ():
            # A copy elsewhere was faster by far: whatever held this attempt up, it was not the data.
            held = float(tasks.duration_ms[row])
            if held >= limits.slow_node_alone_ratio * usual:
                executor = int(tasks.executor_row[row])
                alone.setdefault(executor, set()).add(int(tasks.index[row]))
                worse.setdefault(executor, []).append((held / max(usual, 1.0), 1, held - usual))
    for executor, seen in sorted(worse.items()):
        slow = [s for s in seen if s[0] >= limits.slow_node_ratio]
        ran = sum(count for _, count, _ in seen)
        if ran < limits.slow_node_min_tasks and len(alone.get(executor, ())) < limits.slow_node_alone_stages:
            continue
        if len(slow) < limits.slow_node_min_share * len(seen):
            continue
        if sum(lost for *_, lost in slow) < max(limits.min_wall_ratio * run.wall_ms, limits.min_tail_ms):
            continue
        name = run.executors.executor_id[executor]
        host = run.executors.host[executor]
        ratio = float(np.median([s[0] for s in slow]))
        yield Observation(
            code="slow-node",
            where=Where(executor_id=name),
            evidence=(
                Evidence(metric="its median task / the others'", value=ratio, limit=limits.slow_node_ratio, unit="ratio"),
                Evidence(metric="tasks it ran", value=float(ran), limit=limits.slow_node_min_tasks, unit="count"),
                Evidence(metric="stages where it was slow", value=float(len(slow)), limit=None, unit="count"),
            ),
            remedy=DropExecutor(id=name),
            changes=cluster(
                "node",
                None,
                f"replace or drain the node of executor {name} ({host}); look at its disks and neighbours first",
                "stop when its tasks are as fast as the others'",
            )
            + conf(
                run,
                "spark.excludeOnFailure.enabled",
                "true",
                "keep tasks away from executors that fail",
                "undo if healthy executors get excluded",
            ),
            cause=f"host {host}",
        )
