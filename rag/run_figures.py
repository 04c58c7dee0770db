"""Figures of one run that more than one answer needs: stages, executors and SQL executions as small records of plain numbers.

A figure is None where the log does not hold it, never zero.
"""

from dataclasses import dataclass

import numpy as np

from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun, IntColumn, SqlExecution, TaskTable
from spark_copilot.rules_engine.profile import call_site


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage attempt. Shares are of the tasks' run time; `span_ms` is submission to completion."""

    stage_id: int
    attempt: int
    name: str
    sql_id: int | None
    job_id: int | None
    skipped: bool
    failed: bool
    failure_reason: str | None
    span_ms: int | None
    tasks_declared: int
    tasks_ended: int
    tasks_failed: int
    tasks_killed: int
    task_ms_total: int
    task_ms_mean: float | None
    task_ms_p50: float | None
    task_ms_p95: float | None
    task_ms_max: int | None
    input_bytes: int | None
    input_records: int | None
    output_bytes: int | None
    output_records: int | None
    shuffle_read_bytes: int | None
    shuffle_read_records: int | None
    shuffle_write_bytes: int | None
    shuffle_write_records: int | None
    memory_spilled_bytes: int | None
    disk_spilled_bytes: int | None
    gc_ratio: float | None
    fetch_wait_ratio: float | None
    peak_task_memory_bytes: int | None

    @property
    def ref(self) -> str:
        """The attempt as findings name it."""
        return f"{self.stage_id}.{self.attempt}"


def _sum(column: IntColumn | None) -> int | None:
    return None if column is None else int(column.sum())


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def shuffle_read(tasks: TaskTable) -> int | None:
    """Bytes read from shuffles, local and remote."""
    local, remote = _sum(tasks.shuffle_read_local_bytes), _sum(tasks.shuffle_read_remote_bytes)
    return None if local is None or remote is None else local + remote


def stage_figures(run: AppRun, row: int) -> StageFigures:
    """One stage attempt by its row."""
    stages = run.stages
    tasks = run.tasks.take(run.task_rows(row))
    held, run_ms = tasks.duration_ms, _sum(tasks.run_ms)
    sql_row, job_row = int(stages.sql_row[row]), int(stages.job_row[row])
    reason = stages.failure_reason[row] if stages.failure_reason else None
    ended = bool(stages.submitted_ms[row] != MISSING and stages.completed_ms[row] != MISSING)
    peak = tasks.peak_execution_memory_bytes
    some = bool(len(tasks))
    return StageFigures(
        stage_id=int(stages.stage_id[row]),
        attempt=int(stages.attempt[row]),
        name=from_log(_name(run, row), 120),
        sql_id=run.sql[sql_row].sql_id if 0 <= sql_row < len(run.sql) else None,
        job_id=int(run.jobs.job_id[job_row]) if 0 <= job_row < len(run.jobs) else None,
        skipped=bool(stages.skipped[row]),
        failed=bool(stages.failed[row]),
        failure_reason=from_log(reason, 300) if reason else None,
        span_ms=int(stages.duration_ms[row]) if ended else None,
        tasks_declared=int(stages.n_tasks[row]),
        tasks_ended=len(tasks),
        tasks_failed=int((tasks.status == FAILED).sum()),
        tasks_killed=int((tasks.status > FAILED).sum()),
        task_ms_total=int(held.sum()),
        task_ms_mean=float(held.mean()) if some else None,
        task_ms_p50=float(np.median(held)) if some else None,
        task_ms_p95=float(np.quantile(held, 0.95)) if some else None,
        task_ms_max=int(held.max()) if some else None,
        input_bytes=_sum(tasks.input_bytes),
        input_records=_sum(tasks.input_records),
        output_bytes=_sum(tasks.output_bytes),
        output_records=_sum(tasks.output_records),
        shuffle_read_bytes=shuffle_read(tasks),
        shuffle_read_records=_sum(tasks.shuffle_read_records),
        shuffle_write_bytes=_sum(tasks.shuffle_write_bytes),
        shuffle_write_records=_sum(tasks.shuffle_write_records),
        memory_spilled_bytes=_sum(tasks.memory_spilled_bytes),
        disk_spilled_bytes=_sum(tasks.disk_spilled_bytes),
        gc_ratio=_share(_sum(tasks.gc_ms), run_ms),
        fetch_wait_ratio=_share(_sum(tasks.fetch_wait_ms), run_ms),
        peak_task_memory_bytes=int(peak.max()) if peak is not None and some else None,
    )


