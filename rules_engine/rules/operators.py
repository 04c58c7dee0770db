"""Where an operator of a plan ran, and whether that weighs anything: what the rules on plans share."""

from spark_copilot.rules_engine.facts import AppRun, SqlExecution
from spark_copilot.rules_engine.findings import Where
from spark_copilot.rules_engine.plans import GraphNode, PlanGraph, metric
from spark_copilot.rules_engine.profile import Stage, profile


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


def worth(run: AppRun, stages: list[Stage], ratio: float) -> bool:
    return bool(stages) and sum(s.total_ms for s in stages) / run.slots_max >= ratio * run.wall_ms


def at(stages: list[Stage], execution: SqlExecution, node: GraphNode) -> Where:
    worst = max(stages, key=lambda s: s.total_ms)
    return worst.where.model_copy(update={"node_id": node.node_id, "sql_id": execution.sql_id})


def refs(stages: list[Stage]) -> tuple[str, ...]:
    return tuple(s.ref for s in stages)


def rows_into(execution: SqlExecution, graph: PlanGraph, node: GraphNode) -> int | None:
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
