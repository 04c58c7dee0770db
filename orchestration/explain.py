"""The working of one finding: its inputs, the formula of its remedy, and the stages before and after under replay."""

from typing import Literal

import numpy as np

from spark_copilot.ml.simulator import Simulator, apply, replay
from spark_copilot.orchestration.analyse import Options, analyse_run
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import (
    Broadcast,
    Cache,
    CutTail,
    DriverGap,
    DropExecutor,
    Finding,
    Remedy,
    RemoveShare,
    Repartition,
    Resize,
    SkipStages,
    Value,
)
from spark_copilot.rules_engine.record import records
from spark_copilot.rules_engine.units import show_ms


class StageReplay(Value):
    """One stage replayed as recorded and under the remedy. Times are from its start to the end of its last task; `tasks` those that run."""

    stage: str
    tasks: int
    tasks_after: int
    median_ms: float
    longest_ms: float
    span_ms: float
    span_after_ms: float


class Explanation(Value):
    """The answer of `explain KEY --log LOG`."""

    schema_version: Literal[1] = 1
    finding: Finding
    formula: str
    wall_ms: float
    wall_after_ms: float
    stages: tuple[StageReplay, ...]
    record: str | None


def explain_finding(run: AppRun, key: str, options: Options | None = None) -> Explanation:
    """How the finding of this key came about and what its remedy does.

    Raises:
        UsageError: no finding of the run has this key.
    """
    report = analyse_run(run, options)
    finding = next((f for f in report.findings if f.key == key), None) or next((f for f in report.findings if f.code == key), None)
    if finding is None:
        known = ", ".join(f.key for f in report.findings)
        raise UsageError(f"no finding {key!r} in this run", hint=f"known: {known}" if known else "the run has no findings")
    simulator = Simulator(run)
    remedies = (finding.remedy,) if finding.remedy is not None else ()
    measured = records().get(finding.code)
    return Explanation(
        finding=finding,
        formula=formula(finding.remedy),
        wall_ms=float(run.wall_ms),
        wall_after_ms=round(simulator.wall_ms(remedies)) if remedies else float(run.wall_ms),
        stages=_stages(simulator, finding.remedy),
        record=measured.sentence() if measured is not None else None,
    )


def formula(remedy: Remedy | None) -> str:
    """What the replay changes for this remedy, in one sentence."""
    if remedy is None:
        return "nothing is replayed: the finding states a fact, and its worth is not a matter of time"
    if isinstance(remedy, CutTail):
        return f"tasks longer than the {100 * remedy.to_quantile:.0f}th percentile of their stage take that long instead"
    if isinstance(remedy, Repartition):
        return f"the same work in {remedy.partitions} even tasks: the fixed cost of a task, learnt from the stage, times {remedy.partitions}, and its work divided by them"
    if isinstance(remedy, RemoveShare):
        return f"{100 * remedy.ratio:.0f} % of the tasks' time in {remedy.of.replace('_', ' ')} is taken away"
    if isinstance(remedy, Resize):
        parts = [f"{remedy.executors} executors" if remedy.executors else "", f"{remedy.cores} cores each" if remedy.cores else ""]
        return f"the recorded tasks are scheduled again on {' of '.join(p for p in parts if p)}"
    if isinstance(remedy, DropExecutor):
        return f"tasks of executor {remedy.id} take as long as the same stage's tasks elsewhere"
    if isinstance(remedy, Cache):
        return "the first of these stages runs, the others read its result"
    if isinstance(remedy, Broadcast):
        return "the shuffles of these stages do not happen; the small side is sent to every executor"
    if isinstance(remedy, SkipStages):
        return "these stages do not run"
    assert isinstance(remedy, DriverGap)
    return f"{show_ms(remedy.ms)} in which no task ran come back; about half of what the driver does can be mended at best"


def _stages(simulator: Simulator, remedy: Remedy | None) -> tuple[StageReplay, ...]:
    """The stages that the remedy names, most time first, at most ten."""
    refs = getattr(remedy, "stages", ()) if remedy is not None else ()
    if not refs or remedy is None:
        return ()
    model, before = simulator.model, simulator.base
    changed = apply(model, (remedy,), "mid")
    after = replay(changed)
    made = []
    for ref in refs:
        p = model.position_of(ref)
        if p is None:
            continue
        held = model.stages[p].hold_ms
        span, span_after = (_span(r.stage_start_ms[p], r.stage_end_ms[p]) for r in (before, after))
        made.append(
            StageReplay(
                stage=ref,
                tasks=len(held),
                tasks_after=0 if changed.stages[p].skip else len(changed.stages[p].hold_ms),
                median_ms=round(float(np.median(held))) if len(held) else 0,
                longest_ms=round(float(np.max(held))) if len(held) else 0,
                span_ms=span,
                span_after_ms=span_after,
            )
        )
    made.sort(key=lambda s: (-s.span_ms, s.stage))
    return tuple(made[:10])


def _span(start: float, end: float) -> float:
    return round(float(end - start)) if np.isfinite(start) and np.isfinite(end) else 0.0
