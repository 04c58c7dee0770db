"""Memory: spill, collection, kills, heaps that stand empty, caches that do not serve."""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.errors import MissingFact
from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun, IntColumn, RddInfo
from spark_copilot.rules_engine.findings import Change, Evidence, Observation, Remedy, RemoveShare, Severity, SkipStages, Where
from spark_copilot.rules_engine.limits import MemoryLimits
from spark_copilot.rules_engine.profile import Stage, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf
from spark_copilot.rules_engine.rules.deaths import deaths, memory_cause, reason_of, repeated
from spark_copilot.rules_engine.rules.shuffle_keys import counted_in_code
from spark_copilot.rules_engine.units import parse_bytes, spark_size


def heap_bytes(run: AppRun) -> int:
    """The heap of the JVM that runs tasks: the executors', the driver's on `local[N]`. Spark's default where none is set."""
    key = "spark.driver.memory" if run.local_cores is not None else "spark.executor.memory"
    return parse_bytes(run.conf(key, "1g") or "1g", "m") or 1 << 30


@rule("spill", family="memory", limits=MemoryLimits, title="Tasks run out of execution memory and write to disk")
def spill(run: AppRun, limits: MemoryLimits) -> Iterator[Observation]:
    """Sorts, joins or aggregations hold more than a task's share of memory, so they write part to disk and merge it again.

    Why it costs: every spilled byte is serialised, written, read and merged once more.
    What to do: more and smaller partitions where data is even; fewer cores an executor or more memory where one group is large; never a fraction below the default.
    Blind spot: spill of a few MB is left alone, and so is spill that takes no measurable time unless it is most of a stage that weighs; spill in one hot partition belongs to data-skew.
    """
    for stage in profile(run).stages:
        disk = int(stage.column("disk_spilled_bytes").sum())
        moved = int(stage.read_bytes.sum()) + int(stage.column("shuffle_write_bytes").sum())
        if disk < limits.spill_min_bytes or disk < limits.spill_data_ratio * max(moved, 1):
            continue
        cost = disk / limits.spill_bytes_per_ms / min(run.slots_max, stage.n)
        cheap = cost < limits.spill_min_wall_ratio * run.wall_ms / 2
        plain = (
            disk >= limits.spill_plain_bytes
            and disk >= limits.spill_plain_ratio * moved
            and stage.span_ms >= limits.spill_plain_wall * run.wall_ms
        )
        if cheap and not plain:
            continue
        yield Observation(
            code="spill",
            where=stage.where,
            evidence=(
                Evidence(metric="spilled to disk", value=disk, limit=limits.spill_min_bytes, unit="bytes"),
                Evidence(metric="spilled from memory", value=float(stage.column("memory_spilled_bytes").sum()), limit=None, unit="bytes"),
                Evidence(metric="spill / data of the stage", value=disk / max(moved, 1), limit=limits.spill_data_ratio, unit="ratio"),
                Evidence(metric="tasks", value=stage.n, limit=None, unit="count"),
            ),
            remedy=RemoveShare(stages=(stage.ref,), of="spill", ratio=1.0),
            severity_floor=Severity.LOW,
            severity_cap=Severity.LOW if cheap else None,
            changes=_room(run, stage),
        )
    yield from _python_spill(run, limits)


PYTHON_MERGES_IN = 512 << 20
"""Spark's default of `spark.python.worker.memory`."""


def _python_spill(run: AppRun, limits: MemoryLimits) -> Iterator[Observation]:
    """Python's own groups and joins that spill because their memory was set below the default: a few MB of packed bytes are many rows there."""
    allowed = parse_bytes(run.conf("spark.python.worker.memory") or "", "m")
    if not allowed or allowed >= PYTHON_MERGES_IN:
        return
    for stage in profile(run).stages:
        spilled = int(stage.column("memory_spilled_bytes").sum())
        in_python = any(rdd.name in ("PythonRDD", "PairwiseRDD") for rdd in run.stages.rdds[stage.row])
        if not in_python or not spilled or stage.span_ms < limits.spill_plain_wall * run.wall_ms:
            continue
        yield Observation(
            code="spill",
            where=stage.where,
            evidence=(
                Evidence(metric="spilled from memory", value=spilled, limit=None, unit="bytes"),
                Evidence(metric="memory of a Python worker", value=allowed, limit=PYTHON_MERGES_IN, unit="bytes"),
                Evidence(metric="time of the stage", value=stage.span_ms, limit=limits.spill_plain_wall * run.wall_ms, unit="ms"),
            ),
            remedy=RemoveShare(stages=(stage.ref,), of="compute", ratio=limits.python_spill_removable_ratio, sure=False),
            severity_floor=Severity.LOW,
            changes=conf(
                run,
                "spark.python.worker.memory",
                "512m",
                "Python merges on disk what does not fit in this",
                "stop when the stage spills nothing",
            ),
            cause="Python workers",
        )


