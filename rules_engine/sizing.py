"""What a cluster run should ask for: executor cores, heap, overhead, number, partitions and split sizes, from what it was measured to need.

Every value has its reason; a value is given only where the log shows a need, and left as it is otherwise. Total cores are kept where memory per core changes, so that
sizes and speed are not changed at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun
from spark_copilot.rules_engine.partitioning import GIB, MIB, SPLIT_BYTES, shuffle_partitions
from spark_copilot.rules_engine.profile import Stage, profile
from spark_copilot.rules_engine.resources import OVERHEAD_MIN_BYTES, OVERHEAD_RATIO
from spark_copilot.rules_engine.units import parse_bytes, parse_count, show_bytes, spark_size

RESERVED_BYTES = 300 * MIB
"""What Spark keeps of the heap for itself before `spark.memory.fraction` is taken."""

HEADROOM_RATIO = 1.25
"""Over a measured peak: the next run's data is not the same."""

SHRINK_RATIO = 1.5
"""A heap is called too large from this multiple of what the peaks need on; nearer than that, a change brings nothing."""

HEAP_STEP = 1.5
"""After a heap error: how much more, where no peak tells."""

CORES_LEAST, CORES_MANY = 1, 4
"""Above `CORES_MANY` cores share one heap so finely that fewer cores an executor give each task more, at the same total."""

SPLIT_MOST, SPLIT_LEAST = 256 * MIB, 16 * MIB
"""Task inputs beyond these ask for another split size; between them Spark's own 128 MiB is as good as any."""


@dataclass(frozen=True, slots=True)
class Size:
    """One setting: what the run had (None: Spark's default), what it should have, and why. `kept` where the user fixed it."""

    key: str
    now: str | None
    to: str
    because: str
    kept: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the report's facts hold it."""
        return {"key": self.key, "from": self.now, "to": self.to, "because": self.because, "kept": self.kept}


def recommended_sizes(run: AppRun, preserve: frozenset[str] = frozenset(), enforce: Mapping[str, str] | None = None) -> list[Size]:
    """Sizes for the next run of this job; empty for `local[N]`, where there is no executor to size, and for a run without executors.

    `preserve`: keys that stay as they are. `enforce`: keys that get this value whatever was measured.
    """
    if run.local_cores is not None or not len(run.tasks) or not _workers(run).any():
        return []
    fixed = enforce or {}
    found = [s for s in (*_memory(run), *_number(run), *_partitions(run)) if s.key not in preserve and s.key not in fixed]
    found += [Size(key, run.conf(key), value, "set by you", kept=True) for key, value in sorted(fixed.items())]
    return sorted((s for s in found if s.now != s.to), key=lambda s: s.key)


def _workers(run: AppRun) -> Any:
    return ~run.executors.is_driver & (run.executors.cores > 0)


