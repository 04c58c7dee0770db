"""What a run measured of one matter (spill, garbage collection, unevenness, waiting, use), in sentences, also where no rule found anything worth a change."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spark_copilot.rag.run_facts import failure_lines
from spark_copilot.rag.run_figures import stage_figures, stage_order
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.facts import MISSING, AppRun, IntColumn
from spark_copilot.rules_engine.units import show_bytes, show_count, show_ms, show_value

Facts = Mapping[str, Any]
_Measure = Callable[[AppRun, Facts], list[str]]


def percent(ratio: float) -> str:
    """A share as people read it."""
    return show_value(100 * ratio, "percent")


def _stages_line(run: AppRun, column: IntColumn, show: Callable[[float], str]) -> str:
    """The stages that hold most of a column of the tasks."""
    held = np.bincount(run.tasks.stage_row, weights=column.astype(np.float64), minlength=len(run.stages))
    order = [int(row) for row in np.argsort(-held, kind="stable")[:3] if held[row] > 0]
    return "Most of it: " + ", ".join(f"stage {run.stages.ref(row)} {show(float(held[row]))}" for row in order) + "." if order else ""


def spill(run: AppRun, facts: Facts) -> list[str]:
    """How much was spilled, and where."""
    del facts
    disk, memory = run.tasks.disk_spilled_bytes, run.tasks.memory_spilled_bytes
    if disk is None:
        return ["The log carries no task metrics, so spill is not in it."]
    total = int(disk.sum())
    if not total:
        return ["Nothing was spilled to disk: 0 B."]
    in_memory = f" ({show_bytes(int(memory.sum()))} as it lay in memory)" if memory is not None and int(memory.sum()) else ""
    tasks = int((disk > 0).sum())
    return [
        f"Spilled to disk: {show_bytes(total)}{in_memory}, by {show_count(tasks)} of {show_count(len(disk))} task attempts.",
        _stages_line(run, disk, show_bytes),
    ]


def garbage(run: AppRun, facts: Facts) -> list[str]:
    """Time in garbage collection and its share of the tasks' run time."""
    del facts
    gc, run_ms = run.tasks.gc_ms, run.tasks.run_ms
    if gc is None or run_ms is None or not int(run_ms.sum()):
        return ["The log carries no task metrics, so garbage collection is not in it."]
    return [
        f"Garbage collection took {show_ms(int(gc.sum()))} of {show_ms(int(run_ms.sum()))} task run time: {percent(int(gc.sum()) / int(run_ms.sum()))}.",
        _stages_line(run, gc, show_ms),
    ]


def unevenness(run: AppRun, facts: Facts) -> list[str]:
    """The heavy stages whose longest task stands out most from the median."""
    del facts
    rows = [stage_figures(run, row) for row in stage_order(run, "task_ms_total")[:12]]
    uneven = [s for s in rows if s.tasks_ended > 1 and s.task_ms_p50 and s.task_ms_max is not None]
    uneven.sort(key=lambda s: -(s.task_ms_max or 0) / max(s.task_ms_p50 or 1.0, 1.0))
    return [
        f"Stage {s.ref}: longest task {show_ms(s.task_ms_max or 0)}, median {show_ms(s.task_ms_p50 or 0)} "
        f"({(s.task_ms_max or 0) / max(s.task_ms_p50 or 1.0, 1.0):.1f} times), {show_count(s.tasks_ended)} tasks."
        for s in uneven[:2]
    ]


def fetch_wait(run: AppRun, facts: Facts) -> list[str]:
    """Time spent waiting for shuffle blocks."""
    del facts
    wait, run_ms = run.tasks.fetch_wait_ms, run.tasks.run_ms
    if wait is None or run_ms is None or not int(run_ms.sum()):
        return ["The log carries no task metrics, so waiting for shuffle data is not in it."]
    return [f"Tasks waited {show_ms(int(wait.sum()))} for shuffle data: {percent(int(wait.sum()) / int(run_ms.sum()))} of their run time."]


def driver(run: AppRun, facts: Facts) -> list[str]:
    """Time in which no task ran because the driver worked."""
    return clock_lines(run, facts)


def clock_lines(run: AppRun, facts: Facts) -> list[str]:
    """The wall clock in its four parts, the largest first."""
    clock = facts.get("wall_clock")
    if not isinstance(clock, dict) or not run.wall_ms:
        return []
    names = {"startup_ms": "start-up", "executors_ms": "tasks running", "driver_ms": "driver alone", "waiting_ms": "waiting"}
    parts = sorted(((names[k], float(v)) for k, v in clock.items() if k in names), key=lambda item: -item[1])
    return ["Wall clock: " + ", ".join(f"{name} {show_ms(ms)} ({percent(ms / run.wall_ms)})" for name, ms in parts) + "."]


def use(run: AppRun, facts: Facts) -> list[str]:
    """How much of the core time was used."""
    del run
    core = facts.get("core_ms")
    if not isinstance(core, dict) or not sum(core.values()):
        return []
    total = float(sum(core.values()))
    parts = ", ".join(f"{name} {show_ms(float(value))} ({percent(float(value) / total)})" for name, value in core.items())
    return [f"Core time: {parts}."]


def failures(run: AppRun, facts: Facts) -> list[str]:
    """Failed attempts and Spark's reasons."""
    del facts
    return failure_lines(run)


def lost(run: AppRun, facts: Facts) -> list[str]:
    """Executors that were removed before the end, and why."""
    del facts
    workers = [row for row in range(len(run.executors)) if not run.executors.is_driver[row]]
    gone = [row for row in workers if run.executors.removed_ms[row] != MISSING]
    lines = [f"{show_count(len(gone))} of {show_count(len(workers))} executors were removed before the end of the log."]
    reasons = Counter(from_log(run.executors.removed_reason[row] or "no reason in the log", 160) for row in gone)
    return [*lines, *(f"{count} × {reason}" for reason, count in reasons.most_common(2))]


MEASURES: dict[str, _Measure] = {
    "spill": spill,
    "gc-pressure": garbage,
    "data-skew": unevenness,
    "straggler-tasks": unevenness,
    "shuffle-fetch-wait": fetch_wait,
    "driver-bound": driver,
    "idle-executors": use,
    "task-failures": failures,
    "stage-retries": failures,
    "job-failed": failures,
    "out-of-memory": failures,
    "executor-lost": lost,
}
"""Finding code -> what the run measured of its matter."""


def measured(run: AppRun | None, facts: Facts, code: str) -> list[str]:
    """The lines for a code; empty where there is no measure of it or no run."""
    if run is None or code not in MEASURES:
        return []
    return [line for line in MEASURES[code](run, facts) if line]
