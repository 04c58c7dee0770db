"""Questions for figures of a whole run: load, memory, task times, tables, plans, rules, CPU, volumes, identity, counts."""

import re
from datetime import UTC, datetime

from spark_copilot.rag import run_facts
from spark_copilot.rag.run_figures import executor_figures
from spark_copilot.rag.run_measures import percent, unevenness, use
from spark_copilot.rag.run_said import Asked, RunAnswer, describe, said
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.plans import graph_of
from spark_copilot.rules_engine.units import show_bytes, show_count, show_ms

_PEAKS = ("JVMHeapMemory", "JVMOffHeapMemory", "OnHeapExecutionMemory", "OnHeapStorageMemory", "ProcessTreeJVMRSSMemory")


def load(asked: Asked) -> RunAnswer | None:
    """How busy the executors were, and which one was slowest or worked most."""
    run = asked.run
    if run is None or not len(run.executors):
        return None
    lines = use(run, asked.report.facts)
    every = [e for e in (executor_figures(run, row) for row in range(len(run.executors))) if e.tasks_ended]
    if re.search(r"slow", asked.text):
        every.sort(key=lambda e: -(e.task_ms_p50 or 0))
        lines.insert(0, "Slowest by median task time:")
    else:
        every.sort(key=lambda e: -e.task_ms_total)
    for e in every[:4]:
        busy = f", busy {percent(e.busy_ratio)}" if e.busy_ratio is not None else ""
        lines.append(
            f"- Executor {e.executor_id} on {e.host}: {show_count(e.tasks_ended)} task attempts ({show_count(e.tasks_failed)} failed), "
            f"median {show_ms(e.task_ms_p50 or 0)}{busy}."
        )
    return said("load", lines, tuple(f for f in asked.report.findings if f.code in ("slow-node", "idle-executors"))[:2])


def memory(asked: Asked) -> RunAnswer | None:
    """What memory was given, and what was used of it where the log says so."""
    run = asked.run
    if run is None:
        return None
    lines = []
    for key in ("spark.executor.memory", "spark.executor.memoryOverhead", "spark.driver.memory", "spark.memory.fraction"):
        value = run.conf(key)
        if value is not None:
            lines.append(f"`{key}` = {from_log(value, 60)}.")
    if not lines:
        lines.append("No memory setting was given: Spark's defaults held.")
    peak = run.tasks.peak_execution_memory_bytes
    if peak is not None and len(peak) and int(peak.max()):
        lines.append(f"The most execution memory one task used: {show_bytes(int(peak.max()))}.")
    peaks: dict[str, int] = {}
    for row in range(len(run.executors)):
        for name, value_bytes in executor_figures(run, row).peaks_bytes.items():
            peaks[name] = max(peaks.get(name, 0), value_bytes)
    shown = [f"{name} {show_bytes(peaks[name])}" for name in _PEAKS if name in peaks]
    lines.append(f"Highest peaks of any executor: {', '.join(shown)}." if shown else "Executor memory peaks are not in the log.")
    found = tuple(f for f in asked.report.findings if f.code in ("memory-overallocated", "out-of-memory", "spill", "gc-pressure"))[:1]
    return said("memory", [*lines, *(line for f in found for line in describe(f))], found)


def tasks(asked: Asked) -> RunAnswer | None:
    """Task times of the whole run."""
    run = asked.run
    if run is None or not len(run.tasks):
        return None
    import numpy as np

    held = run.tasks.duration_ms
    lines = [
        f"{show_count(len(held))} task attempts: mean {show_ms(float(held.mean()))}, median {show_ms(float(np.median(held)))}, "
        f"95th percentile {show_ms(float(np.quantile(held, 0.95)))}, longest {show_ms(float(held.max()))}."
    ]
    longest = int(held.argmax())
    row, executor = int(run.tasks.stage_row[longest]), int(run.tasks.executor_row[longest])
    lines.append(f"The longest ran in stage {run.stages.ref(row)} on executor {from_log(run.executors.executor_id[executor], 40)}.")
    lines += unevenness(run, asked.report.facts)
    return said("tasks", lines, stages=(run.stages.ref(row),))