def _memory(run: AppRun) -> Iterator[Size]:
    heap = parse_bytes(run.conf("spark.executor.memory", "1g") or "1g", "m") or GIB
    cores = max(int(np.median(run.executors.cores[_workers(run)])), 1)
    peaks = [p for p, worker in zip(run.executors.peaks, _workers(run).tolist(), strict=True) if worker and p]
    heap_peak = max((p.get("JVMHeapMemory", 0) for p in peaks), default=0)
    failed = _memory_failures(run)
    wanted, cores_wanted, why = heap, cores, ""
    spilled, stage = _spilled_per_task(run)
    if failed == "heap":
        if cores > CORES_MANY:
            cores_wanted, why = cores // 2, "tasks met a heap error, and fewer of them on the same heap have more each"
        else:
            wanted, why = int(heap * HEAP_STEP), "tasks met a heap error"
    elif spilled and stage is not None:
        fraction = _fraction(run)
        share = max(heap - RESERVED_BYTES, heap // 4) * fraction / cores
        need = (share + spilled) / fraction * cores + RESERVED_BYTES
        said = f"a task of stage {stage.ref} spilled {show_bytes(spilled)} beyond its share of {show_bytes(share)}"
        if need > 2 * heap and cores > CORES_LEAST + 1:
            cores_wanted = max(int(cores * heap / need) or CORES_LEAST, cores // 2)
            need = (share + spilled) / fraction * cores_wanted + RESERVED_BYTES
        wanted, why = int(min(max(need, heap), 4 * heap)), said
    elif heap_peak and heap > SHRINK_RATIO * (heap_peak + RESERVED_BYTES) and heap > 2 * GIB:
        wanted = int(HEADROOM_RATIO * heap_peak + RESERVED_BYTES)
        why = f"no executor used more than {show_bytes(heap_peak)} of its heap of {show_bytes(heap)}"
    if why and cores_wanted != cores:
        yield Size("spark.executor.cores", run.conf("spark.executor.cores"), str(cores_wanted), why)
        number = -(-run.executors_max * cores // cores_wanted)
        yield Size("spark.executor.instances", run.conf("spark.executor.instances"), str(number), "as many cores in all as before")
    if why and spark_size(wanted) != spark_size(heap):
        yield Size("spark.executor.memory", run.conf("spark.executor.memory"), spark_size(wanted), why)
    yield from _overhead(run, wanted, heap_peak, peaks, killed=failed == "container")


def _overhead(run: AppRun, heap: int, heap_peak: int, peaks: list[Mapping[str, int]], *, killed: bool) -> Iterator[Size]:
    key = "spark.executor.memoryOverhead"
    now = parse_bytes(run.conf(key, "") or "", "m")
    held = now if now is not None else max(heap // OVERHEAD_RATIO, OVERHEAD_MIN_BYTES)
    outside = max(
        (p.get("ProcessTreeJVMRSSMemory", 0) - p.get("JVMHeapMemory", 0) + p.get("ProcessTreePythonRSSMemory", 0) for p in peaks), default=0
    )
    if killed:
        need = max(held + GIB, int(HEADROOM_RATIO * outside))
        yield Size(key, run.conf(key), spark_size(need), "a container was killed for its memory outside the heap")
    elif heap_peak and outside > held:
        yield Size(
            key,
            run.conf(key),
            spark_size(int(HEADROOM_RATIO * outside)),
            f"processes held {show_bytes(outside)} outside the heap, {show_bytes(held)} are asked for",
        )


def _memory_failures(run: AppRun) -> str | None:
    """ "heap" or "container" where tasks or executors died of it."""
    texts = [run.errors[row] for row in run.tasks.error_row[run.tasks.status == FAILED].tolist() if row != MISSING]
    texts += [r for r in run.executors.removed_reason if r]
    if any(
        w in t
        for t in texts
        for w in ("exit code: 137", "exit code 137", "exit status: 137", "OOMKilled", "memory limits", "Container killed by YARN")
    ):
        return "container"
    return "heap" if any(w in t for t in texts for w in ("OutOfMemoryError", "Java heap space", "GC overhead limit")) else None


def _spilled_per_task(run: AppRun) -> tuple[float, Stage | None]:
    """What the median spilling task of the worst even stage held beyond its memory; a hot partition is a matter of skew, not of size."""
    worst: tuple[float, Stage | None] = (0.0, None)
    for stage in profile(run).stages:
        spilled = stage.column("memory_spilled_bytes")
        over = spilled[spilled > 0]
        if (
            len(over) >= max(stage.n // 2, 1)
            and int(stage.column("disk_spilled_bytes").sum()) >= 16 * MIB
            and float(np.median(over)) > worst[0]
        ):
            worst = (float(np.median(over)), stage)
    return worst


def _fraction(run: AppRun) -> float:
    try:
        return min(max(float(run.conf("spark.memory.fraction", "0.6") or 0.6), 0.05), 0.95)
    except ValueError:
        return 0.6


def _number(run: AppRun) -> Iterator[Size]:
    needed, most = run.executors_needed, run.executors_max
    if needed >= most or most < 2:
        return
    held = float(
        (
            (np.where(run.executors.removed_ms == MISSING, run.ended_ms, run.executors.removed_ms) - run.executors.added_ms)
            * run.executors.cores
        )[_workers(run)].sum()
    )
    used = float(run.tasks.duration_ms.sum()) * run.task_cpus
    if held <= 0 or used > 0.5 * held:
        return
    dynamic = (run.conf("spark.dynamicAllocation.enabled", "false") or "").lower() == "true"
    key = "spark.dynamicAllocation.maxExecutors" if dynamic else "spark.executor.instances"
    yield Size(
        key,
        run.conf(key),
        str(needed),
        f"{needed} executors carry what ran at once for nine tenths of the time; {most} were held, {100 * used / held:.0f} % used",
    )


def _partitions(run: AppRun) -> Iterator[Size]:
    stages = [s for s in profile(run).stages if s.n]
    shuffled = [
        (int((s.column("shuffle_read_local_bytes") + s.column("shuffle_read_remote_bytes")).sum()), s) for s in stages if s.sql is not None
    ]
    moved, worst = max(shuffled, key=lambda pair: pair[0], default=(0, None))
    key = "spark.sql.shuffle.partitions"
    if worst is not None and moved:
        now = parse_count(run.conf(key, "200") or "200") or 200
        wanted = shuffle_partitions(moved, run.slots_max, SPLIT_BYTES, 1)
        each = moved / max(worst.n, 1)
        if each > 2 * SPLIT_BYTES and wanted > now:
            yield Size(
                key, run.conf(key), str(wanted), f"stage {worst.ref} read {show_bytes(moved)} in {worst.n} tasks of {show_bytes(each)}"
            )
        adaptive = (run.conf("spark.sql.adaptive.enabled", "true") or "").lower() == "true"
        advisory = "spark.sql.adaptive.advisoryPartitionSizeInBytes"
        size = parse_bytes(run.conf(advisory, "64m") or "64m") or 64 * MIB
        if adaptive and worst.n < run.slots_max and moved // run.slots_max >= MIB and moved // run.slots_max < size:
            fit = spark_size(max(moved // run.slots_max, MIB))
            yield Size(
                advisory,
                run.conf(advisory),
                fit,
                f"adaptive execution merged stage {worst.ref} into {worst.n} tasks for {run.slots_max} cores",
            )
    scanned = [s for s in stages if int(s.column("input_bytes").sum()) and not int(s.column("shuffle_read_records").sum())]
    big = max(scanned, key=lambda s: int(s.column("input_bytes").sum()), default=None)
    if big is not None:
        key = "spark.sql.files.maxPartitionBytes"
        split = parse_bytes(run.conf(key, "128m") or "128m") or SPLIT_BYTES
        each = float(np.median(big.column("input_bytes")))
        if each > SPLIT_MOST and split > SPLIT_BYTES:
            yield Size(key, run.conf(key), spark_size(SPLIT_BYTES), f"tasks of stage {big.ref} read {show_bytes(each)} each")
        elif 0 < each < SPLIT_LEAST and split < SPLIT_BYTES and big.n > 4 * run.slots_max:
            yield Size(key, run.conf(key), spark_size(SPLIT_BYTES), f"{big.n} tasks of stage {big.ref} read only {show_bytes(each)} each")
