"""What of a run is compared with its baselines: counters first, then times. One flat value, so that rules stay short."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spark_copilot.rules_engine.facts import FAILED, SUCCESS, AppRun, IntColumn
from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.plans import walk
from spark_copilot.rules_engine.rules.deaths import deaths

MIN_STAGE_TASKS = 8
"""Below it the median of a stage says little."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Ratios are plain, sizes bytes, times milliseconds; None where the log is silent."""

    name: str
    spark_version: str
    complete: bool
    wall_ms: int
    run_ms: int | None
    tasks: int
    median_task_ms: float | None
    input_bytes: int | None
    input_records: int | None
    output_records: int | None
    shuffle_bytes: int | None
    spill_bytes: int | None
    gc_ms: int | None
    failed_tasks: int
    stage_retries: int
    lost_executors: int
    joins: Mapping[str, int]
    skew_ratio: float
    """Longest over median task of the worst stage whose longest task takes five seconds or more; 1 when there is none."""
    heap_share: float | None
    settings: Mapping[str, str]

    @property
    def gc_share(self) -> float:
        """Garbage collection as a share of task run time."""
        return (self.gc_ms or 0) / self.run_ms if self.run_ms else 0.0

    @property
    def volume(self) -> tuple[str, int]:
        """What was read, in bytes where the log knows them, else in records."""
        return ("bytes", self.input_bytes) if self.input_bytes else ("records", self.input_records or 0)


def figures_of(run: AppRun) -> Figures:
    """The figures of one run."""
    tasks = run.tasks
    ended = tasks.take(tasks.status == SUCCESS)
    run_ms = ended.run_ms if ended.run_ms is not None else ended.duration_ms
    settings = dict(run.environment.spark)
    for execution in run.sql:
        settings |= execution.modified_configs
    lost = deaths(run)
    spilled = [_sum(tasks.memory_spilled_bytes), _sum(tasks.disk_spilled_bytes)]
    return Figures(
        name=run.app.name,
        spark_version=run.app.spark_version,
        complete=run.complete,
        wall_ms=run.wall_ms,
        run_ms=_sum(tasks.run_ms),
        tasks=len(tasks),
        median_task_ms=float(np.median(run_ms)) if len(run_ms) else None,
        input_bytes=_sum(tasks.input_bytes),
        input_records=_sum(tasks.input_records),
        output_records=_sum(tasks.output_records),
        shuffle_bytes=_sum(tasks.shuffle_write_bytes),
        spill_bytes=None if None in spilled else sum(s or 0 for s in spilled),
        gc_ms=_sum(tasks.gc_ms),
        failed_tasks=int((tasks.status == FAILED).sum()),
        stage_retries=int(((run.stages.attempt > 0) & ~run.stages.skipped).sum()) if len(run.stages) else 0,
        lost_executors=len(lost.of_memory) + len(lost.otherwise),
        joins=_joins(run),
        skew_ratio=_skew(run),
        heap_share=_heap(run, settings),
        settings=settings,
    )


def _sum(column: IntColumn | None) -> int | None:
    return None if column is None else int(column.sum())


def _joins(run: AppRun) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for execution in run.sql:
        for node in walk(execution.plan):
            if node.name.endswith(("Join", "CartesianProduct")) or "Join" in node.name.split(" ")[0]:
                counts[node.name.split(" ")[0]] += 1
    return dict(counts)


def _skew(run: AppRun) -> float:
    worst = 1.0
    tasks = run.tasks
    durations = tasks.duration_ms
    for row in np.unique(tasks.stage_row):
        of_stage = durations[(tasks.stage_row == row) & (tasks.status == SUCCESS)]
        if len(of_stage) >= MIN_STAGE_TASKS and of_stage.max() >= 5_000:
            worst = max(worst, float(of_stage.max() / max(float(np.median(of_stage)), 1.0)))
    return worst


def _heap(run: AppRun, settings: Mapping[str, str]) -> float | None:
    local = settings.get("spark.master", "").startswith("local")
    key = "spark.driver.memory" if local else "spark.executor.memory"
    heap = values.size(settings.get(key, "1g"), "MiB")
    peaks = [
        p.get("JVMHeapMemory", 0) for p, driver in zip(run.executors.peaks, run.executors.is_driver, strict=False) if bool(driver) == local
    ]
    return max(peaks) / heap if heap and peaks and max(peaks) > 0 else None
