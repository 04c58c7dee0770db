"""Where the wall clock went: start-up, executors working, the driver alone, waiting. The four add up to the run's duration."""

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.facts import MISSING, AppRun, union
from spark_copilot.rules_engine.plans import metric, walk


class WallClock(TypedDict):
    """Milliseconds; the sum is `AppRun.wall_ms`."""

    startup_ms: int
    executors_ms: int
    driver_ms: int
    waiting_ms: int


def _length(spans: npt.NDArray[np.int64]) -> int:
    return int((spans[:, 1] - spans[:, 0]).sum()) if len(spans) else 0


def _minus(outer: npt.NDArray[np.int64], inner: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What `outer` covers and `inner` does not; both disjoint and in order."""
    found: list[tuple[int, int]] = []
    i = 0
    for begin, end in outer.tolist():
        at = begin
        while i < len(inner) and inner[i, 1] <= at:
            i += 1
        j = i
        while j < len(inner) and inner[j, 0] < end:
            if inner[j, 0] > at:
                found.append((at, int(inner[j, 0])))
            at = max(at, int(inner[j, 1]))
            j += 1
        if at < end:
            found.append((at, end))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _whole(run: AppRun) -> npt.NDArray[np.int64]:
    return union(np.array([[run.first_job_ms, run.ended_ms]], dtype=np.int64), run.started_ms, run.ended_ms)


def waiting_spans(run: AppRun) -> npt.NDArray[np.int64]:
    """Spans in which no task ran for a reason outside the driver's work. Shape (n, 2).

    No executor was there, a stream waited for its trigger, or a Spark Connect server for its clients.
    """
    idle = _minus(_whole(run), run.busy_intervals)
    reasons: list[npt.NDArray[np.int64]] = []
    if run.local_cores is None:
        workers = np.flatnonzero(~run.executors.is_driver & (run.executors.cores > 0))
        if len(workers):
            gone = run.executors.removed_ms[workers]
            alive = union(
                np.stack([run.executors.added_ms[workers], np.where(gone == MISSING, run.ended_ms, gone)], axis=1),
                run.started_ms,
                run.ended_ms,
            )
            pending = union(
                np.stack(
                    [run.stages.submitted_ms, np.where(run.stages.completed_ms == MISSING, run.ended_ms, run.stages.completed_ms)], axis=1
                )[run.stages.submitted_ms != MISSING],
                run.started_ms,
                run.ended_ms,
            )
            reasons.append(_minus(pending, alive))
    if run.streaming:
        batches = np.array(
            [[p.timestamp_ms, p.timestamp_ms + p.duration_ms.get("triggerExecution", 0)] for p in run.streaming], dtype=np.int64
        )
        worked = union(batches, run.started_ms, run.ended_ms)
        if len(worked):
            span = np.array([[worked[0, 0], max(worked[-1, 1], _next_batch_ms(batches[:, 0], run.ended_ms))]], dtype=np.int64)
            reasons.append(_minus(span, worked))
    if run.operations:
        asked = np.array([[o.started_ms, run.ended_ms if o.ended_ms == MISSING else o.ended_ms] for o in run.operations], dtype=np.int64)
        reasons.append(_minus(_whole(run), union(asked[asked[:, 0] != MISSING], run.started_ms, run.ended_ms)))
    if not reasons:
        return np.zeros((0, 2), dtype=np.int64)
    wait = union(np.concatenate(reasons), run.started_ms, run.ended_ms)
    return _minus(idle, _minus(_whole(run), wait))


def _next_batch_ms(starts: npt.NDArray[np.int64], ended_ms: int) -> int:
    """When the batch after the last finished one was due: a stream that was stopped in it left no progress of it."""
    if len(starts) < 2:
        return 0
    ordered = np.sort(starts)
    return min(int(ordered[-1] + np.median(np.diff(ordered))), ended_ms)


def driver_gaps(run: AppRun) -> npt.NDArray[np.int64]:
    """Spans from the first job on in which no task ran and nothing was waited for: the driver's own time. Shape (n, 2), in order."""
    return _minus(_minus(_whole(run), run.busy_intervals), waiting_spans(run))


def commit_ms(run: AppRun) -> int:
    """How much of the driver's time alone lies between the last task of a query that wrote files and the query's end: moving them to their place, and listing."""
    spans = []
    completed = {execution.sql_id: execution.completed_ms for execution in run.sql}
    for execution in run.sql:
        if execution.completed_ms == MISSING or not any(
            (metric(execution, node, "number of written files") or 0) > 0 for node in walk(execution.plan)
        ):
            continue
        ends = [end for job in execution.job_ids for end in _stage_ends(run, job)]
        if ends:
            # The command around it goes on after it: it tells the catalog, and counts what was written.
            spans.append((max(ends), max(execution.completed_ms, completed.get(execution.root_id, MISSING))))
    if not spans:
        return 0
    committing = union(np.array(spans, dtype=np.int64), run.started_ms, run.ended_ms)
    gaps = driver_gaps(run)
    return _length(gaps) - _length(_minus(gaps, committing))


def _stage_ends(run: AppRun, job_id: int) -> list[int]:
    rows = np.flatnonzero(run.jobs.job_id == job_id)
    own = np.isin(run.stages.job_row, rows) & (run.stages.completed_ms != MISSING)
    return [int(end) for end in run.stages.completed_ms[own]]


def wall_clock(run: AppRun) -> WallClock:
    """The run's duration in four parts."""
    busy = union(run.busy_intervals, run.first_job_ms, run.ended_ms)
    waiting, driver = _length(waiting_spans(run)), _length(driver_gaps(run))
    executors = _length(busy)
    return WallClock(
        startup_ms=max(run.wall_ms - executors - driver - waiting, 0), executors_ms=executors, driver_ms=driver, waiting_ms=waiting
    )
