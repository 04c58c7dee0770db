"""Slots without work: the driver alone, executors nobody needs, executors that come and go, copies that lose."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.facts import KILLED, MISSING, SUCCESS, AppRun, IntColumn, union
from spark_copilot.rules_engine.findings import DriverGap, Evidence, Observation, RemoveShare, Resize, Severity, Where
from spark_copilot.rules_engine.limits import ExecutorLimits
from spark_copilot.rules_engine.profile import call_site
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import cluster, code, conf
from spark_copilot.rules_engine.rules.copies import rescued
from spark_copilot.rules_engine.rules.deaths import deaths
from spark_copilot.rules_engine.wall_clock import commit_ms, driver_gaps

COMMITS = "it commits written files"


@rule("driver-bound", family="executors", limits=ExecutorLimits, title="The driver works alone while every core waits")
def driver_bound(run: AppRun, limits: ExecutorLimits) -> Iterator[Observation]:
    """Between the first job and the end of the application there is time in which no task runs: the driver plans, lists files, commits, or runs the program's own code.

    Why it costs: the whole cluster is paid for and idle.
    What to do: move loops and collected data out of the driver; run independent actions in threads; fewer and larger jobs; less listing (a catalog instead of paths, fewer files and
    folders); commit with a committer that does not move files.
    Blind spot: the log shows that the driver was alone, not what it did; about half of planning, listing and commits comes back at best.
    Start-up, the planning of the first query, waiting for a streaming trigger, a micro-batch's book-keeping and waiting for executors do not count.
    """
    gaps = driver_gaps(run)
    if run.streaming:  # every micro-batch keeps its books: offsets, log, commit
        gaps = gaps[gaps[:, 1] - gaps[:, 0] >= limits.stream_gap_min_ms]
    total = int((gaps[:, 1] - gaps[:, 0]).sum()) if len(gaps) else 0
    # How fast this machine loads classes shows in the application's start-up.
    startup = run.first_job_ms - run.started_ms
    loading = max(limits.driver_cold_ms, int(limits.driver_cold_startup_ratio * startup))
    cold = min(loading + _cold_planning_ms(run), limits.driver_cold_max_ms)
    early = gaps[gaps[:, 0] < run.first_job_ms + max(limits.driver_cold_window_ms, startup)]
    first_query = gaps[_first_query(run, gaps)]
    loaded = max(
        min(int((early[:, 1] - early[:, 0]).sum()), cold),
        min(int((first_query[:, 1] - first_query[:, 0]).sum()), max(limits.driver_cold_ms, startup)),
    )
    total -= loaded
    least = max(limits.driver_min_ratio * run.wall_ms, limits.driver_min_ms)
    lasted = gaps[:, 1] - gaps[:, 0]
    short = int(lasted[lasted < limits.driver_short_ms].sum())
    plain = total >= least and (total - short >= least or total >= limits.driver_short_min_ratio * run.wall_ms)
    warm, warm_least = _warm_pauses_ms(run, gaps, limits), max(limits.driver_pauses_min_ms, limits.driver_pauses_min_ratio * run.wall_ms)
    if not plain and warm < warm_least:
        return
    longest = int(lasted.argmax())
    begin, end = int(gaps[longest, 0]), int(gaps[longest, 1])
    before = np.flatnonzero((run.stages.completed_ms >= 0) & (run.stages.completed_ms <= begin + 50))
    place = Where()
    if len(before):
        row = int(before[int(run.stages.completed_ms[before].argmax())])
        place = Where(call_site=call_site(run, row))
    high = total >= max(limits.driver_high_ratio * run.wall_ms, limits.driver_high_ms)
    commits = commit_ms(run) >= limits.driver_commit_ratio * total
    yield Observation(
        code="driver-bound",
        where=place if place.call_site is None else Where(call_site=place.call_site),
        evidence=(
            Evidence(
                metric="time without a task, less loading",
                value=total,
                limit=least if plain else None,
                unit="ms",
            ),
            *(() if plain else (Evidence(metric="long pauses once Spark is loaded", value=warm, limit=warm_least, unit="ms"),)),
            Evidence(metric="loading of Spark's planner at the start", value=loaded, limit=None, unit="ms"),
            Evidence(
                metric="share of the wall clock",
                value=100 * total / max(run.wall_ms, 1),
                limit=100 * limits.driver_min_ratio,
                unit="percent",
            ),
            Evidence(metric="pauses", value=len(gaps), limit=None, unit="count"),
            Evidence(metric="longest pause", value=end - begin, limit=None, unit="ms"),
        ),
        remedy=DriverGap(ms=float(round(limits.driver_recoverable_ratio * total))),
        severity_cap=None if high else Severity.MEDIUM,
        changes=code(
            "fewer-files",
            "write fewer files (repartition by the partition columns first), or use a committer that does not move each of them",
            "stop when the pauses are under a twentieth of the wall clock",
        )
        if commits
        else code(
            "driver-work",
            "look at what the program does after the place named: move it into a job, run independent actions in threads, or do it less often",
            "stop when the pauses are under a twentieth of the wall clock",
        ),
        cause=COMMITS if commits else None,
    )


def _cold_planning_ms(run: AppRun) -> int:
    """By how much the first query was longer from its submission to its first job than the later ones usually were: Spark's planner was loaded in it."""
    begun = dict(zip(run.jobs.job_id.tolist(), run.jobs.submitted_ms.tolist(), strict=True))
    planned = [
        min(begun[job] for job in one.job_ids if job in begun) - one.submitted_ms
        for one in sorted(run.sql, key=lambda one: (one.submitted_ms, one.sql_id))
        if one.submitted_ms != MISSING and any(job in begun for job in one.job_ids)
    ]
    return max(int(planned[0] - np.median(planned[1:])), 0) if len(planned) > 1 else 0


