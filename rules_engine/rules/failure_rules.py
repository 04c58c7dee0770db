"""Work that failed and was done again, executors that died, jobs that did not end well."""

import re
from collections.abc import Iterator

import numpy as np

from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun
from spark_copilot.rules_engine.findings import Change, Evidence, Observation, RemoveShare, Severity, SkipStages, Where
from spark_copilot.rules_engine.limits import FailureLimits
from spark_copilot.rules_engine.profile import where_of
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import cluster, code, conf
from spark_copilot.rules_engine.rules.deaths import deaths, memory_cause, reason_of, repeated, retried

_BROADCAST_LATE = re.compile(r"execute broadcast in (\d{1,9}) secs")
_BROADCAST_TIMEOUT_S = 300
"""Spark's default."""
_NOT_THE_TASKS_FAULT = (
    "ExecutorLostFailure",
    "FetchFailed",
    "Executor heartbeat timed out",
    "worker lost",
    "TaskCommitDenied",
    "was preempted",
    "SparkContext was shut down",
)


def _first_line(text: str, width: int = 160) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = next(
        (
            line
            for line in reversed(lines)
            if line.split(":")[0].replace(".", "").isidentifier() and ("Error" in line.split(":")[0] or "Exception" in line.split(":")[0])
        ),
        None,
    )
    line = python or (lines[0] if lines else "unknown reason")
    return line if len(line) <= width else line[: width - 1] + "…"


@rule("task-failures", family="failures", limits=FailureLimits, title="Tasks failed and ran again")
def task_failures(run: AppRun, limits: FailureLimits) -> Iterator[Observation]:
    """Task attempts ended with an error of their own; Spark repeated them until they went through or the job gave up.

    Why it costs: the time up to the failure is lost and the repeat runs late; four failures of one task end the job.
    What to do: read the reason; make the function tolerate the record or the service that refuses it; a flaky service wants a retry inside the task, not four whole attempts.
    Blind spot: attempts killed by the scheduler (speculation, stage abort) are not failures; attempts lost with their executor or for missing shuffle files, and memory errors, have
    codes of their own.
    """
    tasks = run.tasks
    failed = [
        r
        for r in np.flatnonzero(tasks.status == FAILED).tolist()
        if not any(w in reason_of(run, r) for w in _NOT_THE_TASKS_FAULT) and memory_cause(reason_of(run, r)) is None
    ]
    if len(failed) < limits.min_failed_tasks:
        return
    by_reason: dict[str, list[int]] = {}
    for row in failed:
        by_reason.setdefault(_first_line(reason_of(run, row)).split(":")[0], []).append(row)
    ratio = len(failed) / max(len(tasks), 1)
    stages = sorted({int(tasks.stage_row[r]) for r in failed}, key=lambda s: -sum(int(tasks.stage_row[r]) == s for r in failed))
    commonest = max(by_reason.values(), key=len)
    wasted = int(tasks.duration_ms[failed].sum())
    yield Observation(
        code="task-failures",
        where=where_of(run, stages[0]),
        evidence=(
            Evidence(metric="attempts failed", value=len(failed), limit=limits.min_failed_tasks, unit="count"),
            Evidence(metric="share of all attempts", value=100 * ratio, limit=100 * limits.severe_ratio, unit="percent"),
            Evidence(metric="slot time lost", value=wasted, limit=None, unit="ms"),
            Evidence(metric="different reasons", value=len(by_reason), limit=None, unit="count"),
        ),
        remedy=RemoveShare(stages=tuple(run.stages.ref(s) for s in stages), of="failed", ratio=1.0),
        severity_floor=Severity.MEDIUM if ratio >= limits.severe_ratio else Severity.LOW,
        changes=code("failure", f"most often: {_first_line(reason_of(run, commonest[0]))}", "stop when no attempt fails"),
        occurrences=len(stages),
        also=tuple(int(run.stages.stage_id[s]) for s in stages[1:]),
        cause=_first_line(reason_of(run, commonest[0])),
    )


