"""Thresholds: one frozen dataclass a family, each field with its unit in the name and its reason beside it. No number lives in a rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from spark_copilot.rules_engine.errors import UsageError

L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class PricingLimits:
    """Shares of the application's wall clock at stake that make a severity, and what is too little to say."""

    critical_ratio: float = 0.25
    high_ratio: float = 0.10
    medium_ratio: float = 0.03
    worth_ratio: float = 0.02  # a remedy that replays to less than this (and a second) is noise between two runs
    worth_ms: int = 400


@dataclass(frozen=True, slots=True)
class SkewLimits:
    """When one task of a stage is called far behind the others."""

    min_tasks: int = 3  # below, there is no "others" to be behind of
    min_tasks_by_data: int = (
        2  # two are enough where rows or bytes show the reason: adaptive execution merges all but the hot partition into one
    )
    tail_ratio: float = 2.0  # slowest / median; peers start at 2 (low) and 4 (moderate)
    min_tail_ms: int = 1_500  # what the tail must cost in seconds: large ratios of tiny tasks are noise
    min_wall_ratio: float = 0.03  # and as a share of the run: where a medium finding begins
    min_left_behind_ms: int = 1_000  # the stage must have waited for its slow tasks after the others ended
    data_ratio: float = 1.7  # slowest task's rows or bytes / median: from here on the data can explain the time
    explained_ratio: float = 0.4  # a tail is "by data" when the data ratio is at least this share of the time ratio
    plain_ratio: float = 3.0  # or when it has this many times the data, whatever the time: work per row may grow with it
    min_rows: int = 1_000  # a few rows cannot be the reason, whatever their ratio
    min_bytes: int = 512 << 10  # Python RDDs count batches, not rows: there bytes tell
    lopsided_ratio: float = 5.0  # a partition with this many times its peers' data and time is skew even where nobody waited for it …
    lopsided_share: float = 0.3  # … when it is so much of the stage that four slots would already wait
    lopsided_wall_ratio: float = 0.1  # … and not a trifle of the run
    gc_explains_ratio: float = 0.5  # a pause that is half of the tail is a pause, not a straggler
    cut_to_quantile: float = 0.75
    computes_ratio: float = 0.6  # CPU / run time of a task from which on it works and does not wait
    slow_node_ratio: float = 1.5  # an executor's median task / the same stages' median elsewhere
    slow_node_min_tasks: int = 4
    slow_node_alone_ratio: float = 3.0  # the same for an executor that came to one task only, while the others …
    slow_node_peers: int = 4  # … did at least so many …
    slow_node_alone_stages: int = 2  # … in so many stages, with another partition each time
    slow_node_min_share: float = 0.6  # of its heavy stages must be slow there: a slow node is slow every time