def _warm_pauses_ms(run: AppRun, gaps: IntColumn, limits: ExecutorLimits) -> int:
    """Pauses too long for the planning of an everyday query that go on after all of Spark is loaded."""
    startup = run.first_job_ms - run.started_ms
    late = gaps[(gaps[:, 0] >= run.first_job_ms + max(limits.driver_cold_window_ms, startup)) & ~_first_query(run, gaps)]
    lasted = late[:, 1] - late[:, 0]
    long = lasted[lasted >= max(limits.driver_pause_ms, limits.driver_pause_startup_ratio * startup)]
    return int(long.sum())


def _first_query(run: AppRun, gaps: IntColumn) -> npt.NDArray[np.bool_]:
    """Which pause lies before the first query's first job where other jobs came before it: Spark SQL was loaded in it, as it else is before the first job."""
    begun = [int(run.jobs.submitted_ms[row]) for row in range(len(run.jobs)) if int(run.jobs.sql_row[row]) >= 0]
    first = min(begun, default=MISSING)
    return np.asarray((gaps[:, 0] < first) & (gaps[:, 1] >= first) & (first > run.first_job_ms))


@rule("idle-executors", family="executors", limits=ExecutorLimits, title="Executors stand idle for most of the time they are held")
def idle_executors(run: AppRun, limits: ExecutorLimits) -> Iterator[Observation]:
    """More than half of the core time of the executors had no task.

    Why it costs: every held core is paid for; it takes no wall clock, so this never ranks above medium.
    What to do: dynamic allocation with a sensible maximum, or fewer executors; stop the application when the work is done.
    Blind spot: needs executors that can be given back; on `local[N]` there are none. Idle time by skew or by a busy driver is theirs to mend first.
    """
    workers = np.flatnonzero(~run.executors.is_driver & (run.executors.cores > 0))
    if run.local_cores is not None or len(workers) < 2:
        return
    gone = run.executors.removed_ms[workers]
    ends = np.where(gone == MISSING, run.ended_ms, gone)
    begins = np.maximum(run.executors.added_ms[workers], run.started_ms)
    held = float((np.maximum(ends - begins, 0) * run.executors.cores[workers]).sum())
    used = float(run.tasks.duration_ms.sum()) * run.task_cpus
    idle = max(held - used, 0.0)
    if held <= 0 or idle < limits.idle_min_ratio * held or idle < limits.idle_min_core_ms:
        return
    needed = run.executors_needed
    if needed >= run.executors_max:
        yield from _idle_together(run, limits, idle / held, held)
        return
    stop = "stop when the wall clock grows by more than a twentieth"
    changes = conf(run, "spark.dynamicAllocation.enabled", "true", "give idle executors back", stop)
    changes += conf(run, "spark.dynamicAllocation.maxExecutors", str(needed), f"{needed} executors carry the same tasks", stop)
    if run.conf("spark.dynamicAllocation.enabled", "false") != "true":
        changes += conf(
            run, "spark.dynamicAllocation.shuffleTracking.enabled", "true", "needed where there is no external shuffle service", stop
        )
        changes += conf(run, "spark.executor.instances", str(needed), "or simply ask for fewer", stop)
    yield Observation(
        code="idle-executors",
        where=Where(),
        evidence=(
            Evidence(metric="idle core time", value=100 * idle / held, limit=100 * limits.idle_min_ratio, unit="percent"),
            Evidence(metric="core time held", value=held, limit=None, unit="ms"),
            Evidence(metric="executors held", value=run.executors_max, limit=None, unit="count"),
            Evidence(metric="executors needed", value=needed, limit=None, unit="count"),
        ),
        remedy=Resize(executors=needed),
        severity_floor=Severity.LOW if idle < 0.7 * held else Severity.MEDIUM,
        severity_cap=Severity.MEDIUM,
        changes=changes,
    )


