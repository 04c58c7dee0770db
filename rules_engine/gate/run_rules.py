"""SR: a run against its baselines. Counters speak at once, times only beyond the noise that the baselines themselves show."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, pstdev

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.keys import catalog
from spark_copilot.rules_engine.gate.run_figures import Figures
from spark_copilot.rules_engine.gate.target import SparkVersion
from spark_copilot.rules_engine.units import show_bytes, show_count, show_ms

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Thresholds of the gate on runs."""

    alike: float = 0.2
    """Inputs that differ by more than this share are not alike."""
    slower: float = 0.25
    """With few baselines a run must be this much slower before it counts."""
    slower_least_ms: int = 10_000
    sigmas: float = 3.0
    """With three baselines or more: so many standard deviations, and at least a tenth."""
    grew: float = 1.5
    shuffle_least: int = MIB
    spill_least: int = MIB
    gc_share: float = 0.10
    gc_least_ms: int = 5_000
    many_tasks: float = 3.0
    more_tasks: int = 50
    short_task_ms: float = 100.0
    skew: float = 3.0
    heap: float = 0.90


LIMITS = RunLimits()


def input_ratio(run: Figures, base: Sequence[Figures]) -> float | None:
    """Input of the run over that of the baselines; None when either is unknown or zero."""
    unit, size = run.volume
    held = [b.volume[1] for b in base if b.volume[0] == unit and b.volume[1]]
    return size / median(held) if held and size else None


def is_alike(run: Figures, base: Sequence[Figures]) -> bool | None:
    """Whether run and baselines read about as much; None when the logs do not say."""
    ratio = input_ratio(run, base)
    return None if ratio is None else 1 - LIMITS.alike <= ratio <= 1 + LIMITS.alike


def limit_ms(times: Sequence[int]) -> float:
    """The time above which a run is slower than these baselines, noise allowed for."""
    middle = median(times)
    if len(times) >= 3:
        return max(middle + LIMITS.sigmas * pstdev(times), middle * 1.1)
    return max(max(times) * (1 + LIMITS.slower), middle + LIMITS.slower_least_ms)


def _scale(run: Figures, base: Sequence[Figures]) -> float:
    """How much more work the run may do for having read more."""
    return max(1.0, input_ratio(run, base) or 1.0)


