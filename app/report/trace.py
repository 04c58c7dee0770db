"""Runs as one trace file for Perfetto or chrome://tracing: tasks in their executors' slots, stages and jobs above, the driver's pauses beside them.

The format is the trace event format: complete events (`ph: X`) with times in microseconds after the application's start.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from spark_copilot.app.report.plain import shown
from spark_copilot.rules_engine.facts import FAILED, MISSING, SUCCESS, AppRun
from spark_copilot.rules_engine.findings import Report
from spark_copilot.rules_engine.wall_clock import driver_gaps, waiting_spans

_STATUS = {SUCCESS: "succeeded", FAILED: "failed"}
_COLOURS = {SUCCESS: "thread_state_running", FAILED: "terrible"}
"""Names of the viewer's own palette."""


def render(runs: Sequence[tuple[AppRun, Report]]) -> str:
    """One JSON document for all runs; each has its own processes."""
    events: list[dict[str, Any]] = []
    base = 1
    for run, report in runs:
        made = _Trace(run, report, base)
        events += made.events()
        base += 2 + len(run.executors)
    return orjson.dumps({"displayTimeUnit": "ms", "traceEvents": events}).decode() + "\n"


class _Trace:
    def __init__(self, run: AppRun, report: Report, base: int) -> None:
        self.run, self.report, self.base = run, report, base
        self.zero = run.started_ms
        self.worst = {f.where.stage_id: f for f in reversed(report.findings) if f.where.stage_id is not None}

    def events(self) -> list[dict[str, Any]]:
        name = shown(self.run.app.name)
        found = [*self._named(self.base, f"{name}: jobs and stages", 0)]
        found += self._jobs()
        found += self._stages()
        found += self._driver()
        for row in range(len(self.run.executors)):
            found += self._executor(row)
        return found

    def _named(self, process: int, name: str, order: int) -> Iterable[dict[str, Any]]:
        yield {"ph": "M", "name": "process_name", "pid": process, "args": {"name": name}}
        yield {"ph": "M", "name": "process_sort_index", "pid": process, "args": {"sort_index": order}}

    def _span(self, name: str, kind: str, process: int, lane: int, begin: int, end: int, args: dict[str, Any]) -> dict[str, Any]:
        return {
            "ph": "X", "name": shown(name)[:200], "cat": kind, "pid": process, "tid": lane, "ts": (begin - self.zero) * 1_000, "dur": max(end - begin, 0) * 1_000, "args": args,
        }  # fmt: skip

    def _jobs(self) -> Iterable[dict[str, Any]]:
        jobs = self.run.jobs
        ends = np.where(jobs.completed_ms == MISSING, self.run.ended_ms, jobs.completed_ms)
        for i, lane in enumerate(_lanes(jobs.submitted_ms.tolist(), ends.tolist())):
            args = {"description": shown(jobs.description[i] or jobs.name[i])[:500], "failed": bool(jobs.failed[i])}
            yield self._span(f"job {jobs.job_id[i]}", "job", self.base, 1 + lane, int(jobs.submitted_ms[i]), int(ends[i]), args)

    def _stages(self) -> Iterable[dict[str, Any]]:
        stages = self.run.stages
        ran = [r for r in range(len(stages)) if stages.submitted_ms[r] != MISSING and len(self.run.task_rows(r))]
        ends = [self.run.ended_ms if stages.completed_ms[r] == MISSING else int(stages.completed_ms[r]) for r in ran]
        for r, end, lane in zip(ran, ends, _lanes([int(stages.submitted_ms[r]) for r in ran], ends), strict=True):
            finding = self.worst.get(int(stages.stage_id[r]))
            args: dict[str, Any] = {"call site": shown(stages.name[r])[:300], "tasks": int(stages.n_tasks[r])}
            if finding is not None:
                args |= {"finding": finding.code, "severity": finding.severity.value, "why": shown(finding.because)[:500]}
            yield self._span(f"stage {stages.ref(r)}", "stage", self.base, 101 + lane, int(stages.submitted_ms[r]), end, args)

    def _driver(self) -> Iterable[dict[str, Any]]:
        process = self.base + 1
        yield from self._named(process, "driver", 1)
        for name, spans in (("driver alone", driver_gaps(self.run)), ("waiting", waiting_spans(self.run))):
            for begin, end in spans.tolist():
                yield self._span(name, "driver", process, 1, begin, end, {})

    def _executor(self, row: int) -> Iterable[dict[str, Any]]:
        run, process = self.run, self.base + 2 + row
        own = np.flatnonzero(run.tasks.executor_row == row)
        if not len(own):
            return
        yield from self._named(process, f"executor {shown(run.executors.executor_id[row])} on {shown(run.executors.host[row])}", 2 + row)
        order = own[np.lexsort((run.tasks.task_id[own], run.tasks.launch_ms[own]))]
        begins, ends = run.tasks.launch_ms[order].tolist(), (run.tasks.launch_ms[order] + run.tasks.duration_ms[order]).tolist()
        for task, lane, begin, end in zip(order.tolist(), _lanes(begins, ends), begins, ends, strict=True):
            stage, status = int(run.tasks.stage_row[task]), int(run.tasks.status[task])
            args = {"stage": run.stages.ref(stage), "index": int(run.tasks.index[task]), "status": _STATUS.get(status, "killed")}
            if run.tasks.run_ms is not None:
                args |= {
                    "run_ms": int(run.tasks.run_ms[task]),
                    "gc_ms": int(run.tasks.require("gc_ms")[task]),
                    "read_bytes": int(run.tasks.read_bytes[task]),
                }
            made = self._span(f"task {run.tasks.task_id[task]}", "task", process, 1 + lane, begin, end, args)
            yield made if status == SUCCESS else {**made, "cname": _COLOURS.get(status, "bad")}


def _lanes(begins: Sequence[int], ends: Sequence[int]) -> list[int]:
    """A lane for each span so that spans of one lane do not overlap; the lowest free one."""
    lanes = [0] * len(begins)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    used = 0
    for i in sorted(range(len(begins)), key=lambda i: (begins[i], i)):
        while busy and busy[0][0] <= begins[i]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, used = used, used + 1
        lanes[i] = lane
        heapq.heappush(busy, (max(ends[i], begins[i]), lane))
    return lanes