def _idle_together(run: AppRun, limits: ExecutorLimits, idle_ratio: float, held_ms: float) -> Iterator[Observation]:
    """All executors are needed, but not all the time: in one long pause every one of them could be given back."""
    gaps = driver_gaps(run)
    longest = int((gaps[:, 1] - gaps[:, 0]).max()) if len(gaps) else 0
    if longest < limits.idle_pause_ms or (run.conf("spark.dynamicAllocation.enabled", "false") or "").lower() == "true":
        return
    stop = "stop when executors come too late for the jobs after a pause"
    changes = conf(run, "spark.dynamicAllocation.enabled", "true", "give executors back in long pauses", stop)
    changes += conf(
        run, "spark.dynamicAllocation.shuffleTracking.enabled", "true", "needed where there is no external shuffle service", stop
    )
    timeout_s = max(longest // 3_000, 5)
    if timeout_s < 60:
        changes += conf(
            run, "spark.dynamicAllocation.executorIdleTimeout", f"{timeout_s}s", "the pauses are shorter than the default allows for", stop
        )
    yield Observation(
        code="idle-executors",
        where=Where(),
        evidence=(
            Evidence(metric="idle core time", value=100 * idle_ratio, limit=100 * limits.idle_min_ratio, unit="percent"),
            Evidence(metric="core time held", value=held_ms, limit=None, unit="ms"),
            Evidence(metric="longest pause of all executors", value=longest, limit=limits.idle_pause_ms, unit="ms"),
        ),
        severity_floor=Severity.LOW,
        severity_cap=Severity.LOW,
        changes=changes,
        cause="all are needed while tasks run, none while the driver works",
    )


@rule("allocation-churn", family="executors", limits=ExecutorLimits, title="Executors are given back and asked for again, over and over")
def allocation_churn(run: AppRun, limits: ExecutorLimits) -> Iterator[Observation]:
    """Dynamic allocation lets executors go in short pauses and starts new ones a moment later.

    Why it costs: every new executor starts a JVM, loads classes and reads its data again; jobs wait for it.
    What to do: a longer idle timeout, and a minimum that covers the usual job.
    Blind spot: executors lost to failures or preemption belong to executor-lost.
    """
    lost = deaths(run)
    gone = run.executors.removed_ms
    given_back = (gone != MISSING) & ~run.executors.is_driver & (gone < run.ended_ms - 1_000)
    given_back[[*lost.of_memory, *lost.otherwise]] = False
    removed = gone[given_back]
    started = int((~run.executors.is_driver).sum())
    if not len(removed) or len(removed) < limits.churn_min_removed or started < limits.churn_ratio * max(run.executors_max, 1):
        return
    first = int(removed.min())
    again = int(((run.executors.added_ms > first) & ~run.executors.is_driver).sum())
    if again < limits.churn_min_removed:
        return
    waiting = _waiting_ms(run)
    stop = "stop when executors live for most of the run"
    yield Observation(
        code="allocation-churn",
        where=Where(),
        evidence=(
            Evidence(metric="executors started", value=started, limit=limits.churn_ratio * run.executors_max, unit="count"),
            Evidence(metric="most alive at once", value=run.executors_max, limit=None, unit="count"),
            Evidence(metric="given back", value=len(removed), limit=limits.churn_min_removed, unit="count"),
            Evidence(metric="stages waited for executors", value=waiting, limit=None, unit="ms"),
        ),
        severity_floor=Severity.MEDIUM if waiting >= 0.05 * run.wall_ms else Severity.LOW,
        changes=conf(run, "spark.dynamicAllocation.executorIdleTimeout", "60s", "the default; keep executors through short pauses", stop)
        + conf(run, "spark.dynamicAllocation.minExecutors", str(max(run.executors_max // 2, 1)), "keep what the usual job needs", stop),
    )


def _waiting_ms(run: AppRun) -> int:
    """Time in which a stage was submitted and no task of any stage ran."""
    begins = run.stages.submitted_ms
    ends = np.where(run.stages.completed_ms == MISSING, run.ended_ms, run.stages.completed_ms)
    known = begins != MISSING
    open_spans = union(np.stack([begins[known], ends[known]], axis=1), run.started_ms, run.ended_ms)
    both = union(np.concatenate([run.busy_intervals, open_spans]), run.started_ms, run.ended_ms)
    length = int((both[:, 1] - both[:, 0]).sum()) if len(both) else 0
    busy = run.busy_intervals
    return max(length - (int((busy[:, 1] - busy[:, 0]).sum()) if len(busy) else 0), 0)


@rule("speculation-waste", family="executors", limits=ExecutorLimits, title="Speculative copies lose and their work is thrown away")
def speculation_waste(run: AppRun, limits: ExecutorLimits) -> Iterator[Observation]:
    """Tasks were started twice and one of the two was killed; the killed time is lost, unless the copy ended far sooner than its original would have.

    Why it costs: slots are held by work that is thrown away, and other tasks wait for them.
    What to do: a higher multiplier and quantile, so that only tasks far behind get a copy; mend the cause of slow tasks; switch it off where slowness comes from the data.
    Blind spot: what a copy that won has saved is not counted; the slow machine or partition that made it win is slow-node's or straggler-tasks'.
    """
    tasks = run.tasks
    copies = int(tasks.speculative.sum())
    if not copies:
        return
    keys = tasks.stage_row * (int(tasks.index.max()) + 1) + tasks.index
    doubled = np.isin(keys, keys[tasks.speculative])
    lost = doubled & (tasks.status != SUCCESS)
    lost[rescued(run)] = False
    wasted = int(tasks.duration_ms[lost].sum())
    total = int(tasks.duration_ms.sum())
    if wasted < max(limits.speculation_min_ms, limits.speculation_min_ratio * total):
        return
    rows = [int(r) for r in np.unique(tasks.stage_row[lost])]
    stop = "stop when thrown-away time is under a twentieth"
    yield Observation(
        code="speculation-waste",
        where=Where(),
        evidence=(
            Evidence(
                metric="slot time thrown away",
                value=wasted,
                limit=max(limits.speculation_min_ms, limits.speculation_min_ratio * total),
                unit="ms",
            ),
            Evidence(
                metric="share of all slot time",
                value=100 * wasted / max(total, 1),
                limit=100 * limits.speculation_min_ratio,
                unit="percent",
            ),
            Evidence(metric="copies started", value=copies, limit=None, unit="count"),
            Evidence(metric="copies killed", value=int((tasks.speculative & (tasks.status == KILLED)).sum()), limit=None, unit="count"),
        ),
        remedy=RemoveShare(stages=tuple(run.stages.ref(r) for r in rows), of="speculation", ratio=1.0),
        severity_floor=Severity.LOW,
        changes=conf(run, "spark.speculation.multiplier", "3", "only tasks three times slower than the median get a copy", stop)
        + conf(run, "spark.speculation.quantile", "0.9", "and only near the end of the stage", stop)
        + cluster("speculation", "false", "or switch spark.speculation off: the slow tasks have more data, not a slow node", stop),
        occurrences=len(rows),
        also=tuple(int(run.stages.stage_id[r]) for r in rows),
    )
