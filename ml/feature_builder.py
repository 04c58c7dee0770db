"""What of a run explains how long it took: a few numbers of any platform's log, and the row they make in the history of its job."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun, PlanNode, TaskTable
from spark_copilot.rules_engine.findings import normalised
from spark_copilot.rules_engine.resources import executor_bytes, executor_leases

FEATURES: Final = (
    "input_bytes", "input_rows", "shuffle_bytes", "output_bytes", "spilled_bytes", "tasks", "failed_tasks", "stages", "jobs", "executors", "cores",
    "slots", "memory_bytes", "slot_ms", "tasks_per_slot", "input_bytes_per_memory_byte",
)  # fmt: skip
"""Names of a run's features, each with its unit; all finite and never negative."""

MOST: Final = float(2**62)  # a broken log may claim more; sums of 64-bit columns may even turn negative
CLOCK_SLACK_MS: Final = 5_000
CLOCK_SLACK_RATIO: Final = 0.05
"""Tasks may lie this far outside the application's span before its clock counts as unreliable."""
_ADAPTIVE = re.compile(
    r"^(AdaptiveSparkPlan|.*QueryStage|AQEShuffleRead|CustomShuffleReader|InputAdapter|WholeStageCodegen.*|ReusedExchange)\b"
)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One run in the history of its job. Plain numbers and strings, so that it can be kept as JSON anywhere."""

    job: str
    app_id: str
    attempt: str | None
    started_ms: int
    wall_ms: int
    complete: bool
    """Whether duration and features can be learnt from: the log has its end, no failure cut the run short, nothing is lost, the clock held."""
    plan: str
    """Fingerprint of what it computes; the same for another amount of data."""
    features: dict[str, float]


def history_row(run: AppRun, job: str) -> HistoryRow:
    """The row of a run; `job` as its report names it."""
    return HistoryRow(
        job=job,
        app_id=run.app.id,
        attempt=run.app.attempt,
        started_ms=run.started_ms,
        wall_ms=min(run.wall_ms, int(MOST)),
        complete=usable(run),
        plan=plan_fingerprint(run),
        features=features_of(run),
    )


def features_of(run: AppRun) -> dict[str, float]:
    """The features by name. What the log does not hold is 0: no model takes a column that is ever 0 for an amount of data."""
    good = run.successful
    memory = _memory_bytes(run)
    read = _total(good, "input_bytes")
    slots = max(run.slots_max, 1)
    ran = int((np.bincount(run.tasks.stage_row, minlength=len(run.stages)) > 0).sum()) if len(run.tasks) else 0
    found: Mapping[str, float] = {
        "input_bytes": read,
        "input_rows": _total(good, "input_records"),
        "shuffle_bytes": _total(good, "shuffle_write_bytes"),
        "output_bytes": _total(good, "output_bytes"),
        "spilled_bytes": _total(good, "disk_spilled_bytes"),
        "tasks": len(good),
        "failed_tasks": int((run.tasks.status == FAILED).sum()),
        "stages": ran,
        "jobs": len(run.jobs),
        "executors": run.executors_max,
        "cores": slots * run.task_cpus,
        "slots": slots,
        "memory_bytes": memory,
        "slot_ms": float(run.tasks.duration_ms.astype(np.float64).sum()),
        "tasks_per_slot": len(good) / slots,
        "input_bytes_per_memory_byte": read / memory if memory > 0 else 0.0,
    }
    return {name: min(max(float(found[name]), 0.0), MOST) for name in FEATURES}


def usable(run: AppRun) -> bool:
    """Whether the run may stand in a history: ended, whole, not cut short by a failure, its times consistent."""
    if not run.complete or run.wall_ms <= 0 or run.app.exit_code not in (None, 0):
        return False
    quality = run.quality
    if quality.compacted or quality.truncated or quality.missing_task_ends > 0.01 * len(run.tasks):
        return False
    if len(run.jobs) and bool(run.jobs.failed[-1]):
        return False
    return _clock_held(run)


def plan_fingerprint(run: AppRun) -> str:
    """16 hex digits of the set of queries, or of call sites where no SQL ran. Neither sizes, constants, repeats nor adaptive choices change it."""
    parts = {_shape(plan) for execution in run.sql if (plan := execution.first_plan or execution.plan) is not None}
    if not parts:
        parts = {normalised(name) for name, described in zip(run.stages.name, _described(run), strict=True) if described}
    return hashlib.sha256("\n".join(sorted(parts)).encode(errors="surrogatepass")).hexdigest()[:16]


def _described(run: AppRun) -> list[bool]:
    return [bool(name) for name in run.stages.name]


def _shape(root: PlanNode) -> str:
    """Operators of a plan in order, without what adaptive execution wraps around them. Not recursive: plans may be very deep."""
    names: list[str] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not _ADAPTIVE.match(node.name):
            names.append(normalised(node.name))
        waiting.extend(reversed(node.children))
    return hashlib.sha256(" ".join(names).encode(errors="surrogatepass")).hexdigest()


def _total(tasks: TaskTable, name: str) -> float:
    column = getattr(tasks, name)
    return 0.0 if column is None else float(np.maximum(column, 0).astype(np.float64).sum())


def _memory_bytes(run: AppRun) -> float:
    """Memory of the executors alive at once; on `local[N]` the one process's."""
    if run.local_cores is not None:
        return float(sum(lease.memory_bytes for lease in executor_leases(run)))
    return float(executor_bytes(run)) * run.executors_max


def _clock_held(run: AppRun) -> bool:
    """False where tasks or jobs lie clearly outside the application's span, or end before they begin: the clock was set during the run."""
    slack = CLOCK_SLACK_MS + CLOCK_SLACK_RATIO * run.wall_ms
    for begins, ends in ((run.tasks.launch_ms, run.tasks.finish_ms), (run.jobs.submitted_ms, run.jobs.completed_ms)):
        known = (begins != MISSING) & (ends != MISSING)
        begun, ended = begins[known].astype(np.float64), ends[known].astype(np.float64)
        if not len(begun):
            continue
        if begun.min() < run.started_ms - slack or ended.max() > run.ended_ms + slack or (begun - ended).max() > CLOCK_SLACK_MS:
            return False
    return True
