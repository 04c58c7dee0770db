"""Operators of the plan that cost: Python rows, repeated work, large answers."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spark_copilot.rules_engine.facts import MISSING, AppRun, PlanNode, SqlExecution
from spark_copilot.rules_engine.findings import DriverGap, Evidence, Observation, RemoveShare, Severity
from spark_copilot.rules_engine.limits import PlanLimits
from spark_copilot.rules_engine.plans import GraphNode, PlanGraph, graph_of, metric
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf
from spark_copilot.rules_engine.rules.operators import at, refs, rows_into, stages_near, worth

_ROW_EVALUATION = re.compile(r"\], 10[01]\s*$")
"""How a plan ends that calls a plain Python function: evaluation type 100 (pickled rows) or 101 (the same function fed from Arrow batches)."""

_ROW_RDD = ("PythonRDD", "PairwiseRDD")


@rule("python-udf", family="plan", limits=PlanLimits, title="A Python function is called row by row")
def python_udf(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Rows leave the JVM one by one for a Python worker and come back, and the function itself runs in the interpreter.

    Why it costs: every row is pickled twice and runs through Python; the optimiser cannot look inside, so filters and columns are not pushed below it.
    What to do: write it with Spark's own functions; where that cannot be, as a pandas function over Arrow batches; filter and select before calling it.
    Blind spot: how much of the stage is Python is not in the log, so the saving is an estimate; a function that waits for something outside gains nothing by being native.
    RDD stages that run Python functions are priced where they count their rows and spend little on each; where they count none, or each takes long (a service that
    is waited for), they are stated as a fact.
    """
    seen: set[int] = set()
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            if node.name != "BatchEvalPython" and not (node.name == "ArrowEvalPython" and _ROW_EVALUATION.search(node.plan.text)):
                continue
            stages = stages_near(run, graph, node)
            rows = metric(execution, node.plan, "number of output rows") or 0
            if rows < limits.udf_min_rows or not worth(run, stages, limits.min_wall_ratio):
                continue
            seen.update(s.row for s in stages)
            spent = sum(s.total_ms for s in stages)
            measured = metric(execution, node.plan, "time to run Python workers")
            ratio = (
                limits.udf_removable_ratio
                if measured is None
                else min(limits.udf_measured_ratio * measured / max(spent, 1), limits.udf_measured_ratio)
            )
            yield Observation(
                code="python-udf",
                where=at(stages, execution, node),
                evidence=(
                    Evidence(metric="rows through Python", value=rows, limit=None, unit="count"),
                    *(
                        (Evidence(metric="measured in Python workers", value=measured, limit=None, unit="ms"),)
                        if measured is not None
                        else ()
                    ),
                    Evidence(
                        metric="time of its tasks",
                        value=sum(s.total_ms for s in stages),
                        limit=limits.min_wall_ratio * run.wall_ms * run.slots_max,
                        unit="ms",
                    ),
                ),
                remedy=RemoveShare(stages=refs(stages), of="compute", ratio=round(ratio, 3)),
                changes=code(
                    "native-expression",
                    f"replace {_function(node.plan)} by Spark's own functions, or by a pandas function over batches",
                    "stop when the Python evaluation is gone from the plan",
                    to="pyspark.sql.functions, or @pandas_udf",
                ),
            )
    yield from _rows_of_batches(run, limits)
    for stage in profile(run).stages:
        rdds = run.stages.rdds[stage.row]
        if stage.row in seen or stage.sql is not None or not any(r.name in _ROW_RDD for r in rdds):
            continue
        if stage.total_ms / run.slots_max < limits.min_wall_ratio * run.wall_ms:
            continue
        counted = int(stage.read_records.sum())
        busy = counted >= limits.udf_min_rows and stage.total_ms <= limits.rdd_row_max_ms * counted
        time = Evidence(metric="time of its tasks", value=stage.total_ms, limit=None, unit="ms")
        yield Observation(
            code="python-udf",
            where=stage.where,
            evidence=(Evidence(metric="rows through Python", value=counted, limit=limits.udf_min_rows, unit="count"), time)
            if busy
            else (time,),
            remedy=RemoveShare(stages=(stage.ref,), of="compute", ratio=limits.udf_removable_ratio) if busy else None,
            severity_floor=Severity.LOW if busy else Severity.INFO,
            severity_cap=None if busy else Severity.INFO,
            changes=code(
                "dataframe",
                "where this step is computation, write it on DataFrames with Spark's own functions",
                "leave it where the function waits for something outside Spark",
            ),
            cause="an RDD stage that runs Python functions",
        )