def joins(asked: Asked) -> RunAnswer | None:
    """Joins and operators of the plans, over all SQL executions."""
    run = asked.run
    if run is None:
        return None
    if not run.sql:
        return said("joins", ["The log holds no SQL execution, so there is no plan."])
    found: dict[str, list[int]] = {}
    every: dict[str, int] = {}
    for sql in run.sql:
        for node in graph_of(sql.plan):
            name = from_log(node.name.split("(")[0], 40).strip()
            every[name] = every.get(name, 0) + 1
            if "Join" in name or "Cartesian" in name:
                found.setdefault(name, []).append(sql.sql_id)
    lines = [
        f"- {len(ids)} × {name}, in SQL {', '.join(map(str, dict.fromkeys(ids[:6])))}."
        for name, ids in sorted(found.items(), key=lambda i: -len(i[1]))
    ]
    lines.insert(0, "Joins in the plans:" if lines else "No join is in the plans of this run.")
    most = sorted(every.items(), key=lambda item: (-item[1], item[0]))[:8]
    lines.append("Operators: " + ", ".join(f"{count} × {name}" for name, count in most) + "." if most else "The log holds no plan.")
    codes = ("broadcast-missed", "broadcast-too-large", "cartesian-or-nested-loop-join", "row-explosion")
    return said(
        "joins",
        lines,
        tuple(f for f in asked.report.findings if f.code in codes)[:2],
        sql=tuple(dict.fromkeys(i for ids in found.values() for i in ids)),
    )


def checked(asked: Asked) -> RunAnswer:
    """Rules that found something, that saw nothing, that could not look."""
    report = asked.report
    fired = list(dict.fromkeys(f.code for f in report.findings))
    lines = [f"Found: {', '.join(fired)}." if fired else "No rule found anything."]
    lines.append(f"Looked and saw nothing ({show_count(len(report.passed))}): {', '.join(report.passed)}.")
    lines += (
        ["Could not be told: " + "; ".join(f"{n.code} ({from_log(n.reason, 80)})" for n in report.not_computable[:8]) + "."]
        if report.not_computable
        else []
    )
    lines += [f"This rule broke: {f.code}." for f in report.failed]
    return said("checked", lines)


def cpu(asked: Asked) -> RunAnswer | None:
    """CPU time of the tasks and its share of their run time."""
    run = asked.run
    if run is None:
        return None
    spent, run_ms = run.tasks.cpu_ns, run.tasks.run_ms
    if spent is None or run_ms is None or not int(run_ms.sum()):
        return said("cpu", ["The log carries no CPU time of tasks.", *use(run, asked.report.facts)])
    ms = int(spent.sum()) / 1e6
    lines = [f"Tasks used {show_ms(ms)} of CPU time: {percent(ms / int(run_ms.sum()))} of their run time ({show_ms(int(run_ms.sum()))})."]
    lines.append("Time of Python workers and of other processes is not in it.")
    return said("cpu", [*lines, *use(run, asked.report.facts)])


def tables(asked: Asked) -> RunAnswer | None:
    """What was read and written, where the plans name it."""
    listed = asked.report.facts.get("tables")
    if not isinstance(listed, list) or not listed:
        return said("tables", ["The plans in this log name no table or path."]) if asked.run is not None else None
    lines = []
    for table in listed[:8]:
        size = f", {show_bytes(table['bytes'])}" if table.get("bytes") else ""
        rows = f", {show_count(table['rows'])} rows" if table.get("rows") else ""
        files = f", {show_count(table['files'])} files" if table.get("files") else ""
        lines.append(
            f"- {table.get('direction', 'read')}: {from_log(str(table.get('name') or table.get('location') or 'unnamed'), 120)} ({from_log(str(table.get('format')), 20)}{files}{size}{rows})"
        )
    if len(listed) > 8:
        lines.append(f"{len(listed) - 8} of {len(listed)} left out.")
    return said("tables", lines)


def volumes(asked: Asked) -> RunAnswer | None:
    """How much was read, written, shuffled and spilled."""
    return said("volumes", run_facts.volume_lines(asked.run)) if asked.run is not None else None


def _clock(ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(ms / 1e3, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "at a time the log does not hold"


def about(asked: Asked) -> RunAnswer:
    """Name, version, platform, user, when, and how whole the log is."""
    app, quality = asked.report.application, asked.report.data_quality
    version = from_log(app.spark_version, 40) or "of unknown version"
    lines = [f"{from_log(app.name, 120)} ({from_log(app.id, 100)}), Spark {version} on {app.platform}, {show_ms(app.duration_ms)}."]
    if asked.run is not None and asked.run.app.user:
        lines.append(f"It ran as user {from_log(asked.run.app.user, 80)}.")
    lines.append(f"It started {_clock(app.started_ms)} and ended {_clock(app.ended_ms)}" + ("." if app.complete else " (last event)."))
    lines.append(
        f"The log is {quality.status}: {quality.bad_lines} lines could not be read, {quality.missing_task_ends} task ends are missing."
    )
    lines += [from_log(reason, 200) for reason in quality.reasons[:3]]
    return said("about", lines)


def counts(asked: Asked) -> RunAnswer | None:
    """How many jobs, stages, tasks and SQL executions."""
    return said("counts", run_facts.count_lines(asked.run)) if asked.run is not None else None