@dataclass(frozen=True, slots=True)
class PartitionLimits:
    """When the number or size of partitions costs."""

    min_wall_ratio: float = 0.03  # a stage that loses less is not worth a change
    min_lost_ms: int = 1_000
    warm_up_ms: int = 2_000  # of an executor's first task: classes are loaded and Python is started, on however many cores
    min_rows: int = 100  # some dozens of rows do not become faster in more partitions
    target_bytes: int = 128 << 20  # the size Spark's own splits aim at
    tasks_per_slot: int = 3  # so that the last wave is short
    small_task_ms: int = 100  # median; below it a task is mostly its own overhead
    small_task_min: int = 200  # tasks of a stage, and at least `small_task_per_slot` a slot
    small_task_per_slot: int = 20
    oversized_bytes: int = 512 << 20  # median read of a task; memory, retries and spill all grow with it
    oversized_spill_bytes: int = 256 << 20  # already from here when the task also spills
    small_file_bytes: int = 3 << 20  # mean; below it opening costs more than reading
    append_min_writes: int = 10  # writes of one run to one table from which on they are a habit and not a batch
    small_file_min: int = 100
    splittable_min_bytes: int = 16 << 20  # a file of this size would have been split for two cores
    unsplit_ratio: float = 1.3  # a task that reads so much more than a split holds a file that was not cut
    file_open_bytes: int = 4 << 20  # what Spark itself counts for opening a file
    file_write_ms: float = 30.0  # create, encode a footer, close, commit: at most this much per written file on one slot
    file_write_ratio: float = 0.8  # and at most this share of the writing stage
    prune_removable_ratio: float = 0.7  # opening and planning what is still read stays
    window_removable_ratio: float = 0.35  # of what even tasks would save: sorting by a key and an order is dearer than by the order alone
    filter_keeps_ratio: float = 0.5  # a filter that keeps more would not have pruned much
    text_row_bytes: int = 1_024  # rows of text are seldom longer
    min_partitions_read: int = 4
    window_min_rows: int = 10_000
    window_plain_rows: int = 1_000_000  # from here on it is named even where it costs little yet: no more cores will ever help it


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """When memory costs time or stands unused."""

    spill_min_bytes: int = 16 << 20  # a few MiB spill costs nothing one can measure
    spill_data_ratio: float = 0.10  # disk spill / (input + shuffle) of the stage
    spill_min_wall_ratio: float = 0.03
    spill_plain_bytes: int = (
        100 << 20
    )  # from here on spill is named even where it seems to cost little: the file cache hides it until the data grows …
    spill_plain_ratio: float = 0.25  # … where it is so much of the stage's data …
    spill_plain_wall: float = 0.2  # … and the stage so much of the run
    spill_bytes_per_ms: int = 90_000  # 90 MB/s on a slot: serialise, write, read, merge
    python_spill_removable_ratio: float = 0.35  # of a Python stage's time: dumping, reading back and merging; from nothing to twice that
    gc_run_ratio: float = 0.10  # of a stage's run time
    gc_wall_ratio: float = 0.05  # and of the wall clock, pauses shared by the tasks that ran beside counted once
    gc_removable_ratio: float = 0.8  # some collection always remains
    over_ratio: float = 1.5  # heap / (peak + reserve)
    over_reserve_bytes: int = 300 << 20  # what Spark reserves for itself
    over_min_bytes: int = 2 << 30  # smaller heaps are not worth shrinking
    cache_min_wall_ratio: float = 0.03  # of the stage that filled the cache
    evicted_removable_ratio: float = 0.8  # of the tasks that computed their part again
    evicted_ratio: float = 0.9  # cached / all partitions below this: blocks were dropped


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """When an operator of the plan costs."""

    min_wall_ratio: float = 0.03
    udf_removable_ratio: float = (
        0.6  # share of a row-at-a-time Python stage that native expressions save, where the log does not measure Python's
    )
    udf_measured_ratio: float = 0.5  # of the time measured in Python workers: the native expression costs something too
    rdd_row_max_ms: float = 0.5  # a row that takes longer in Python is waiting or heavy work, not the price of leaving the JVM
    batch_rows_per_s: int = (
        20_000  # of Python time; a function that works on whole batches does a million, one that takes rows out of them far fewer
    )
    batch_min_ms: int = 10_000
    groups_rows_ratio: float = 1.1  # rows into a function by group / rows out: it does something to each row, as a window would
    groups_removable_ratio: float = 0.45  # half of it on either side: small groups are all call, large ones all work
    udf_min_rows: int = 10_000  # below, the time is the starting of Python workers
    pairs_min: int = 10_000_000  # rows left x rows right of a join without keys
    loop_removable_ratio: float = 0.9
    broadcast_late_bytes: int = (
        32 << 20
    )  # rows of the large side that were shuffled before adaptive execution could see that they need not be
    broadcast_max_bytes: int = 10 << 20  # Spark's own threshold
    broadcast_big_ratio: float = 20.0  # a side this much smaller than the other may be broadcast up to broadcast_cap_bytes
    broadcast_cap_bytes: int = 100 << 20
    broadcast_large_bytes: int = 100 << 20  # peers warn at 100 MiB of threshold; at 1 GiB it is an error
    broadcast_min_wall_ratio: float = 0.05
    explosion_ratio: float = 10.0  # join output / larger input
    generate_ratio: float = 50.0
    explosion_min_rows: int = 1_000_000
    explosion_removable_ratio: float = 0.8
    grouping_removable_ratio: float = 0.5  # some of the totals are wanted
    repeat_min_wall_ratio: float = 0.03
    shared_min_times: int = 3  # different queries on one DataFrame: from three on it is a habit …
    shared_min_wall_ratio: float = 0.08  # … that has to cost this much of the run
    shared_twice_wall_ratio: float = 0.4  # two queries on one table are everyday; only where it is much of the run is it worth a word
    shared_min_ms: int = 2_000
    sampled_min_ms: int = 1_000
    sampled_min_wall_ratio: float = 0.1  # every sort looks for its ranges first; only where that is much of the run is it worth a word
    shared_removable_ratio: float = 0.85  # reading rows back from a cache costs about an eighth of computing them
    repeat_like_ratio: float = 1.6  # RDD jobs on the same source whose task times differ by less do the same work
    result_min_bytes: int = 16 << 20  # serialised, compressed task results sent to the driver in one stage
    result_heavy_bytes: int = 96 << 20  # a tenth of the default driver: it may not fit next time, even where it took no time
    result_ms_per_mib: float = 800.0  # the slowest seen: rows into Python objects; a longer pause is the program's own
    result_removable_ratio: float = 0.9


