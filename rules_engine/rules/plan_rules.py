"""Operators of the plan that cost: Python rows, loops over pairs, joins that shuffle for nothing, explosions, repeated work, large answers."""

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from spark_copilot.rules_engine.facts import MISSING, AppRun, PlanNode, SqlExecution
from spark_copilot.rules_engine.findings import Broadcast, Cache, DriverGap, Evidence, Observation, RemoveShare, Severity, Where
from spark_copilot.rules_engine.limits import PlanLimits
from spark_copilot.rules_engine.plans import GraphNode, PlanGraph, graph_of, metric, walk
from spark_copilot.rules_engine.profile import Stage, call_site, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf

_ROW_EVALUATION = re.compile(r"\], 10[01]\s*$")
"""How a plan ends that calls a plain Python function: evaluation type 100 (pickled rows) or 101 (the same function fed from Arrow batches)."""

_ROW_RDD = ("PythonRDD", "PairwiseRDD")


def stages_near(run: AppRun, graph: PlanGraph, node: GraphNode) -> list[Stage]:
    """The stages an operator ran in; where it has no metrics that a stage updated, those of the nearest operators around it."""
    known = profile(run)
    rows = known.stages_of(node.plan)
    around = [node]
    for _ in range(4):
        if rows:
            break
        around = [n for a in around for n in (*graph.outputs(a.node_id), *graph.inputs(a.node_id)) if "Exchange" not in n.name]
        rows = sorted({row for n in around for row in known.stages_of(n.plan)})
    return [s for row in rows if (s := known.stage(row)).n]


def _worth(run: AppRun, stages: list[Stage], ratio: float) -> bool:
    return bool(stages) and sum(s.total_ms for s in stages) / run.slots_max >= ratio * run.wall_ms


def _at(stages: list[Stage], execution: SqlExecution, node: GraphNode) -> Where:
    worst = max(stages, key=lambda s: s.total_ms)
    return worst.where.model_copy(update={"node_id": node.node_id, "sql_id": execution.sql_id})


def _refs(stages: list[Stage]) -> tuple[str, ...]:
    return tuple(s.ref for s in stages)


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
            if rows < limits.udf_min_rows or not _worth(run, stages, limits.min_wall_ratio):
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
                where=_at(stages, execution, node),
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
                remedy=RemoveShare(stages=_refs(stages), of="compute", ratio=round(ratio, 3)),
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


_LOOPS = ("CartesianProduct", "BroadcastNestedLoopJoin")


