"""Core time and memory time of the run: used, idle, lost to failures. Money once a price list is chosen."""

from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard
from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine.facts import FAILED, MISSING, SUCCESS, AppRun, union
from spark_copilot.rules_engine.units import parse_bytes


def cost(state: State, runtime: Runtime[Context]) -> State:
    """Reads `findings`; writes `facts.core_ms` and `facts.memory_mib_ms`."""
    update = State(facts=resource_use(runtime.context.run), findings=state.get("findings", []))
    heard(runtime.context, "cost")
    return update


def resource_use(run: AppRun) -> dict[str, Any]:
    """`core_ms` {used, idle, failed} and `memory_mib_ms` {used, idle}, from executor lifetimes (not the wall clock times the maximum).

    On `local[N]` the one process is an executor of N cores for the whole run. `failed` is core time of attempts that did not succeed; it is not part of `used`.
    Memory counts heap (and overhead where set); it is used while its executor runs at least one task.
    """
    executors = run.executors
    if run.local_cores is not None:
        lives: list[tuple[int, int, int, int | None]] = [(run.started_ms, run.ended_ms, run.local_cores, None)]
        heap = parse_bytes(run.conf("spark.driver.memory", "1g") or "1g", "m") or 1 << 30
    else:
        heap = parse_bytes(run.conf("spark.executor.memory", "1g") or "1g", "m") or 1 << 30
        heap += parse_bytes(run.conf("spark.executor.memoryOverhead", "") or "", "m") or max(heap // 10, 384 << 20)
        lives = [
            (
                max(int(executors.added_ms[r]), run.started_ms),
                run.ended_ms if executors.removed_ms[r] == MISSING else int(executors.removed_ms[r]),
                int(executors.cores[r]),
                r,
            )
            for r in np.flatnonzero(~executors.is_driver).tolist()
        ]
    held = float(sum(max(end - begin, 0) * cores for begin, end, cores, _ in lives))
    duration = run.tasks.duration_ms * run.task_cpus
    used = float(duration[run.tasks.status == SUCCESS].sum())
    lost = float(duration[run.tasks.status != SUCCESS].sum())
    mib = heap / (1 << 20)
    alive = float(sum(max(end - begin, 0) for begin, end, *_ in lives)) * mib
    busy = float(sum(_busy_ms(run, row) for *_, row in lives)) * mib
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