@dataclass(frozen=True, slots=True)
class ShuffleLimits:
    """When moving data or starting tasks costs."""

    fetch_run_ratio: float = 0.20
    min_wall_ratio: float = 0.03
    fetch_removable_ratio: float = 0.7
    overhead_wall_ratio: float = 0.05
    overhead_min_ms: int = 1_000
    overhead_slot_ratio: float = 0.3  # of what tasks hold: on cores shared with others every task waits a little
    overhead_removable_ratio: float = 0.7
    unpack_large_ms: float = 10.0  # usual tasks are unpacked in one to five …
    unpack_large_ratio: float = 0.4  # … and work for longer than that
    locality_min_wait_ms: int = 500  # shorter waits are the scheduler's pace


@dataclass(frozen=True, slots=True)
class ExecutorLimits:
    """When slots stand empty."""

    driver_min_ratio: float = 0.05
    driver_min_ms: int = 3_000  # a few short queries are planned for that long, and about half of it comes back at best
    driver_short_ms: int = 250  # between two jobs Spark itself plans and commits for so long …
    driver_short_min_ratio: float = 0.25  # … which is worth a word only where it is so much of the run
    driver_pause_ms: int = 500  # a warm driver plans an everyday query in less; longer pauses once it is warm are the program's …
    driver_pause_startup_ratio: float = 0.12  # … on a slow or busy machine from so much of the start-up on …
    driver_pauses_min_ms: int = 1_500  # … and are named where they add up to this …
    driver_pauses_min_ratio: float = 0.1  # … and to so much of the run
    stream_gap_min_ms: int = 1_000  # shorter pauses of a stream are its log and commit, tenths of a second a batch
    driver_cold_startup_ratio: float = 0.3  # … on a slow or busy machine for longer: it took so much of the start-up
    driver_cold_max_ms: int = 10_000
    driver_cold_ms: int = 1_600  # planning the first query loads Spark's classes once, whatever the program does …
    driver_cold_window_ms: int = 5_000  # … within this time after the first job
    driver_high_ratio: float = 0.20  # below it a driver-bound finding stays under high: about half comes back at best
    driver_high_ms: int = 5_000  # and in short runs the pauses are Spark's own planning, which stays
    driver_recoverable_ratio: float = 0.5
    driver_commit_ratio: float = 0.6  # of the pauses lie after the last task of a query that writes files
    idle_min_ratio: float = 0.5
    idle_min_core_ms: int = 30_000
    idle_pause_ms: int = 20_000  # shorter pauses are not worth giving executors back for: to have them again takes seconds
    churn_min_removed: int = 3
    churn_ratio: float = 2.0  # executors ever started / most alive at once
    speculation_min_ratio: float = 0.05  # killed copies / all slot time
    speculation_min_ms: int = 3_000


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """When failed work is worth a finding."""

    min_failed_tasks: int = 1
    severe_ratio: float = 0.05  # failed / all attempts