@rule("cartesian-or-nested-loop-join", family="plan", limits=PlanLimits, title="A join without an equality tries every pair of rows")
def nested_loop(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """The join has no condition of the form a = b, so Spark compares each row of one side with each of the other.

    Why it costs: the work is rows times rows; ten times the data is a hundred times the time.
    What to do: add an equality (a bucket of the range, a day, a prefix) and keep the inequality as a second condition; check that the condition was not lost by mistake.
    Blind spot: small sides are harmless and left alone.
    """
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            if node.name not in _LOOPS:
                continue
            sides = [_rows_into(execution, graph, child) for child in graph.inputs(node.node_id)]
            pairs = float(np.prod([float(r) for r in sides if r])) if len(sides) == 2 and all(sides) else 0.0
            out = metric(execution, node.plan, "number of output rows") or 0
            stages = stages_near(run, graph, node)
            if max(pairs, float(out)) < limits.pairs_min or not _worth(run, stages, limits.min_wall_ratio):
                continue
            yield Observation(
                code="cartesian-or-nested-loop-join",
                where=_at(stages, execution, node),
                evidence=(
                    Evidence(metric="pairs of rows", value=max(pairs, float(out)), limit=limits.pairs_min, unit="count"),
                    Evidence(metric="rows out", value=out, limit=None, unit="count"),
                    Evidence(metric="time of its tasks", value=sum(s.total_ms for s in stages), limit=None, unit="ms"),
                ),
                remedy=RemoveShare(stages=_refs(stages), of="compute", ratio=limits.loop_removable_ratio),
                changes=code(
                    "equi-join",
                    "give the join an equality on a key or a bucket, and keep the other condition beside it",
                    "stop when the plan shows a hash or sort-merge join",
                    to="a.join(b, (a.bucket == b.bucket) & (a.x > b.y))",
                ),
            )


def _rows_into(execution: SqlExecution, graph: PlanGraph, node: GraphNode) -> int | None:
    """Rows that come out of an operator, or out of the nearest one below that counts them."""
    for _ in range(8):
        rows = metric(execution, node.plan, "number of output rows")
        if rows is None:
            rows = metric(execution, node.plan, "shuffle records written")
        if rows is not None:
            return rows
        below = graph.inputs(node.node_id)
        if len(below) != 1:
            return None
        node = below[0]
    return None


_SHUFFLED_JOINS = ("SortMergeJoin", "ShuffledHashJoin")
_LEFT_ONLY, _RIGHT_ONLY = ("RightOuter",), ("LeftOuter", "LeftSemi", "LeftAnti", "ExistenceJoin")
"""Join types in which only the left, or only the right side may be broadcast."""


@rule(
    "broadcast-missed",
    family="plan",
    limits=PlanLimits,
    title="A join shuffles both sides although one is small enough to send to every executor",
)
def broadcast_missed(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """One side of the join is a few megabytes at run time, yet both sides were shuffled and sorted.

    Why it costs: the large side is written, sent, read and sorted for nothing.
    What to do: a broadcast hint on the small side; statistics (ANALYZE TABLE) so that Spark knows; a threshold above the small side's size.
    Blind spot: the outer side of an outer join cannot be broadcast and is not proposed; a join that adaptive execution already changed is not named.
    """
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            if node.name not in _SHUFFLED_JOINS:
                continue
            sides = graph.inputs(node.node_id)
            exchanges = [_exchange_below(graph, s) for s in sides]
            if len(exchanges) != 2 or exchanges[0] is None or exchanges[1] is None:
                continue
            sizes = [metric(execution, e.plan, "data size") for e in exchanges if e is not None]
            if any(s is None for s in sizes):
                continue
            left, right = (int(s or 0) for s in sizes)
            may = [0, 1]
            if any(t in node.plan.text for t in _LEFT_ONLY):
                may = [0]
            elif any(t in node.plan.text for t in _RIGHT_ONLY):
                may = [1]
            elif "FullOuter" in node.plan.text:
                continue
            side = min(may, key=lambda i: (left, right)[i])
            small, large = (left, right)[side], (left, right)[1 - side]
            fits = small <= limits.broadcast_max_bytes or (
                small <= limits.broadcast_cap_bytes and large >= limits.broadcast_big_ratio * small
            )
            if not fits or large < 4 * max(small, 1):
                continue
            big = exchanges[1 - side]
            stages = stages_near(run, graph, node)
            if big is not None:
                stages = list({s.row: s for s in (*stages, *(profile(run).stage(r) for r in profile(run).stages_of(big.plan)))}.values())
            stages = [s for s in stages if s.n]
            if not _worth(run, stages, limits.min_wall_ratio):
                continue
            threshold = max(-(-small * 2 // (1 << 20)), 10)
            yield Observation(
                code="broadcast-missed",
                where=_at(stages, execution, node),
                evidence=(
                    Evidence(metric="small side", value=small, limit=limits.broadcast_max_bytes, unit="bytes"),
                    Evidence(metric="large side, shuffled", value=large, limit=None, unit="bytes"),
                    Evidence(metric="time of the stages around it", value=sum(s.total_ms for s in stages), limit=None, unit="ms"),
                ),
                remedy=Broadcast(sql_id=execution.sql_id, node_id=node.node_id, stages=_refs(stages)),
                changes=code(
                    "broadcast-hint",
                    f"put a broadcast hint on the {'left' if side == 0 else 'right'} side of the join",
                    "undo when that side grows past a few hundred MB",
                    to="large.join(broadcast(small), key)",
                )
                + conf(
                    run,
                    "spark.sql.autoBroadcastJoinThreshold",
                    f"{threshold}m",
                    "the small side is below this, so Spark chooses the broadcast by itself",
                    "undo when executors run short of memory",
                ),
            )


def _exchange_below(graph: PlanGraph, node: GraphNode) -> GraphNode | None:
    for _ in range(8):
        if node.name == "Exchange" or node.name.endswith("ShuffleExchange"):
            return node
        below = graph.inputs(node.node_id)
        if len(below) != 1:
            return None
        node = below[0]
    return None


@rule("broadcast-too-large", family="plan", limits=PlanLimits, title="A very large table is broadcast")
def broadcast_too_large(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Hundreds of megabytes are collected in the driver, built into a hash table and sent to every executor.

    Why it costs: every core waits while the driver collects and builds; the table then sits in each executor's memory.
    What to do: drop the hint or lower the threshold so that the join shuffles; filter and select the columns before the join.
    Blind spot: the wait counts only where nothing else ran meanwhile.
    """
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            if node.name != "BroadcastExchange":
                continue
            size = metric(execution, node.plan, "data size") or 0
            spent = sum(metric(execution, node.plan, name) or 0 for name in ("time to collect", "time to build", "time to broadcast"))
            if size < limits.broadcast_large_bytes or spent < limits.broadcast_min_wall_ratio * run.wall_ms:
                continue
            built = sum(metric(execution, node.plan, name) or 0 for name in ("time to build", "time to broadcast"))
            yield Observation(
                code="broadcast-too-large",
                where=Where(
                    sql_id=execution.sql_id,
                    node_id=node.node_id,
                    sql_description=execution.description or None,
                    call_site=execution.description or None,
                ),
                evidence=(
                    Evidence(metric="broadcast", value=size, limit=limits.broadcast_large_bytes, unit="bytes"),
                    Evidence(metric="collect, build and send", value=spent, limit=limits.broadcast_min_wall_ratio * run.wall_ms, unit="ms"),
                ),
                remedy=DriverGap(ms=0.5 * max(built, spent / 2)),
                changes=code("broadcast-hint", "take the broadcast hint off this side", "stop when the plan shows a sort-merge join")
                + conf(
                    run,
                    "spark.sql.autoBroadcastJoinThreshold",
                    "10m",
                    "the default: larger sides are shuffled",
                    "raise it again only for sides known to be small",
                ),
            )


_JOINS = ("SortMergeJoin", "ShuffledHashJoin", "BroadcastHashJoin")


@rule("row-explosion", family="plan", limits=PlanLimits, title="A join or explode puts out many times the rows it took in")
def row_explosion(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """The operator's output has ten and more times the rows of its larger input: keys that repeat on both sides, or very long arrays.

    Why it costs: everything after it works on the multiplied rows.
    What to do: look for duplicates on the join keys; join on the whole key; aggregate or deduplicate one side before the join.
    Blind spot: an explosion that is wanted looks the same; the keys tell.
    """
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            joins = node.name in _JOINS
            if not joins and node.name != "Generate":
                continue
            out = metric(execution, node.plan, "number of output rows")
            taken = [r for child in graph.inputs(node.node_id) if (r := _rows_into(execution, graph, child)) is not None]
            if not out or not taken or out < limits.explosion_min_rows:
                continue
            ratio = out / max(*taken, 1)
            if ratio < (limits.explosion_ratio if joins else limits.generate_ratio):
                continue
            stages = stages_near(run, graph, node)
            if not _worth(run, stages, limits.min_wall_ratio):
                continue
            yield Observation(
                code="row-explosion",
                where=_at(stages, execution, node),
                evidence=(
                    Evidence(
                        metric="rows out / rows in",
                        value=ratio,
                        limit=limits.explosion_ratio if joins else limits.generate_ratio,
                        unit="ratio",
                    ),
                    Evidence(metric="rows out", value=out, limit=limits.explosion_min_rows, unit="count"),
                    Evidence(metric="rows of the larger input", value=max(taken), limit=None, unit="count"),
                ),
                remedy=RemoveShare(stages=_refs(stages), of="compute", ratio=limits.explosion_removable_ratio),
                changes=code(
                    "deduplicate",
                    "make the join key unique on one side before the join: deduplicate, aggregate, or add the missing key column",
                    "stop when rows out are about rows in",
                ),
            )


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
