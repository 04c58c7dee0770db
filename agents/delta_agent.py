"""Delta tables and operations seen in the plans, and the rules on them."""

import re
from typing import Any

from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard, observe
from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.rules.scans import scans

_OPERATION = re.compile(
    r"(?:delta|deltalake).{0,80}?\b(MERGE|OPTIMIZE|VACUUM|UPDATE|DELETE|WRITE|RESTORE)\b|\b(MergeIntoCommand|OptimizeTableCommand|VacuumTableCommand|UpdateCommand|DeleteCommand)\b",
    re.IGNORECASE,
)


def delta(state: State, runtime: Runtime[Context]) -> State:
    """Reads nothing of the state; writes what the rules say and `facts.delta_operations`."""
    del state
    update = observe(runtime.context, "delta")
    update["facts"] = {"delta_operations": operations(runtime.context.run)}
    heard(runtime.context, "delta")
    return update


def operations(run: AppRun) -> list[dict[str, Any]]:
    """Delta operations in order of submission, a scan of a Delta table among them."""
    found = []
    for execution in run.sql:
        match = _OPERATION.search(execution.description or "") or _OPERATION.search((execution.physical_plan or "")[:20_000])
        if match:
            found.append({"sql_id": execution.sql_id, "operation": (match[1] or match[2]).upper().removesuffix("COMMAND"), "table": None})
    found += [{"sql_id": s.execution.sql_id, "operation": "SCAN", "table": s.table or s.location or None} for s in scans(run) if s.is_delta]
    return sorted(found, key=lambda o: (o["sql_id"], o["operation"]))