@dataclass(frozen=True, slots=True)
class DeltaLimits:
    """When a Delta operation does more than it must."""

    min_wall_ratio: float = 0.03
    small_file_bytes: int = 16 << 20  # Delta aims at 128 MiB and more; auto compaction at 16 MiB and up
    small_file_min: int = 50
    copied_ratio: float = 10.0  # rows rewritten unchanged / rows changed
    copied_min_rows: int = 100_000
    rewrite_removable_ratio: float = 0.7  # of the rewriting tasks; a file is still opened to mark rows in it
    vectors_fixed_ms: int = (
        1_500  # what marking rows costs an operation by itself: more jobs, vectors written and read. Measured on Delta 4.4
    )
    full_scan_min_files: int = 20


@dataclass(frozen=True, slots=True)
class StreamingLimits:
    """When a stream falls behind or its state only grows."""

    min_batches: int = 3
    late_share: float = 0.6  # of the batches with rows
    full_ratio: float = 0.95  # batches fill the time between the first and the last: no trigger ever waited
    full_min_ms: int = 1_500  # and are long enough that it is not a query that runs batches as fast as they come
    late_ratio: float = 1.1  # input rate / processing rate
    growth_ratio: float = 2.0  # state rows at the end / after the first third
    growth_min_rows: int = 10_000
    growth_min_batches: int = 5
    growth_steady_ratio: float = 0.95  # of the rows that a batch touches are new and stay: nothing meets a key again, nothing is dropped …
    growth_steady_batches: int = 3  # … in so many batches in a row


@dataclass(frozen=True, slots=True)
class Limits:
    """All thresholds of one analysis. Extensions add theirs under their own class."""

    pricing: PricingLimits = field(default_factory=PricingLimits)
    skew: SkewLimits = field(default_factory=SkewLimits)
    partition: PartitionLimits = field(default_factory=PartitionLimits)
    memory: MemoryLimits = field(default_factory=MemoryLimits)
    plan: PlanLimits = field(default_factory=PlanLimits)
    shuffle: ShuffleLimits = field(default_factory=ShuffleLimits)
    executors: ExecutorLimits = field(default_factory=ExecutorLimits)
    failures: FailureLimits = field(default_factory=FailureLimits)
    delta: DeltaLimits = field(default_factory=DeltaLimits)
    streaming: StreamingLimits = field(default_factory=StreamingLimits)
    extra: Mapping[type[Any], Any] = field(default_factory=dict)

    def of(self, kind: type[L]) -> L:
        """The thresholds of this class; its defaults when nobody set any."""
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, kind):
                return value
        found: L = self.extra.get(kind) or kind()
        return found

    def override(self, family: str, values: Mapping[str, float]) -> "Limits":
        """The limits with some fields of one family set.

        Raises:
            UsageError: no such family or field.
        """
        current = getattr(self, family, None)
        if current is None or family == "extra":
            raise UsageError(f"no limits of the name {family!r}")
        known = {f.name: type(getattr(current, f.name)) for f in fields(current)}
        for name in values:
            if name not in known:
                raise UsageError(f"no limit {name!r} in {family!r}", hint="known: " + ", ".join(known))
        changed = {family: replace(current, **{name: known[name](value) for name, value in values.items()})}
        return replace(self, **changed)