@rule("stage-retries", family="failures", limits=FailureLimits, title="Finished stages had to run again")
def stage_retries(run: AppRun, limits: FailureLimits) -> Iterator[Observation]:
    """A stage was attempted more than once, as a rule because shuffle files it had written were gone when others came to read them.

    Why it costs: work that was done is done again, while the stage that needed it waits.
    What to do: find out why executors went (memory, spot loss, a disk); keep shuffle files apart from executors (external shuffle service, decommissioning with migration).
    Blind spot: retries that a driver program makes by itself are new jobs and do not count.
    """
    del limits
    again = retried(run)
    if not again:
        return
    redone = repeated(run)
    spent = sum(int(run.tasks.duration_ms[run.task_rows(row)].sum()) for row in redone)
    stop = "stop when no stage is attempted twice"
    yield Observation(
        code="stage-retries",
        where=where_of(run, max(again, key=lambda row: int(run.tasks.duration_ms[run.task_rows(row)].sum()))),
        evidence=(
            Evidence(metric="stage attempts beyond the first", value=len(again), limit=1, unit="count"),
            Evidence(metric="slot time of the repeats", value=spent, limit=None, unit="ms"),
        ),
        remedy=SkipStages(stages=tuple(run.stages.ref(row) for row in redone)) if redone else None,
        severity_floor=Severity.MEDIUM,
        changes=code(
            "memory",
            "give the executors the memory that out-of-memory asks for: their shuffle files went with them, nothing else was wrong",
            stop,
        )
        if deaths(run).only_memory
        else code("shuffle-files", f"find out who removed the shuffle files: no executor left. {_fetch_failure(run)}".strip(), stop)
        if not (run.executors.removed_ms[~run.executors.is_driver] != MISSING).any()
        else conf(run, "spark.decommission.enabled", "true", "move blocks away before a node leaves", stop)
        + conf(run, "spark.storage.decommission.shuffleBlocks.enabled", "true", "shuffle files among them", stop),
        occurrences=len(again),
        also=tuple(int(run.stages.stage_id[row]) for row in again),
    )


def _fetch_failure(run: AppRun) -> str:
    """What the first fetch that failed said."""
    found = next((error for error in run.errors if error.startswith("FetchFailed")), "")
    lines = [line.strip() for line in found.splitlines()[1:] if line.strip() not in ("", ")")]
    return lines[0][:200] if lines else ""


_TAKEN = ("preempt", "spot", "spark.kubernetes.executor.deleted", "node is being")


@rule("executor-lost", family="failures", limits=FailureLimits, title="Executors died while the application ran")
def executor_lost(run: AppRun, limits: FailureLimits) -> Iterator[Observation]:
    """Executors left without being sent away: killed, crashed, or silent for too long.

    Why it costs: running tasks are lost, cached blocks and shuffle files go with the executor, and whole stages may run again.
    What to do: by the reason: a memory kill wants overhead, a heartbeat timeout points to long collections or an overloaded node, a preemption wants decommissioning or on-demand nodes.
    Blind spot: the reason text is the cluster manager's and often short; executors that dynamic allocation gave back do not count.
    """
    del limits
    found = deaths(run)
    lost, died = found.otherwise, found.tasks
    if not lost:
        return
    reason = run.executors.removed_reason[lost[0]] or "no reason given"
    taken = any(w in reason.lower() for w in _TAKEN)
    stages = tuple(dict.fromkeys(run.stages.ref(int(run.tasks.stage_row[r])) for r in died))
    yield Observation(
        code="executor-lost",
        where=Where(executor_id=run.executors.executor_id[lost[0]]),
        evidence=(
            Evidence(metric="executors lost", value=len(lost), limit=1, unit="count"),
            Evidence(metric="tasks lost with them", value=len(died), limit=None, unit="count"),
        ),
        remedy=RemoveShare(stages=stages, of="failed", ratio=1.0) if stages else None,
        severity_floor=Severity.MEDIUM,
        changes=cluster("spot", None, "run on nodes that are not taken away, or turn on decommissioning", "stop when no executor is lost")
        if taken
        else cluster(
            "executor",
            None,
            f"look at the log of executor {run.executors.executor_id[lost[0]]}: {_first_line(reason)}",
            "stop when no executor is lost",
        ),
        occurrences=len(lost),
        cause=_first_line(reason),
    )