def _name(run: AppRun, row: int) -> str:
    if not run.stages.name:
        return ""
    described = len(run.stages.name) == len(run.stages) and (not len(run.jobs) or run.jobs.name)
    return (call_site(run, row) if described else None) or run.stages.name[row]


def rows_of(run: AppRun, stage_id: int, attempt: int | None = None) -> list[int]:
    """Rows of a stage's attempts, the last attempt last."""
    return [row for (stage, tried), row in run.stage_row_of.items() if stage == stage_id and attempt in (None, tried)]


STAGE_ORDERS = ("span_ms", "task_ms_total", "task_ms_max", "disk_spilled_bytes", "shuffle_read_bytes", "shuffle_write_bytes", "input_bytes", "tasks_failed", "gc_ms")  # fmt: skip


def stage_order(run: AppRun, by: str = "span_ms") -> list[int]:
    """Rows of the stages that ran, the largest by one of `STAGE_ORDERS` first; equal ones in table order."""
    if not len(run.stages):
        return []
    value = _order_values(run, by)
    ran = ~run.stages.skipped
    return [int(row) for row in np.argsort(-value, kind="stable") if ran[row]]


def _order_values(run: AppRun, by: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    tasks, stages = run.tasks, run.stages
    if by == "span_ms":
        return stages.duration_ms.astype(np.float64)
    if by == "task_ms_max":
        longest = np.zeros(len(stages))
        np.maximum.at(longest, tasks.stage_row, tasks.duration_ms)
        return longest
    weights: IntColumn | None
    if by == "task_ms_total":
        weights = tasks.duration_ms
    elif by == "tasks_failed":
        weights = (tasks.status == FAILED).astype(np.int64)
    elif by == "shuffle_read_bytes":
        local, remote = tasks.shuffle_read_local_bytes, tasks.shuffle_read_remote_bytes
        weights = None if local is None or remote is None else local + remote
    else:
        weights = getattr(tasks, by)
    if weights is None:
        return np.zeros(len(stages))
    return np.bincount(tasks.stage_row, weights=weights.astype(np.float64), minlength=len(stages)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class ExecutorFigures:
    """One executor. `lost_reason` is what Spark gave when it was removed; `alive_ms` up to the end of the log."""

    executor_id: str
    host: str
    cores: int
    alive_ms: int
    removed: bool
    lost_reason: str | None
    tasks_ended: int
    tasks_failed: int
    task_ms_total: int
    task_ms_p50: float | None
    busy_ratio: float | None
    gc_ratio: float | None
    disk_spilled_bytes: int | None
    peaks_bytes: dict[str, int]


def executor_figures(run: AppRun, row: int) -> ExecutorFigures:
    """One executor by its row."""
    executors = run.executors
    tasks = run.tasks.take(run.tasks.executor_row == row)
    gone = int(executors.removed_ms[row])
    alive = max((run.ended_ms if gone == MISSING else gone) - int(executors.added_ms[row]), 0)
    cores, held = int(executors.cores[row]), int(tasks.duration_ms.sum())
    reason = executors.removed_reason[row] if executors.removed_reason else None
    peaks = executors.peaks[row] if executors.peaks else {}
    return ExecutorFigures(
        executor_id=from_log(executors.executor_id[row], 40),
        host=from_log(executors.host[row] if executors.host else "", 120),
        cores=cores,
        alive_ms=alive,
        removed=gone != MISSING,
        lost_reason=from_log(reason, 200) if reason else None,
        tasks_ended=len(tasks),
        tasks_failed=int((tasks.status == FAILED).sum()),
        task_ms_total=held,
        task_ms_p50=float(np.median(tasks.duration_ms)) if len(tasks) else None,
        busy_ratio=held * run.task_cpus / (alive * cores) if alive and cores else None,
        gc_ratio=_share(_sum(tasks.gc_ms), _sum(tasks.run_ms)),
        disk_spilled_bytes=_sum(tasks.disk_spilled_bytes),
        peaks_bytes={name: int(value) for name, value in peaks.items() if "Memory" in name and value > 0},
    )


def sql_span_ms(run: AppRun, sql: SqlExecution) -> int | None:
    """Start to end; None while the log has no end of it."""
    return None if MISSING in (sql.completed_ms, sql.submitted_ms) else max(sql.completed_ms - sql.submitted_ms, 0)
