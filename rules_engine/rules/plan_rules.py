"""Operators of the plan that cost: Python rows, repeated work, large answers."""

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from spark_copilot.rules_engine.facts import MISSING, AppRun, PlanNode
from spark_copilot.rules_engine.findings import Cache, DriverGap, Evidence, Observation, RemoveShare, Severity, Where
from spark_copilot.rules_engine.limits import PlanLimits
from spark_copilot.rules_engine.plans import graph_of, metric, walk
from spark_copilot.rules_engine.profile import Stage, call_site, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf
from spark_copilot.rules_engine.rules.operators import at, refs, stages_near, worth

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


def _function(plan: PlanNode) -> str:
    match = re.search(r"\[([A-Za-z_<][\w<>]*)\(", plan.text)
    return f"the function {match[1]}" if match else "the Python function"


_CONSTANT = re.compile(r"'[^']*'|(?<![\w#])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?L?\b")
_EXPRESSION_ID = re.compile(r"#\d+L?|\[plan_id=\d+\]|plan_id=\d+|\bid=#?\d+|rdd_\d+|Statistics\([^)]*\)|@[0-9a-f]{4,}")


_OF_A_STREAM = re.compile(r"MicroBatch|StateStore|Streaming")
"""Nodes of a micro-batch: the same plan on the next rows."""

_MADE_HERE = ("Range", "LocalTableScan")
"""Leaves whose constants are the data itself."""


def _shape(plan: PlanNode) -> tuple[str, tuple[str, ...]]:
    """A plan without ids: its text with constants taken out, and the constants in order."""
    parts, constants = [], []
    for node in walk(plan):
        if node.name in ("AdaptiveSparkPlan", "ResultQueryStage") or node.name.startswith("WholeStageCodegen"):
            continue
        text = _EXPRESSION_ID.sub("", node.text)
        if not node.children and node.name in _MADE_HERE:
            parts.append(f"{node.name}|{text}")  # other rows, not the same again
            continue
        if location := node.metadata.get("Location"):
            parts.append(location)
        constants += _CONSTANT.findall(text)
        parts.append(f"{node.name}|{_CONSTANT.sub('?', text)}|{len(node.children)}")
    return "\n".join(parts), tuple(constants)


