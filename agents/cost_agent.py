"""Core time and memory time of the run: used, idle, lost to failures; and money, where a price list was chosen."""

from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard
from spark_copilot.agents.state import Context, State
from spark_copilot.ml.cost import Pricing, cost_report, saving_cost
from spark_copilot.rules_engine.facts import FAILED, SUCCESS, AppRun, union
from spark_copilot.rules_engine.findings import Finding
from spark_copilot.rules_engine.resources import executor_leases


def cost(state: State, runtime: Runtime[Context]) -> State:
    """Reads `findings`; writes `facts.core_ms` and `facts.memory_mib_ms`, the run's cost to `money`, and the money of each saving. Order and severity stay as they are."""
    context = runtime.context
    findings = state.get("findings", [])
    update = State(facts=resource_use(context.run), findings=findings, money=None)
    if context.pricing is not None:
        update["findings"] = [_priced(f, context.run, context.pricing) for f in findings]
        update["money"] = cost_report(context.run, context.pricing)
    heard(context, "cost")
    return update


def _priced(finding: Finding, run: AppRun, pricing: Pricing) -> Finding:
    if finding.saving is None:
        return finding
    money = saving_cost(run, pricing, finding.saving, () if finding.remedy is None else (finding.remedy,))
    return finding.model_copy(update={"saving": finding.saving.model_copy(update={"cost": money})})


def resource_use(run: AppRun) -> dict[str, Any]:
    """`core_ms` {used, idle, failed} and `memory_mib_ms` {used, idle}, from executor lifetimes (not the wall clock times the maximum).

    On `local[N]` the one process is an executor of N cores for the whole run. `failed` is core time of attempts that did not succeed; it is not part of `used`.
    Memory counts the container (heap, overhead, off-heap); it is used while its executor runs at least one task.
    """
    leases = executor_leases(run)
    held = float(sum(lease.core_ms for lease in leases))
    duration = run.tasks.duration_ms * run.task_cpus
    used = float(duration[run.tasks.status == SUCCESS].sum())
    lost = float(duration[run.tasks.status != SUCCESS].sum())
    alive = sum(lease.ms * lease.memory_bytes for lease in leases) / (1 << 20)
    busy = sum(_busy_ms(run, lease.executor_row) * lease.memory_bytes for lease in leases) / (1 << 20)
    return {
        "core_ms": {"used": round(used), "idle": round(max(held - used - lost, 0.0)), "failed": round(lost)},
        "memory_mib_ms": {"used": round(min(busy, alive)), "idle": round(max(alive - busy, 0.0))},
        "tasks": {
            "succeeded": int((run.tasks.status == SUCCESS).sum()),
            "failed": int((run.tasks.status == FAILED).sum()),
            "killed": int((run.tasks.status > FAILED).sum()),
        },
    }


def _busy_ms(run: AppRun, executor_row: int | None) -> int:
    rows = slice(None) if executor_row is None else run.executor_task_rows(executor_row)
    spans = union(np.stack([run.tasks.launch_ms[rows], run.tasks.finish_ms[rows]], axis=1), run.started_ms, run.ended_ms)
    return int((spans[:, 1] - spans[:, 0]).sum()) if len(spans) else 0