def _room(run: AppRun, stage: Stage) -> tuple[Change, ...]:
    stop = "stop when the stage spills nothing; more partitions then only add overhead"
    changes: tuple[Change, ...] = ()
    fraction = float(run.conf("spark.memory.fraction", "0.6") or 0.6)
    if fraction < 0.6:
        changes += conf(
            run,
            "spark.memory.fraction",
            "0.6",
            f"only {fraction:.0%} of the heap is used for execution and storage",
            "0.6 is the default; leave it there",
        )
    held = int(stage.column("memory_spilled_bytes").sum()) + int(stage.column("peak_execution_memory_bytes").sum())
    per_task = heap_bytes(run) * max(fraction, 0.05) / max(run.local_cores or run.slots_max // max(run.executors_max, 1), 1)
    wanted = int(min(max(stage.n * 2, -(-held // max(int(per_task * 0.7), 1))), 20_000))
    shuffled = int((stage.column("shuffle_read_local_bytes") + stage.column("shuffle_read_remote_bytes")).sum())
    if shuffled and not counted_in_code(stage):
        changes += conf(
            run, "spark.sql.shuffle.partitions", str(wanted), f"{stage.n} tasks hold more than their share of memory each", stop
        )
    else:
        changes += code("repartition", f"repartition to {wanted} before the sort or aggregation", stop, to=f"df.repartition({wanted})")
    key = "spark.driver.memory" if run.local_cores is not None else "spark.executor.memory"
    return changes + conf(
        run, key, spark_size(int(heap_bytes(run) * 1.5)), "or give each task more memory", "undo if the peak stays below the old size"
    )


@rule("gc-pressure", family="memory", limits=MemoryLimits, title="The JVM spends much of the task time collecting garbage")
def gc_pressure(run: AppRun, limits: MemoryLimits) -> Iterator[Observation]:
    """Objects fill the heap faster than it can be cleaned, so tasks stand still while the collector runs.

    Why it costs: a pause stops every task of that executor at once.
    What to do: more heap per core, fewer cores an executor, fewer and smaller objects (native functions and DataFrames instead of RDDs and collect_list), no cache that fills the heap.
    Blind spot: tasks that run side by side each count the same pause; it is counted once here. A single long pause at the start is not a trend.
    """
    slow, gc_wall = [], 0.0
    for stage in profile(run).stages:
        gc, busy = int(stage.column("gc_ms").sum()), int(stage.column("run_ms").sum())
        if busy and gc >= limits.gc_run_ratio * busy:
            beside = max(stage.total_ms / max(stage.span_ms, 1), 1.0)
            gc_wall += gc / beside
            slow.append(stage)
    if not slow or gc_wall < limits.gc_wall_ratio * run.wall_ms:
        return
    worst = max(slow, key=lambda s: int(s.column("gc_ms").sum()))
    ratio = float(worst.column("gc_ms").sum()) / max(float(worst.column("run_ms").sum()), 1.0)
    key = "spark.driver.memory" if run.local_cores is not None else "spark.executor.memory"
    stop = "stop when collection is under 5 % of run time"
    changes = _young_generation(run, stop) or conf(
        run, key, spark_size(heap_bytes(run) * 2), f"{100 * ratio:.0f} % of the run time of stage {worst.ref} is collection", stop
    )
    changes += code(
        "fewer-objects",
        "replace collect_list, RDD objects and row-at-a-time functions by native aggregates; unpersist what is cached and no longer read",
        stop,
    )
    yield Observation(
        code="gc-pressure",
        where=worst.where,
        evidence=(
            Evidence(metric="collection / run time", value=100 * ratio, limit=100 * limits.gc_run_ratio, unit="percent"),
            Evidence(metric="collection, pauses counted once", value=gc_wall, limit=limits.gc_wall_ratio * run.wall_ms, unit="ms"),
            Evidence(metric="heap", value=heap_bytes(run), limit=None, unit="bytes"),
        ),
        remedy=RemoveShare(stages=tuple(s.ref for s in slow), of="gc", ratio=limits.gc_removable_ratio),
        changes=changes,
        occurrences=len(slow),
        also=tuple(int(run.stages.stage_id[s.row]) for s in slow if s is not worst),
    )


_YOUNG = re.compile(r"\s*(?:-Xmn|-XX:(?:Max)?NewSize=)(\d{1,15}[kKmMgG]?)(?=\s|$)")
_YOUNG_SHARE = 8
"""Of the heap a young generation has a third by default; under an eighth it is what fills, not the heap."""


def _young_generation(run: AppRun, stop: str) -> tuple[Change, ...]:
    """Without the flags that hold the young generation small, where there are some: more heap would not make it larger."""
    key = "spark.driver.extraJavaOptions" if run.local_cores is not None else "spark.executor.extraJavaOptions"
    options = run.conf(key) or ""
    sizes = [parse_bytes(size) or 0 for size in _YOUNG.findall(options)]
    if not sizes or max(sizes) * _YOUNG_SHARE > heap_bytes(run):
        return ()
    flags = " ".join(flag[0].strip() for flag in _YOUNG.finditer(options))
    return conf(
        run,
        key,
        _YOUNG.sub("", options).strip(),
        f"{flags} holds the part of the heap where new objects go far below its usual third",
        stop,
    )


_KINDS = {"heap": "Java heap", "container": "container killed", "python": "Python's memory"}


@rule("out-of-memory", family="memory", limits=MemoryLimits, title="Tasks or executors died for want of memory")
def out_of_memory(run: AppRun, limits: MemoryLimits) -> Iterator[Observation]:
    """A task met a Java heap error, Python had no memory left, or a container was killed for exceeding its memory.

    Why it costs: the work of the task or of the whole executor is lost and done again, or the job fails.
    What to do: a heap error: more heap a core, smaller partitions, no collect of whole tables; a container kill: more memory overhead (Python, off-heap, network buffers), not more heap.
    Blind spot: exit code 137 is also what a preempted or manually killed container leaves; the reason text decides, and preemption is not counted.
    """
    del limits
    kinds: dict[str, list[str]] = {"heap": [], "container": [], "python": []}
    for row in np.flatnonzero(run.tasks.status == FAILED).tolist():
        cause = memory_cause(reason_of(run, row))
        if cause:
            kinds[cause].append(run.stages.ref(int(run.tasks.stage_row[row])))
    for reason in (*run.executors.removed_reason, *run.jobs.failure, *run.stages.failure_reason):
        cause = memory_cause(reason)
        if cause:
            kinds[cause].append("")
    for kind, places in kinds.items():
        if not places:
            continue
        stages = tuple(dict.fromkeys(p for p in places if p))
        where = Where()
        if stages:
            row = run.stage_row_of[int(stages[0].split(".")[0]), int(stages[0].split(".")[1])]
            where = profile(run).stage(row).where
        yield Observation(
            code="out-of-memory",
            where=where,
            evidence=(
                Evidence(metric="tasks and executors lost", value=len(places), limit=1, unit="count"),
                Evidence(metric="heap", value=heap_bytes(run), limit=None, unit="bytes"),
            ),
            remedy=_without_deaths(run, stages),
            severity_floor=Severity.HIGH,
            changes=_more_memory(run, kind),
            cause=_KINDS[kind],
        )


def _without_deaths(run: AppRun, stages: tuple[str, ...]) -> Remedy | None:
    """Where executors died of it and of nothing else, what was done again for the shuffle files they took along; else the attempts that failed."""
    again = repeated(run) if deaths(run).only_memory else []
    if again:
        return SkipStages(stages=tuple(run.stages.ref(row) for row in again))
    return RemoveShare(stages=stages, of="failed", ratio=1.0) if stages else None


def _more_memory(run: AppRun, kind: str) -> tuple[Change, ...]:
    stop = "stop when no task fails; lower it again if peaks stay below two thirds"
    if kind == "heap":
        key = "spark.driver.memory" if run.local_cores is not None else "spark.executor.memory"
        return conf(run, key, spark_size(heap_bytes(run) * 3 // 2), "the Java heap was full", stop)
    if kind == "python":
        less = code("less-at-a-time", "let the Python function hold less at a time: smaller groups, batches or partitions", stop)
        limit = parse_bytes(run.conf("spark.executor.pyspark.memory", "") or "", "m")
        return (
            conf(run, "spark.executor.pyspark.memory", spark_size(2 * limit), "Python met the limit that is set for it", stop) + less
            if limit
            else less
        )
    current = parse_bytes(run.conf("spark.executor.memoryOverhead", "") or "", "m") or max(heap_bytes(run) // 10, 384 << 20)
    return conf(run, "spark.executor.memoryOverhead", spark_size(current + (1 << 30)), "the container was killed outside the heap", stop)


@rule("memory-overallocated", family="memory", limits=MemoryLimits, title="Executors hold far more heap than they ever used")
def memory_overallocated(run: AppRun, limits: MemoryLimits) -> Iterator[Observation]:
    """The highest heap use of every executor stayed far below what was asked for.

    Why it costs: memory that is paid for and kept from others; it takes no time, so this never ranks high.
    What to do: lower the heap to the peak plus a quarter and Spark's reserve, or put more cores on the same memory.
    Blind spot: needs the executors' metric peaks in the log; a heap grows towards its limit by design, so a high peak proves nothing, a low one does.
    """
    if run.local_cores is not None:
        return
    peaks = [
        p["JVMHeapMemory"]
        for p, driver in zip(run.executors.peaks, run.executors.is_driver.tolist(), strict=True)
        if not driver and p.get("JVMHeapMemory")
    ]
    heap = heap_bytes(run)
    if heap <= limits.over_min_bytes:
        return
    if not peaks:
        raise MissingFact("peak heap use of executors")
    need = max(peaks) + limits.over_reserve_bytes
    if heap < limits.over_ratio * need:
        return
    wanted = spark_size(int(need * 1.25))
    yield Observation(
        code="memory-overallocated",
        where=Where(),
        evidence=(
            Evidence(metric="heap / (peak + reserve)", value=heap / need, limit=limits.over_ratio, unit="ratio"),
            Evidence(metric="heap", value=heap, limit=limits.over_min_bytes, unit="bytes"),
            Evidence(metric="highest peak", value=max(peaks), limit=None, unit="bytes"),
        ),
        severity_floor=Severity.LOW,
        severity_cap=Severity.MEDIUM,
        changes=conf(
            run,
            "spark.executor.memory",
            wanted,
            "the highest peak of any executor plus a quarter and the reserve",
            "undo at the first spill or heap error",
        ),
    )


def _computed_again(run: AppRun, rdd_id: int, fill: Stage) -> tuple[tuple[str, ...], float]:
    """Later stages with tasks that took in about as much as those that filled the cache, and the share of such tasks among all later reads.

    A task that finds its block reads a few batches, or the rows with the block's own bytes; one that does not walks the source again.
    """
    if not fill.n or float(np.median(fill.read_records)) < 1_000:
        return (), 0.0
    usual, usual_bytes = float(np.median(fill.read_records)), float(np.median(fill.read_bytes))
    first_sql, first_job = int(run.stages.sql_row[fill.row]), int(run.stages.job_row[fill.row])
    again, missed, total = [], 0, 0
    for row in range(len(run.stages)):
        if (
            row == fill.row
            or int(run.stages.job_row[row]) == first_job
            or (first_sql != MISSING and int(run.stages.sql_row[row]) == first_sql)
        ):
            continue
        if not any(r.rdd_id == rdd_id for r in run.stages.rdds[row]):
            continue
        stage = profile(run).stage(row)
        walked = int((_about(stage.read_records, usual) & _about(stage.read_bytes, usual_bytes)).sum()) if stage.n else 0
        total, missed = total + stage.n, missed + walked
        if walked:
            again.append(stage.ref)
    return tuple(again), missed / max(total, 1)


def _checkpointed(run: AppRun) -> set[int]:
    """RDDs whose lineage was cut: what they were made of is forgotten, so they are read from their blocks or files, or the job fails."""
    seen = [info for rdds in run.stages.rdds for info in rdds]
    cut = {info.rdd_id for info in seen if info.name in ("LocalCheckpointRDD", "ReliableCheckpointRDD")}
    return {info.rdd_id for info in seen if not cut.isdisjoint(info.parents)}


def _about(values: IntColumn, usual: float) -> npt.NDArray[np.bool_]:
    return np.asarray((values >= 0.5 * usual) & (values <= 1.5 * usual))


@rule(
    "cache-evicted-or-unused", family="memory", limits=MemoryLimits, title="Data is cached that nothing reads again, or that did not stay"
)
def cache_evicted_or_unused(run: AppRun, limits: MemoryLimits) -> Iterator[Observation]:
    """A DataFrame or RDD was marked to be cached, and either only the action that filled the cache used it, or part of it was dropped again.

    Why it costs: filling a cache serialises or copies every row and takes memory from joins and sorts; blocks that are dropped are computed again at every use.
    What to do: cache only what at least two actions read, unpersist it after the last; for more than fits use MEMORY_AND_DISK, or write it once as a table.
    Blind spot: dropped blocks show in later reads that take in as many rows as the first; a cache meant for a later application cannot be known.
    """
    users: dict[int, set[tuple[str, int]]] = {}
    infos: dict[int, RddInfo] = {}
    first: dict[int, int] = {}
    cut = _checkpointed(run)
    for row in range(len(run.stages)):
        sql, job = int(run.stages.sql_row[row]), int(run.stages.job_row[row])
        for info in run.stages.rdds[row]:
            if "Memory" in info.storage_level or "Disk" in info.storage_level:
                users.setdefault(info.rdd_id, set()).add(("sql", sql) if sql != MISSING else ("job", job))
                first.setdefault(info.rdd_id, row)
                infos[info.rdd_id] = info if info.cached_partitions or info.rdd_id not in infos else infos[info.rdd_id]
    for rdd_id, used_by in sorted(users.items()):
        if rdd_id in cut:
            continue
        info, stage = infos[rdd_id], profile(run).stage(first[rdd_id])
        again, missed = _computed_again(run, rdd_id, stage)
        dropped = 0 < info.cached_partitions < limits.evicted_ratio * info.partitions or missed > 1 - limits.evicted_ratio
        if len(used_by) > 1 and not dropped:
            continue
        if stage.n == 0 or stage.span_ms < limits.cache_min_wall_ratio * run.wall_ms:
            continue
        what = f"{missed:.0%} of its later reads computed it again" if dropped else "only the action that filled it read it"
        yield Observation(
            code="cache-evicted-or-unused",
            where=stage.where,
            evidence=(
                Evidence(metric="queries or jobs that used it", value=len(used_by), limit=2, unit="count"),
                Evidence(
                    metric="time of the stage that filled it",
                    value=stage.span_ms,
                    limit=limits.cache_min_wall_ratio * run.wall_ms,
                    unit="ms",
                ),
                Evidence(metric="partitions", value=info.partitions, limit=None, unit="count"),
            ),
            remedy=RemoveShare(stages=again, of="compute", ratio=round(limits.evicted_removable_ratio * missed, 3)) if again else None,
            severity_floor=Severity.LOW,
            severity_cap=None if again else Severity.MEDIUM,
            changes=code(
                "storage-level",
                "use MEMORY_AND_DISK, or write the data once and read it back",
                "stop when all partitions stay",
                to="df.persist(StorageLevel.MEMORY_AND_DISK)",
            )
            if dropped
            else code(
                "cache",
                "take the cache() away, or unpersist it once it was used",
                "put it back when a second action reads the same data",
                to="df without .cache()",
            ),
            cause=what,
        )