def slower(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR001"""
    if is_alike(run, base) is False:
        return
    most = limit_ms([b.wall_ms for b in base])
    if run.wall_ms > most:
        yield Hit(0, f"{show_ms(run.wall_ms)} where {show_ms(median(b.wall_ms for b in base))} is usual and {show_ms(most)} within noise")
        return
    held = [b.run_ms for b in base if b.run_ms is not None]
    if run.run_ms is not None and held and run.run_ms > limit_ms(held):
        yield Hit(0, f"tasks ran {show_ms(run.run_ms)} in all; {show_ms(median(held))} is usual, {show_ms(limit_ms(held))} within noise")


def spill(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR002"""
    held = [b.spill_bytes for b in base if b.spill_bytes is not None]
    if run.spill_bytes is None or not held:
        return
    most = max(held) * LIMITS.grew * _scale(run, base)
    if run.spill_bytes > max(most, LIMITS.spill_least):
        yield Hit(0, f"{show_bytes(run.spill_bytes)} spilled, {show_bytes(max(held))} at most before")


def shuffle(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR003"""
    held = [b.shuffle_bytes for b in base if b.shuffle_bytes is not None]
    if run.shuffle_bytes is None or not held:
        return
    most = max(held) * LIMITS.grew * _scale(run, base)
    if run.shuffle_bytes > most and run.shuffle_bytes - max(held) >= LIMITS.shuffle_least:
        yield Hit(0, f"{show_bytes(run.shuffle_bytes)} shuffled, {show_bytes(max(held))} at most before, for about the same input")


def gc(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR004"""
    before = max(b.gc_share for b in base)
    if run.gc_share >= LIMITS.gc_share and run.gc_share > before * LIMITS.grew and (run.gc_ms or 0) >= LIMITS.gc_least_ms:
        yield Hit(0, f"garbage collection takes {run.gc_share:.0%} of task time, {before:.0%} before")


def failures(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR005"""
    for what, now, before in (
        ("failed tasks", run.failed_tasks, max(b.failed_tasks for b in base)),
        ("stages tried again", run.stage_retries, max(b.stage_retries for b in base)),
        ("executors lost", run.lost_executors, max(b.lost_executors for b in base)),
    ):
        if now > before:
            yield Hit(0, f"{now} {what}, {before} at most before")


_BROADCAST = "BroadcastHashJoin"
_WORSE = ("SortMergeJoin", "ShuffledHashJoin", "BroadcastNestedLoopJoin", "CartesianProduct")


def joins(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR006"""
    before = base[-1].joins
    lost = before.get(_BROADCAST, 0) - run.joins.get(_BROADCAST, 0)
    gained = [(name, run.joins.get(name, 0) - before.get(name, 0)) for name in _WORSE]
    gained = [(name, count) for name, count in gained if count > 0]
    loops = [(name, count) for name, count in gained if name in _WORSE[2:]]
    if (lost > 0 and gained) or loops:
        yield Hit(0, f"{lost} {_BROADCAST} fewer, " + ", ".join(f"{count} {name} more" for name, count in gained))


_VOLATILE = re.compile(
    r"spark\.(?:app\.(?:id|startTime|submitTime|attempt|initial)|driver\.(?:host|port|appUIAddress|bindAddress|blockManager\.port|pod)|executor\.id"
    r"|blockManager\.port|ui\.(?:port|proxyBase|filters)|yarn\.(?:app\.|cache\.|secondary)|repl\.|org\.apache\.hadoop\.yarn|submit\.|files\Z|jars\Z"
    r"|kubernetes\.(?:driver\.pod\.name|executor\.podNamePrefix|submitInDriver|driver\.service|resource)|local\.dir|fileserver|rdd\.scope|sql\.execution\.id"
    r"|eventLog\.(?:dir|enabled)\Z|job\.|jobGroup|hadoop\.fs\.s3a\.vectored|history\.|externalBlockStore\.folderName\Z)"
)


def is_volatile(key: str) -> bool:
    """Whether a property differs from run to run by itself (ports, ids, times, upload paths)."""
    return _VOLATILE.match(key) is not None


def drift(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR007"""
    before = base[-1]
    for key in sorted(set(run.settings) | set(before.settings)):
        old, new = before.settings.get(key), run.settings.get(key)
        if old != new and not is_volatile(key):
            yield Hit(0, f"{key}: {_shown(old)} -> {_shown(new)}", key)
    one, two = SparkVersion.parse(before.spark_version), SparkVersion.parse(run.spark_version)
    if one is not None and two is not None and one != two:
        changed = changed_defaults(one, two, set(run.settings) | set(before.settings))
        names = ", ".join(f"{key} {old} -> {new}" for key, old, new in changed[:5])
        yield Hit(
            0,
            f"Spark {before.spark_version} -> {run.spark_version}: {len(changed)} defaults differ"
            + (f", among them {names}" if names else ""),
        )


def _shown(value: str | None) -> str:
    return "not set" if value is None else value if len(value) <= 80 else value[:77] + "…"


def changed_defaults(one: SparkVersion, two: SparkVersion, written: set[str]) -> list[tuple[str, str, str]]:
    """(key, old, new) of public keys that are not written and whose default differs between two versions."""
    out = []
    known = catalog()
    for key in known.all_keys:
        entry = known.entry(key)
        if entry is None or not entry.public or key in written or not entry.first <= min(one, two) or not max(one, two) <= entry.last:
            continue
        old, new = entry.default(one), entry.default(two)
        if old is not None and new is not None and not same_value(old, new):
            out.append((key, old, new))
    return sorted(out)


def same_value(old: str, new: str) -> bool:
    """Whether two values mean the same: letter case and the writing of numbers ignored."""
    one, two = values.double(old), values.double(new)
    return old.lower() == new.lower() or (one is not None and one == two)


def tasks(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR008"""
    before = max(b.tasks for b in base)
    many = run.tasks > before * LIMITS.many_tasks * _scale(run, base) and run.tasks - before >= LIMITS.more_tasks
    if many and run.median_task_ms is not None and run.median_task_ms < LIMITS.short_task_ms:
        yield Hit(0, f"{show_count(run.tasks)} tasks of {show_ms(run.median_task_ms)} (median), {show_count(before)} at most before")


def skew(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR009"""
    before = max(b.skew_ratio for b in base)
    if run.skew_ratio >= LIMITS.skew and run.skew_ratio > before * LIMITS.grew:
        yield Hit(0, f"the longest task takes {run.skew_ratio:.1f} times the median of its stage, {before:.1f} before")


def heap(run: Figures, base: Sequence[Figures]) -> Iterator[Hit]:
    """SR010"""
    held = [b.heap_share for b in base if b.heap_share is not None]
    if run.heap_share is not None and run.heap_share > LIMITS.heap and held and max(held) <= LIMITS.heap:
        yield Hit(0, f"the heap fills to {run.heap_share:.0%}, {max(held):.0%} before")


CHECKS: tuple[tuple[str, Callable[[Figures, Sequence[Figures]], Iterator[Hit]]], ...] = (
    ("SR001", slower),
    ("SR002", spill),
    ("SR003", shuffle),
    ("SR004", gc),
    ("SR005", failures),
    ("SR006", joins),
    ("SR007", drift),
    ("SR008", tasks),
    ("SR009", skew),
    ("SR010", heap),
)
"""What runs, by code."""


def verdict_of(run: Figures, base: Sequence[Figures], worse: Sequence[str]) -> str:
    """same, better, worse because …, or cannot tell because …; `worse` are the names of findings above info."""
    if worse:
        return f"worse because of {', '.join(dict.fromkeys(worse))}"
    if not run.complete or not all(b.complete for b in base):
        return "cannot tell: a log has no end of its application"
    if is_alike(run, base) is False:
        return f"cannot tell: the run read {input_ratio(run, base):.1f} times as much as its baselines"
    times = [b.wall_ms for b in base]
    middle = median(times)
    noise = limit_ms(times) - middle
    if run.wall_ms < middle - noise:
        return f"better: {show_ms(run.wall_ms)} where {show_ms(middle)} is usual"
    return f"same: {show_ms(run.wall_ms)}, {show_ms(middle)} is usual, noise {show_ms(noise)}"