@rule("recomputed-data", family="plan", limits=PlanLimits, title="The same query is computed again and again")
def recomputed_data(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Several actions ran the same plan (or plans that differ in one constant), each from the beginning.

    Why it costs: scans, joins and functions that were done are done again.
    What to do: cache or checkpoint the shared DataFrame before its first action, write it once and read it back, or ask all questions in one action.
    Blind spot: a plan that reads from a cache is not counted; whether the shared result fits in memory is yours to judge; a loop over different inputs looks alike when only one constant differs.
    """
    groups: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    for position, execution in enumerate(run.sql):
        if execution.first_plan is None or any(
            n.name == "InMemoryTableScan" or _OF_A_STREAM.search(n.name) for n in walk(execution.first_plan)
        ):
            continue
        shape, constants = _shape(execution.first_plan)
        if shape.count("\n") >= 1:
            groups[shape].append((constants, position))
    stages_of: dict[int, list[Stage]] = defaultdict(list)
    for row, sql_row in enumerate(run.stages.sql_row.tolist()):
        if sql_row >= 0 and (stage := profile(run).stage(row)).n:
            stages_of[sql_row].append(stage)
    for same in groups.values():
        first = same[0][0]
        # One constant may stand in a filter and again where the filter was pushed to.
        alike = [p for constants, p in same if len({(a, b) for a, b in zip(constants, first, strict=True) if a != b}) <= 1]
        repeats = [s for position in alike[1:] for s in stages_of[position]]
        if len(alike) < 2 or not repeats:
            continue
        spent = sum(max((s.span_ms for s in stages_of[p]), default=0) for p in alike[1:])
        if spent < limits.repeat_min_wall_ratio * run.wall_ms:
            continue
        execution = run.sql[alike[0]]
        worst = max(repeats, key=lambda s: s.total_ms)
        yield Observation(
            code="recomputed-data",
            where=Where(sql_id=execution.sql_id, sql_description=execution.description or None, call_site=call_site(run, worst.row)),
            evidence=(
                Evidence(metric="times computed", value=len(alike), limit=2, unit="count"),
                Evidence(metric="time of the repeats", value=spent, limit=limits.repeat_min_wall_ratio * run.wall_ms, unit="ms"),
            ),
            remedy=Cache(stages=tuple(s.ref for s in repeats)),
            changes=code(
                "cache",
                "cache the shared DataFrame before its first action and unpersist it after the last",
                "undo when cached blocks are evicted or the heap runs full",
                to="shared = df.cache()",
            ),
            occurrences=len(alike) - 1,
            also=tuple(dict.fromkeys(int(run.stages.stage_id[s.row]) for s in repeats)),
        )
    for stages in _rdd_repeats(run, limits):
        spent = sum(s.span_ms for s in stages[1:])
        if spent < limits.repeat_min_wall_ratio * run.wall_ms:
            continue
        yield Observation(
            code="recomputed-data",
            where=stages[0].where,
            evidence=(
                Evidence(metric="times computed", value=len(stages), limit=2, unit="count"),
                Evidence(metric="time of the repeats", value=spent, limit=limits.repeat_min_wall_ratio * run.wall_ms, unit="ms"),
            ),
            remedy=Cache(stages=tuple(s.ref for s in stages[1:])),
            changes=code(
                "cache",
                "persist the shared RDD before its first action and unpersist it after the last",
                "undo when cached blocks are evicted or the heap runs full",
                to="shared = rdd.persist()",
            ),
            occurrences=len(stages) - 1,
            also=tuple(int(run.stages.stage_id[s.row]) for s in stages[1:]),
            cause="actions on the same RDD",
        )


def _rdd_repeats(run: AppRun, limits: PlanLimits) -> list[list[Stage]]:
    """Stages outside SQL that start from the same uncached RDD, in as many tasks of about the same time: the same lineage walked again, in order of time."""
    groups: dict[tuple[int, int], list[Stage]] = defaultdict(list)
    for stage in profile(run).stages:
        rdds = run.stages.rdds[stage.row]
        if stage.sql is not None or not rdds or any("Memory" in r.storage_level or "Disk" in r.storage_level for r in rdds):
            continue
        source = min(r.rdd_id for r in rdds)
        groups[source, stage.declared].append(stage)
    alike = []
    for stages in groups.values():
        stages.sort(key=lambda s: (int(run.stages.submitted_ms[s.row]), s.ref))
        usual = float(np.median([np.median(s.ms) for s in stages]))
        same = [s for s in stages if usual / limits.repeat_like_ratio <= float(np.median(s.ms)) <= usual * limits.repeat_like_ratio]
        jobs = {int(run.stages.job_row[s.row]) for s in same}
        if len(jobs) == len(same) >= 2:
            alike.append(same)
    return alike


@rule("large-driver-result", family="plan", limits=PlanLimits, title="A large result is fetched into the driver")
def large_driver_result(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Tasks sent many megabytes of rows to the driver (collect, toPandas, take of very many).

    Why it costs: the rows are serialised, sent, decoded in one process and turned into Python objects while every core waits; the driver can run out of memory.
    What to do: aggregate or limit before collecting; write the rows with Spark and read them where they are needed; use Arrow for toPandas.
    Blind spot: what the driver program does with the rows afterwards is not in the log; the pause after the job stands for it.
    """
    for row in range(len(run.stages)):
        rows = run.task_rows(row)
        if not len(rows) or run.tasks.result_bytes is None:
            continue
        total = int(run.tasks.result_bytes[rows].sum())
        if total < limits.result_min_bytes:
            continue
        end = int(run.tasks.finish_ms[rows].max())
        later = run.tasks.launch_ms[run.tasks.launch_ms > end]
        pause = max((int(later.min()) if len(later) else run.ended_ms) - end, 0)
        sql_row = int(run.stages.sql_row[row])
        own = run.sql[sql_row].completed_ms - end if sql_row >= 0 and run.sql[sql_row].completed_ms != MISSING else 0
        pause = min(max(pause, 0), int(limits.result_ms_per_mib * total / (1 << 20)))
        fetch = int(run.tasks.overhead_ms[rows].sum())
        if (pause + fetch / run.slots_max) < limits.min_wall_ratio * run.wall_ms:
            continue
        stage = profile(run).stage(row)
        yield Observation(
            code="large-driver-result",
            where=stage.where,
            evidence=(
                Evidence(metric="result sent to the driver", value=total, limit=limits.result_min_bytes, unit="bytes"),
                Evidence(metric="pause after it", value=pause, limit=None, unit="ms"),
                Evidence(metric="of it inside the query", value=max(own, 0), limit=None, unit="ms"),
            ),
            remedy=DriverGap(ms=limits.result_removable_ratio * pause),
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
