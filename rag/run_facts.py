"""Numbers of one run put into sentences: a stage, the volumes, the failures, the executors. Every figure is a column of the run or a sum over one."""

import re
from collections import Counter

import numpy as np

from spark_copilot.rag.run_figures import sql_span_ms, stage_figures, stage_order
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun, IntColumn, SqlExecution, TaskTable
from spark_copilot.rules_engine.plans import graph_of
from spark_copilot.rules_engine.units import show_bytes, show_count, show_ms, show_value

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
        lines.append(f"It failed: {from_log(reason, 200)}")
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


_WHOLE = (
    ("Read from storage", ("input_bytes",), ("input_records",)),
    ("Written to storage", ("output_bytes",), ("output_records",)),
    ("Shuffle written", ("shuffle_write_bytes",), ("shuffle_write_records",)),
    ("Shuffle read", ("shuffle_read_local_bytes", "shuffle_read_remote_bytes"), ("shuffle_read_records",)),
    ("Spilled to disk", ("disk_spilled_bytes",), ()),
)


def volume_lines(run: AppRun) -> list[str]:
    """How much the whole run read, wrote, shuffled and spilled, by task attempts that Spark counted; what is zero is said to be zero."""
    if run.tasks.input_bytes is None:
        return ["The log carries no task metrics, so volumes are not in it."]
    said = []
    for words, sizes, rows in _WHOLE:
        columns = [_total(getattr(run.tasks, name)) for name in sizes]
        counts = [_total(getattr(run.tasks, name)) for name in rows]
        if None in columns:
            continue
        total = sum(c or 0 for c in columns)
        records = sum(c or 0 for c in counts)
        said.append(f"{words}: {show_bytes(total)} ({total:,} bytes)" + (f", {show_count(records)} rows." if records else "."))
    return said


def longest_stage_lines(run: AppRun, most: int = 3) -> list[str]:
    """The longest stages by submission to completion."""
    if not len(run.stages):
        return ["No stage is in the log."]
    figures = [stage_figures(run, row) for row in stage_order(run)[:most]]
    return [
        f"Stage {s.ref}"
        + (f" ({s.name})" if s.name else "")
        + f": {show_ms(s.span_ms)}"
        + (f" ({show_value(100 * s.span_ms / run.wall_ms, 'percent')} of the wall clock)" if run.wall_ms else "")
        + f", {show_count(s.tasks_ended)} tasks."
        for s in figures
        if s.span_ms
    ]


_CAUSE = re.compile(r"^\s*(?:Caused by: )?((?:[\w$]+\.)*\w*(?:Error|Exception|Failure|Killed|Lost)\b.*)$", re.MULTILINE)


def reason_of(text: str) -> str:
    """A failure in at most two lines' worth: how it begins, and the last cause it names when that says more."""
    first = from_log(text, 180)
    causes = [from_log(cause, 180) for cause in _CAUSE.findall(text[:20_000])]
    return first if not causes or causes[-1][:60] in first else f"{from_log(first, 110)} … {causes[-1]}"


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
        lines += [f"{show_count(int(counts[n]))} × {reason_of(run.errors[int(ids[n])])}" for n in order]
    elif run.jobs.failure:
        lines += [f"Job: {from_log(reason, 180)}" for reason in run.jobs.failure if reason][:1]
    lines += [f"SQL {sql.sql_id}: {from_log(sql.error, 180)}" for sql in run.sql if sql.error][:1]
    return lines


def executor_lines(run: AppRun, executor_id: str) -> list[str]:
    """One executor: where, how long, how many tasks, why it went."""
    if executor_id not in run.executors.executor_id:
        return []
    row = run.executors.executor_id.index(executor_id)
    tasks = run.tasks.take(run.executor_task_rows(row))
    gone = int(run.executors.removed_ms[row])
    lines = [
        f"Executor {executor_id} on {from_log(run.executors.host[row], 80)}: {int(run.executors.cores[row])} cores, {show_count(len(tasks))} task attempts."
    ]
    if len(tasks):
        lines.append(
            f"Its tasks: median {show_ms(float(np.median(tasks.duration_ms)))}, {show_count(int((tasks.status == FAILED).sum()))} failed."
        )
    if gone == MISSING:
        lines.append("It was alive at the end of the log.")
    else:
        reason = run.executors.removed_reason[row] or "no reason in the log"
        lines.append(f"Removed after {show_ms(max(gone - int(run.executors.added_ms[row]), 0))}: {from_log(reason, 180)}.")
    return lines


def longest_sql(run: AppRun, most: int = 3) -> list[SqlExecution]:
    """The SQL executions that took longest; those without an end come last."""
    return sorted(run.sql, key=lambda sql: (-(sql_span_ms(run, sql) or 0), sql.sql_id))[:most]


def sql_lines(run: AppRun, sql_id: int | None = None, most: int = 3) -> list[str]:
    """One SQL execution with the operators of its plan, or the longest ones."""
    chosen = longest_sql(run, most) if sql_id is None else [sql for sql in run.sql if sql.sql_id == sql_id]
    lines = []
    for sql in chosen:
        span = sql_span_ms(run, sql)
        took = show_ms(span) if span is not None else "its span is not in the log"
        share = f" ({show_value(100 * span / run.wall_ms, 'percent')} of the wall clock)" if span and run.wall_ms else ""
        lines.append(f"SQL {sql.sql_id} ({from_log(sql.description, 80)}): {took}{share}, {show_count(len(sql.job_ids))} jobs.")
    if sql_id is not None and chosen:
        lines += _operator_lines(chosen[0])
        if chosen[0].error:
            lines.append(f"It failed: {from_log(chosen[0].error, 200)}")
    return lines


def _operator_lines(sql: SqlExecution) -> list[str]:
    counted = Counter(from_log(node.name.split("(")[0], 40).strip() for node in graph_of(sql.plan))
    if not counted:
        return []
    joins = {name: n for name, n in counted.items() if "Join" in name or "Cartesian" in name}
    lines = ["Operators: " + ", ".join(f"{n} × {name}" for name, n in counted.most_common(8)) + "."]
    lines.append("Joins: " + ", ".join(f"{n} × {name}" for name, n in joins.items()) + "." if joins else "No join is in its plan.")
    return lines


def count_lines(run: AppRun) -> list[str]:
    """How many jobs, stages, tasks and SQL executions there were."""
    ran = int((~run.stages.skipped).sum()) if len(run.stages) else 0
    failed = int((run.tasks.status == FAILED).sum())
    return [
        f"{show_count(len(run.jobs))} jobs, {show_count(ran)} stage attempts that ran ({show_count(len(run.stages) - ran)} skipped), "
        f"{show_count(len(run.tasks))} task attempts ({show_count(failed)} failed), {show_count(len(run.sql))} SQL executions"
        + (f", {show_count(len(run.streaming))} micro-batches." if run.streaming else "."),
        *_failed_line(run),
    ]


def _failed_line(run: AppRun) -> list[str]:
    jobs = int(run.jobs.failed.sum()) if len(run.jobs) else 0
    stages = int(run.stages.failed.sum()) if len(run.stages) else 0
    sql = sum(bool(s.error) for s in run.sql)
    return [f"Failed: {show_count(jobs)} jobs, {show_count(stages)} stage attempts, {show_count(sql)} SQL executions."]