_BATCHES = ("MapInPandas", "MapInArrow", "ArrowEvalPython")
_GROUPS = (
    "FlatMapGroupsInPandas",
    "FlatMapGroupsInArrow",
    "FlatMapCoGroupsInPandas",
    "FlatMapCoGroupsInArrow",
    "AggregateInPandas",
    "WindowInPandas",
)
"""A call for each group: where groups are small, the call costs more than its rows."""


def _rows_of_batches(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Functions over Arrow batches that are as slow as functions over rows. Models and other heavy work look the same, so no time is promised."""
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            grouped = node.name in _GROUPS
            if (node.name not in _BATCHES and not grouped) or _ROW_EVALUATION.search(node.plan.text):
                continue
            rows = metric(execution, node.plan, "number of output rows") or 0
            if grouped and not 0 < _rows_in(execution, graph, node) <= limits.groups_rows_ratio * rows:
                continue  # few rows come out of many: a total or a model of each group, and its work is expected to be heavy
            spent = metric(execution, node.plan, "time to execute Python code") or 0
            stages = stages_near(run, graph, node)
            if rows < limits.udf_min_rows or spent < limits.batch_min_ms or 1_000 * rows > limits.batch_rows_per_s * spent:
                continue
            if not worth(run, stages, limits.min_wall_ratio):
                continue
            yield Observation(
                code="python-udf",
                where=at(stages, execution, node),
                evidence=(
                    Evidence(
                        metric="rows a second of Python time",
                        value=round(1_000 * rows / spent),
                        limit=limits.batch_rows_per_s,
                        unit="count",
                    ),
                    Evidence(metric="rows through Python", value=rows, limit=limits.udf_min_rows, unit="count"),
                    Evidence(metric="measured in Python code", value=spent, limit=limits.batch_min_ms, unit="ms"),
                ),
                # A call costs milliseconds whatever the group holds; the log has no number of groups.
                remedy=RemoveShare(stages=refs(stages), of="compute", ratio=limits.groups_removable_ratio, sure=False) if grouped else None,
                severity_floor=Severity.LOW,
                severity_cap=Severity.MEDIUM if grouped else Severity.LOW,
                changes=code(
                    "windows",
                    "where groups are small, use a window or an aggregate of Spark's own functions, or give the function many groups at once (mapInPandas over sorted rows)",
                    "leave it where each group needs a model or other heavy work",
                )
                if grouped
                else code(
                    "whole-batches",
                    "work on whole columns of the batch (no iterrows, apply or loop over rows), or use Spark's own functions",
                    "leave it where each row needs a model or other heavy work",
                ),
                cause="a function called for each of many groups"
                if grouped
                else "a function over batches that is as slow as one over rows",
            )


def _rows_in(execution: SqlExecution, graph: PlanGraph, node: GraphNode) -> int:
    return sum(rows_into(execution, graph, child) or 0 for child in graph.inputs(node.node_id))


def _function(plan: PlanNode) -> str:
    match = re.search(r"\[([A-Za-z_<][\w<>]*)\(", plan.text)
    return f"the function {match[1]}" if match else "the Python function"


@rule("large-driver-result", family="plan", limits=PlanLimits, title="A large result is fetched into the driver")
def large_driver_result(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Tasks sent many megabytes of rows to the driver (collect, toPandas, take of very many).

    Why it costs: the rows are serialised, sent, decoded in one process and turned into Python objects while every core waits; the driver can run out of memory.
    What to do: aggregate or limit before collecting; write the rows with Spark and read them where they are needed; use Arrow for toPandas.
    Blind spot: what the driver program does with the rows afterwards is not in the log; the pause after the job stands for it.
    """
    for result in _results(run, limits):
        cheap = (result.pause_ms + result.fetch_ms / run.slots_max) < limits.min_wall_ratio * run.wall_ms
        total, pause = result.bytes, result.pause_ms
        if cheap and total < limits.result_heavy_bytes:
            continue
        yield Observation(
            code="large-driver-result",
            where=profile(run).stage(result.row).where,
            evidence=(
                Evidence(metric="result sent to the driver", value=total, limit=limits.result_min_bytes, unit="bytes"),
                *((Evidence(metric="jobs that sent it", value=result.jobs, limit=None, unit="count"),) if result.jobs > 1 else ()),
                Evidence(metric="pause after it", value=pause, limit=None, unit="ms"),
                Evidence(metric="of it inside the query", value=result.own_ms, limit=None, unit="ms"),
            ),
            remedy=None if cheap else DriverGap(ms=limits.result_removable_ratio * pause),
            severity_floor=Severity.LOW if total >= limits.result_heavy_bytes else None,
            severity_cap=Severity.LOW if cheap else None,
            changes=code(
                "collect",
                "aggregate, limit or write instead of collecting the rows",
                "stop when results are a few MB",
                to="df.write.parquet(path), or df.limit(n).collect()",
            )
            + conf(
                run,
                "spark.sql.execution.arrow.pyspark.enabled",
                "true",
                "toPandas over Arrow batches instead of row by row",
                "undo where types do not convert",
            ),
        )


@dataclass(frozen=True, slots=True)
class _Result:
    """What the tasks of a stage sent to the driver: when none ran after it, how much of that lies in its own query, what fetching it took."""

    row: int
    bytes: int
    pause_ms: int
    own_ms: int
    fetch_ms: int
    jobs: int = 1


def _results(run: AppRun, limits: PlanLimits) -> Iterator[_Result]:
    """Stages with a large result; where none is, places of the program whose results are very large together, as toLocalIterator fetches a part in each job."""
    sent = run.tasks.result_bytes
    if sent is None:
        return
    launches, overhead = np.sort(run.tasks.launch_ms), run.tasks.overhead_ms
    places: dict[str, list[_Result]] = defaultdict(list)
    for row in range(len(run.stages)):
        rows = run.task_rows(row)
        if not len(rows):
            continue
        total, end, sql_row = int(sent[rows].sum()), int(run.tasks.finish_ms[rows].max()), int(run.stages.sql_row[row])
        after = int(np.searchsorted(launches, end, side="right"))
        pause = max((int(launches[after]) if after < len(launches) else run.ended_ms) - end, 0)
        own = run.sql[sql_row].completed_ms - end if sql_row >= 0 and run.sql[sql_row].completed_ms != MISSING else 0
        pause = min(pause, int(limits.result_ms_per_mib * total / (1 << 20)))
        places[run.stages.name[row]].append(_Result(row, total, pause, max(own, 0), int(overhead[rows].sum())))
    for found in places.values():
        together = sum(r.bytes for r in found)
        if together >= limits.result_heavy_bytes and len(found) > 1 and 2 * max(r.bytes for r in found) < together:
            most = max(found, key=lambda r: r.bytes)
            yield _Result(most.row, together, sum(r.pause_ms for r in found), 0, sum(r.fetch_ms for r in found), len(found))
        else:
            yield from (r for r in found if r.bytes >= limits.result_min_bytes)
