"""Numbers of one run put into sentences: a stage, the volumes, the failures, the executors. Every figure is a column of the run or a sum over one."""

import numpy as np

from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun, IntColumn, TaskTable
from spark_copilot.rules_engine.units import show_bytes, show_count, show_ms

_VOLUMES = (
    ("read from storage", "input_bytes"),
    ("written to storage", "output_bytes"),
    ("shuffle written", "shuffle_write_bytes"),
    ("spilled to disk", "disk_spilled_bytes"),
)


def _total(column: IntColumn | None) -> int | None:
    return None if column is None else int(column.sum())


def stage_lines(run: AppRun, stage_id: int, attempt: int | None = None) -> list[str]:
    """What a stage did; empty when the log has no such stage."""
    rows = [row for (stage, tried), row in run.stage_row_of.items() if stage == stage_id and attempt in (None, tried)]
    if not rows:
        return []
    row = rows[-1]
    if bool(run.stages.skipped[row]):
        return [f"Stage {stage_id} was skipped: its result was already there."]
    tasks = run.tasks.take(run.task_rows(row))
    name = run.stages.name[row] if run.stages.name else ""
    lines = [
        f"Stage {run.stages.ref(row)}" + (f" ({name})" if name else "") + f": {_span(run, row)}, {show_count(len(tasks))} tasks ended."
    ]
    if len(tasks):
        held = tasks.duration_ms
        lines.append(f"Task time: median {show_ms(float(np.median(held)))}, longest {show_ms(float(held.max()))}.")
        lines.append(_volumes(tasks))
        lines += _phases(tasks)
        failed = int((tasks.status == FAILED).sum())
        if failed:
            lines.append(f"{show_count(failed)} of its task attempts failed.")
    reason = run.stages.failure_reason[row] if run.stages.failure_reason else None
    if reason:
        lines.append(f"It failed: {' '.join(reason.split())[:200]}")
    if len(rows) > 1:
        lines.append(f"It was attempted {len(rows)} times.")
    return [line for line in lines if line]


def _span(run: AppRun, row: int) -> str:
    length = int(run.stages.duration_ms[row])
    return f"{show_ms(length)} from submission to completion" if length else "its end is not in the log"


def _volumes(tasks: TaskTable) -> str:
    said = []
    for words, name in _VOLUMES:
        total = _total(getattr(tasks, name))
        if total:
            said.append(f"{words} {show_bytes(total)}")
    local, remote = _total(tasks.shuffle_read_local_bytes), _total(tasks.shuffle_read_remote_bytes)
    if local is not None and remote is not None and local + remote:
        said.append(f"shuffle read {show_bytes(local + remote)}")
    return f"Data: {', '.join(said)}." if said else ""


def _phases(tasks: TaskTable) -> list[str]:
    run_ms = _total(tasks.run_ms)
    if not run_ms:
        return []
    said = []
    for words, name in (("garbage collection", "gc_ms"), ("waiting for shuffle data", "fetch_wait_ms")):
        spent = _total(getattr(tasks, name))
        if spent:
            said.append(f"{words} {100 * spent / run_ms:.1f} %")
    return [f"Share of its run time: {', '.join(said)}."] if said else []


def volume_lines(run: AppRun) -> list[str]:
    """How much the whole run read, wrote, shuffled and spilled."""
    if run.tasks.input_bytes is None:
        return ["The log carries no task metrics, so volumes are not in it."]
    return [_volumes(run.tasks) or "The tasks of this run read and wrote no bytes that Spark counts."]


def longest_stage_lines(run: AppRun, most: int = 3) -> list[str]:
    """The longest stages by submission to completion."""
    if not len(run.stages):
        return ["No stage is in the log."]
    order = np.argsort(-run.stages.duration_ms, kind="stable")[:most]
    return [
        f"Stage {run.stages.ref(int(row))}"
        + (f" ({run.stages.name[row]})" if run.stages.name and run.stages.name[row] else "")
        + f": {show_ms(int(run.stages.duration_ms[row]))}."
        for row in order
        if run.stages.duration_ms[row] > 0
    ]


def failure_lines(run: AppRun) -> list[str]:
    """Failed tasks, stages, jobs and SQL executions with the reasons Spark gave."""
    failed = int((run.tasks.status == FAILED).sum())
    jobs = int(run.jobs.failed.sum()) if len(run.jobs) else 0
    stages = int(run.stages.failed.sum()) if len(run.stages) else 0
    lines = [f"Failed: {show_count(failed)} task attempts, {show_count(stages)} stage attempts, {show_count(jobs)} jobs."]
    rows = run.tasks.error_row[run.tasks.status == FAILED] if failed else np.zeros(0, dtype=np.int64)
    rows = rows[rows != MISSING]
    if len(rows):
        ids, counts = np.unique(rows, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:2]
        lines += [f"{show_count(int(counts[n]))} × {' '.join(run.errors[int(ids[n])].split())[:180]}" for n in order]
    elif run.jobs.failure:
        lines += [f"Job: {' '.join(reason.split())[:180]}" for reason in run.jobs.failure if reason][:1]
    lines += [f"SQL {sql.sql_id}: {' '.join(sql.error.split())[:180]}" for sql in run.sql if sql.error][:1]
    return lines


def executor_lines(run: AppRun, executor_id: str) -> list[str]:
    """One executor: where, how long, how many tasks, why it went."""
    if executor_id not in run.executors.executor_id:
        return []
    row = run.executors.executor_id.index(executor_id)
    tasks = run.tasks.take(run.executor_task_rows(row))
    gone = int(run.executors.removed_ms[row])
    lines = [
        f"Executor {executor_id} on {run.executors.host[row]}: {int(run.executors.cores[row])} cores, {show_count(len(tasks))} task attempts."
    ]
    if len(tasks):
        lines.append(
            f"Its tasks: median {show_ms(float(np.median(tasks.duration_ms)))}, {show_count(int((tasks.status == FAILED).sum()))} failed."
        )
    if gone == MISSING:
        lines.append("It was alive at the end of the log.")
    else:
        reason = run.executors.removed_reason[row] or "no reason in the log"
        lines.append(f"Removed after {show_ms(max(gone - int(run.executors.added_ms[row]), 0))}: {' '.join(reason.split())[:180]}.")
    return lines


def sql_lines(run: AppRun, sql_id: int | None = None, most: int = 3) -> list[str]:
    """One SQL execution, or the longest ones."""
    chosen = [sql for sql in run.sql if sql_id is None or sql.sql_id == sql_id]
    chosen.sort(key=lambda sql: -(sql.completed_ms - sql.submitted_ms if sql.completed_ms != MISSING else 0))
    lines = []
    for sql in chosen[:most]:
        took = show_ms(sql.completed_ms - sql.submitted_ms) if sql.completed_ms != MISSING else "its end is not in the log"
        lines.append(f"SQL {sql.sql_id} ({' '.join(sql.description.split())[:80]}): {took}, {len(sql.job_ids)} jobs.")
    return lines


def count_lines(run: AppRun) -> list[str]:
    """How many jobs, stages, tasks and SQL executions there were."""
    ran = int((~run.stages.skipped).sum()) if len(run.stages) else 0
    failed = int((run.tasks.status == FAILED).sum())
    return [
        f"{show_count(len(run.jobs))} jobs, {show_count(ran)} stage attempts that ran ({show_count(len(run.stages) - ran)} skipped), "
        f"{show_count(len(run.tasks))} task attempts ({show_count(failed)} failed), {show_count(len(run.sql))} SQL executions."
    ]
