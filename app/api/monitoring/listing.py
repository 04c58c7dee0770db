"""Filters, orders and pages of the listings."""

from collections.abc import Sequence

import numpy as np

from spark_copilot.app.api.monitoring.jobs import job_json, job_status
from spark_copilot.app.api.monitoring.stages import listed_rows, running_json, stage_status, tasks_json
from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.app.api.monitoring.values import Json
from spark_copilot.rules_engine.errors import NotFound, UsageError
from spark_copilot.rules_engine.facts import RunningTask

_JOB = frozenset({"RUNNING", "SUCCEEDED", "FAILED", "UNKNOWN"})
_STAGE = frozenset({"ACTIVE", "COMPLETE", "FAILED", "PENDING", "SKIPPED"})


def _wanted(given: Sequence[str] | None, known: frozenset[str]) -> set[str]:
    words = {word.upper() for word in given or known}
    if not words <= known:
        raise NotFound("HTTP 404 Not Found")
    return words


def jobs(totals: Totals, statuses: Sequence[str] | None) -> list[Json]:
    """Jobs of these statuses, the newest first."""
    wanted = _wanted(statuses, _JOB)
    ids = totals.run.jobs.job_id
    rows = sorted(range(len(ids)), key=lambda row: -int(ids[row]))
    return [job_json(totals, row) for row in rows if job_status(totals, row) in wanted]


def filtered_stages(totals: Totals, statuses: Sequence[str] | None) -> list[int]:
    """Rows of stage attempts of these statuses, the newest first."""
    wanted = _wanted(statuses, _STAGE)
    return [row for row in listed_rows(totals.run) if stage_status(totals.run, row) in wanted]


def stage_row(totals: Totals, stage: int, attempt: int) -> int:
    """The attempt's row.

    Raises:
        NotFound: in the words of the History Server.
    """
    run = totals.run
    row = run.stage_row_of.get((stage, attempt))
    if row is not None and run.stages.described[row]:
        return row
    known = sorted(int(run.stages.attempt[r]) for r in listed_rows(run) if int(run.stages.stage_id[r]) == stage)
    if not known:
        raise NotFound(f"unknown stage: {stage}")
    raise NotFound(f"unknown attempt for stage {stage}.  Found attempts: [{','.join(map(str, known))}]")


def quantiles(text: str) -> list[float]:
    """The comma-separated quantiles.

    Raises:
        UsageError: one is no number.
    """
    out = []
    for word in text.split(","):
        try:
            out.append(float(word))
        except ValueError:
            raise UsageError(f'Bad value for parameter "quantiles".  Expected a double, got "{word}"') from None
        if not 0 <= out[-1] <= 1:
            raise UsageError(f'Bad value for parameter "quantiles".  Expected a double, got "{word}"')
    return out


_SORTS = {
    "ID": ("taskId", False),
    "INCREASING_RUNTIME": ("duration", False),
    "DECREASING_RUNTIME": ("duration", True),
    "RUNTIME": ("duration", False),
    "-RUNTIME": ("duration", True),
}
"""By the names of Spark's `TaskSorting` and those its documentation gives them."""


def task_page(totals: Totals, row: int, *, offset: int, length: int, sort_by: str, statuses: Sequence[str]) -> list[Json]:
    """A page of a stage attempt's tasks; only the page is worded."""
    order = _SORTS.get(sort_by.upper())
    if order is None:
        raise NotFound("HTTP 404 Not Found")
    run = totals.run
    rows = run.task_rows(row)
    words = {word.upper() for word in statuses}
    if words:
        rows = rows[[("SUCCESS", "FAILED", "KILLED")[int(code)] in words for code in run.tasks.status[rows]]]
    keys = run.tasks.task_id[rows] if order[0] == "taskId" else run.tasks.finish_ms[rows] - run.tasks.launch_ms[rows]
    running = totals.running_of_stage.get(row, []) if not words or "RUNNING" in words else []
    found: list[tuple[int, int | RunningTask]] = list(zip(keys.tolist(), rows.tolist(), strict=True))
    found += [(task.task_id if order[0] == "taskId" else -1, task) for task in running]
    found.sort(key=lambda one: one[0], reverse=order[1])
    offset = max(offset, 0)
    page = [task for _, task in found[offset : offset + max(length, 0)]]
    ended = iter(tasks_json(totals, np.array([task for task in page if not isinstance(task, RunningTask)], dtype=np.int64)))
    return [running_json(totals, task) if isinstance(task, RunningTask) else next(ended) for task in page]
