"""`/sql`: ExecutionData with the plan's nodes, their metrics as the SQL page words them, and edges."""

import time
from collections.abc import Mapping

from spark_copilot.app.api.monitoring.jobs import job_status
from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.app.api.monitoring.values import Json, moment
from spark_copilot.connectors.eventlog import scala_order
from spark_copilot.rules_engine.facts import MISSING, SqlExecution
from spark_copilot.rules_engine.plans import GraphNode, PlanGraph, graph_of


def sql_json(totals: Totals, execution: SqlExecution, *, details: bool, plan: bool) -> Json:
    """ExecutionData of one execution."""
    row_of = totals.job_row_of
    jobs: dict[str, list[int]] = {"RUNNING": [], "SUCCEEDED": [], "FAILED": []}
    for job in scala_order(execution.job_ids):
        if job in row_of:
            jobs[job_status(totals, row_of[job])].append(job)
    end = execution.completed_ms if execution.completed_ms != MISSING else int(time.time() * 1000)
    out: Json = {
        "id": execution.sql_id,
        "status": sql_status(execution, jobs),
        "description": execution.description,
        "planDescription": execution.physical_plan if plan else "",
        "submissionTime": moment(execution.submitted_ms),
        "duration": max(end - execution.submitted_ms, 0),
        "runningJobIds": jobs["RUNNING"],
        "successJobIds": jobs["SUCCEEDED"],
        "failedJobIds": jobs["FAILED"],
        "nodes": [],
        "edges": [],
    }
    if details:
        graph = graph_of(execution.plan)
        strings = execution.metric_strings or {}
        out["nodes"] = [node_json(graph, node, strings) for node in sorted(graph.nodes.values(), key=lambda n: -n.node_id)]
        out["edges"] = [{"fromId": child, "toId": parent} for child, parent in graph.edges]
    if execution.error_message is not None:
        out["errorMessage"] = execution.error_message
    out["rootExecutionId"] = execution.root_id if execution.root_id != MISSING else execution.sql_id
    if execution.query_id is not None:
        out["queryId"] = execution.query_id
    out["modifiedConfigs"] = dict(execution.modified_configs)
    return out


def sql_status(execution: SqlExecution, jobs: dict[str, list[int]]) -> str:
    """RUNNING, COMPLETED or FAILED."""
    if execution.completed_ms == MISSING or jobs["RUNNING"]:
        return "RUNNING"
    return "FAILED" if jobs["FAILED"] or execution.error_message else "COMPLETED"


def node_json(graph: PlanGraph, node: GraphNode, strings: Mapping[int, str]) -> Json:
    """One operator or codegen box."""
    out: Json = {"nodeId": node.node_id, "nodeName": node.name.strip()}
    number = codegen_id(graph, node)
    if number is not None:
        out["wholeStageCodegenId"] = number
    out["metrics"] = [
        {"name": m.name.strip(), "value": strings[m.accumulator].removeprefix("\n")} for m in node.plan.metrics if m.accumulator in strings
    ]
    out["desc"] = node.plan.text
    return out


def codegen_id(graph: PlanGraph, node: GraphNode) -> int | None:
    """The number of the codegen box around an operator."""
    if node.cluster is None:
        return None
    digits = graph.nodes[node.cluster].name.strip().removeprefix("WholeStageCodegen (").rstrip(")")
    return int(digits) if digits.isdigit() else None