@rule("job-failed", family="failures", limits=FailureLimits, title="A job failed")
def job_failed(run: AppRun, limits: FailureLimits) -> Iterator[Observation]:
    """A job ended with an error, or a query did outside its jobs (a broadcast that took too long), so what it should have made is not there, or was made by a later try.

    Why it costs: everything the job did is lost.
    What to do: read the first reason of the failed stage; what failed four times will fail a fifth time.
    Blind spot: a job that was cancelled, by a person, a timeout or by Spark itself when it no longer needed it, is not a failure.
    """
    del limits
    bad = [i for i in np.flatnonzero(run.jobs.failed).tolist() if not _cancelled(run.jobs.failure[i] or "")]
    if not bad:
        yield from _query_failed(run)
        return
    row = bad[0]
    reason = run.jobs.failure[row] or ""
    stages = [r for r in range(len(run.stages)) if run.stages.failed[r] and int(run.stages.job_row[r]) == row]
    detail = _first_line((run.stages.failure_reason[stages[0]] or reason) if stages else reason)
    if "FetchFailed" in detail and deaths(run).only_memory:
        detail = f"executors died for want of memory (out-of-memory) and took their shuffle files along; it ended with {detail}"
    spent = sum(int(run.jobs.completed_ms[i] - run.jobs.submitted_ms[i]) for i in bad if run.jobs.completed_ms[i] != MISSING)
    where = where_of(run, stages[0]) if stages else Where(call_site=run.jobs.name[row] or None)
    yield Observation(
        code="job-failed",
        where=where,
        evidence=(
            Evidence(metric="jobs failed", value=len(bad), limit=1, unit="count"),
            Evidence(metric="time of the failed jobs", value=spent, limit=None, unit="ms"),
        ),
        severity_floor=Severity.HIGH,
        changes=code("failure", f"mend the cause: {detail}", "stop when the job goes through"),
        occurrences=len(bad),
        cause=detail,
    )


def _query_failed(run: AppRun) -> Iterator[Observation]:
    """Queries that ended with an error while none of their jobs did by itself."""
    ids = {one.sql_id for one in run.sql}
    # A query that is stopped ends with an interrupt, or with an error that one caused: in a stream's batch function, say.
    bad = [
        one
        for one in run.sql
        if one.error
        and not _cancelled(one.error)
        and "interrupt" not in one.error.lower()
        and (one.root_id == one.sql_id or one.root_id not in ids)
    ]
    if not bad:
        return
    first = bad[0]
    detail = _first_line(first.error or "")
    spent = sum(one.completed_ms - one.submitted_ms for one in bad if one.completed_ms != MISSING and one.submitted_ms != MISSING)
    stop = "stop when the query goes through"
    changes = code("failure", f"mend the cause: {detail}", stop)
    late = _BROADCAST_LATE.search(first.error or "")
    if late is not None:
        allowed = max(3 * int(late[1]), _BROADCAST_TIMEOUT_S)
        changes = code(
            "broadcast",
            "make the side that is broadcast sooner (filter it, keep it, write it before), or take the broadcast hint off",
            stop,
        )
        text = f"{late[1]} s were not enough for the side that is broadcast"
        changes += (Change(kind="conf", key="spark.sql.broadcastTimeout", from_=late[1], to=str(allowed), text=text, stop_condition=stop),)
    yield Observation(
        code="job-failed",
        where=Where(sql_id=first.sql_id),
        evidence=(
            Evidence(metric="queries failed", value=len(bad), limit=1, unit="count"),
            Evidence(metric="time of the failed queries", value=spent, limit=None, unit="ms"),
        ),
        severity_floor=Severity.HIGH,
        changes=changes,
        occurrences=len(bad),
        cause=detail,
    )


def _cancelled(reason: str) -> bool:
    low = reason.lower()
    return any(word in low for word in ("cancelled", "canceled", "no longer needed"))
