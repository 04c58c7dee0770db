"""Joins and explosions that cost: loops over pairs, sorts for a small side, broadcasts that are too large, rows that multiply."""

from collections.abc import Iterator

import numpy as np

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Broadcast, DriverGap, Evidence, Observation, RemoveShare, Where
from spark_copilot.rules_engine.limits import PlanLimits
from spark_copilot.rules_engine.plans import GraphNode, PlanGraph, graph_of, metric
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf
from spark_copilot.rules_engine.rules.operators import at, refs, rows_into, stages_near, worth

EXPLODE = "explode"
_CAUSES = {"Generate": EXPLODE, "Expand": "cube"}
"""The cause of a row explosion that no join made."""

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
            sides = [rows_into(execution, graph, child) for child in graph.inputs(node.node_id)]
            pairs = float(np.prod([float(r) for r in sides if r])) if len(sides) == 2 and all(sides) else 0.0
            out = metric(execution, node.plan, "number of output rows") or 0
            stages = stages_near(run, graph, node)
            if max(pairs, float(out)) < limits.pairs_min or not worth(run, stages, limits.min_wall_ratio):
                continue
            yield Observation(
                code="cartesian-or-nested-loop-join",
                where=at(stages, execution, node),
                evidence=(
                    Evidence(metric="pairs of rows", value=max(pairs, float(out)), limit=limits.pairs_min, unit="count"),
                    Evidence(metric="rows out", value=out, limit=None, unit="count"),
                    Evidence(metric="time of its tasks", value=sum(s.total_ms for s in stages), limit=None, unit="ms"),
                ),
                remedy=RemoveShare(stages=refs(stages), of="compute", ratio=limits.loop_removable_ratio),
                changes=code(
                    "equi-join",
                    "give the join an equality on a key or a bucket, and keep the other condition beside it",
                    "stop when the plan shows a hash or sort-merge join",
                    to="a.join(b, (a.bucket == b.bucket) & (a.x > b.y))",
                ),
            )


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
    Where adaptive execution saw the small side only after the large one had been shuffled, what it could not save is named: writing that shuffle.
    Blind spot: the outer side of an outer join cannot be broadcast and is not proposed.
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
            if not worth(run, stages, limits.min_wall_ratio):
                continue
            threshold = max(-(-small * 2 // (1 << 20)), 10)
            yield Observation(
                code="broadcast-missed",
                where=at(stages, execution, node),
                evidence=(
                    Evidence(metric="small side", value=small, limit=limits.broadcast_max_bytes, unit="bytes"),
                    Evidence(metric="large side, shuffled", value=large, limit=None, unit="bytes"),
                    Evidence(metric="time of the stages around it", value=sum(s.total_ms for s in stages), limit=None, unit="ms"),
                ),
                remedy=Broadcast(sql_id=execution.sql_id, node_id=node.node_id, stages=refs(stages)),
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
    yield from _shuffled_before_broadcast(run, limits)


def _shuffled_before_broadcast(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Joins that adaptive execution turned into broadcasts when the large side lay shuffled already: Spark did not know how small the other one is."""
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            sides = graph.inputs(node.node_id)
            if node.name != "BroadcastHashJoin" or len(sides) != 2:
                continue
            build = 1 if "BuildRight" in node.plan.text else 0
            big, small = _exchange_below(graph, sides[1 - build]), _exchange_below(graph, sides[build])
            if big is None or small is None or "hashpartitioning" not in big.plan.text or "ENSURE_REQUIREMENTS" not in big.plan.text:
                continue
            large, little = metric(execution, big.plan, "data size") or 0, metric(execution, small.plan, "data size") or 0
            stages = [
                s
                for row in profile(run).stages_of(big.plan)
                if (s := profile(run).stage(row)).n and int(s.column("shuffle_write_bytes").sum())
            ]
            if large < limits.broadcast_late_bytes or large < 4 * max(little, 1) or not worth(run, stages, limits.min_wall_ratio):
                continue
            yield Observation(
                code="broadcast-missed",
                where=at(stages, execution, node),
                evidence=(
                    Evidence(metric="small side", value=little, limit=limits.broadcast_max_bytes, unit="bytes"),
                    Evidence(metric="large side, shuffled", value=large, limit=limits.broadcast_late_bytes, unit="bytes"),
                    Evidence(metric="time of the stages that write it", value=sum(s.total_ms for s in stages), limit=None, unit="ms"),
                ),
                remedy=Broadcast(sql_id=execution.sql_id, node_id=node.node_id, stages=refs(stages)),
                changes=code(
                    "broadcast-hint",
                    f"put a broadcast hint on the {'left' if build == 0 else 'right'} side of the join, or give it statistics (ANALYZE TABLE)",
                    "undo when that side grows past a few hundred MB",
                    to="large.join(broadcast(small), key)",
                ),
                cause="adaptive execution broadcast the small side, but only after both had been shuffled",
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

_MULTIPLIES = {
    "join": code(
        "deduplicate",
        "make the join key unique on one side before the join: deduplicate, aggregate, or add the missing key column",
        "stop when rows out are about rows in",
    ),
    "Generate": code(
        "explode-late",
        "explode later or less: filter and aggregate inside the array (filter, aggregate, transform) before its elements become rows",
        "leave it where every element is wanted as a row",
    ),
    "Expand": code(
        "grouping-sets",
        "ask only for the totals that are read: GROUPING SETS or ROLLUP instead of CUBE, or aggregate by all columns first and build the coarser totals from that",
        "leave it where every combination is wanted and the rows are few",
    ),
}
"""Operators that put out more rows than they take in, and what to do about each."""


@rule("row-explosion", family="plan", limits=PlanLimits, title="A join, explode or cube puts out many times the rows it took in")
def row_explosion(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """The operator's output has ten and more times the rows of its larger input: keys that repeat on both sides, very long arrays, or totals for every combination of many columns.

    Why it costs: everything after it works on the multiplied rows.
    What to do: look for duplicates on the join keys; join on the whole key; aggregate or deduplicate one side before the join.
    Blind spot: an explosion that is wanted looks the same; the keys tell.
    """
    for execution in profile(run).executions():
        graph = graph_of(execution.plan)
        for node in graph:
            kind = "join" if node.name in _JOINS else node.name
            if kind not in _MULTIPLIES:
                continue
            explodes = kind == "Generate"
            out = metric(execution, node.plan, "number of output rows")
            taken = [r for child in graph.inputs(node.node_id) if (r := rows_into(execution, graph, child)) is not None]
            if not out or not taken or out < limits.explosion_min_rows:
                continue
            ratio = out / max(*taken, 1)
            least = limits.generate_ratio if explodes else limits.explosion_ratio
            if ratio < least:
                continue
            stages = stages_near(run, graph, node)
            if not worth(run, stages, limits.min_wall_ratio):
                continue
            yield Observation(
                code="row-explosion",
                where=at(stages, execution, node),
                evidence=(
                    Evidence(metric="rows out / rows in", value=ratio, limit=least, unit="ratio"),
                    Evidence(metric="rows out", value=out, limit=limits.explosion_min_rows, unit="count"),
                    Evidence(metric="rows of the larger input", value=max(taken), limit=None, unit="count"),
                ),
                remedy=RemoveShare(
                    stages=refs(stages),
                    of="compute",
                    ratio=limits.grouping_removable_ratio if kind == "Expand" else limits.explosion_removable_ratio,
                ),
                changes=_MULTIPLIES[kind],
                cause=_CAUSES.get(kind),
            )
