"""Where the time went, what is wrong with memory, shuffles, executors and tasks; then every observation of all agents priced by replay."""

from collections.abc import Iterable, Mapping, Sequence

from langgraph.runtime import Runtime

from spark_copilot.agents.fold import fold
from spark_copilot.agents.observe import heard, observe
from spark_copilot.agents.state import Context, State
from spark_copilot.ml.feature_builder import history_row
from spark_copilot.ml.simulator import Simulator
from spark_copilot.ml.simulator.path import critical_path
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change, Confidence, Evidence, Finding, Observation, Prediction, Saving, Severity
from spark_copilot.rules_engine.limits import PricingLimits
from spark_copilot.rules_engine.record import records
from spark_copilot.rules_engine.rules.spark_config_rules import TITLES
from spark_copilot.rules_engine.sizing import recommended_sizes
from spark_copilot.rules_engine.units import show_value
from spark_copilot.rules_engine.wall_clock import wall_clock

_ESTIMATED = frozenset(
    {
        "python-udf",
        "row-explosion",
        "driver-bound",
        "recomputed-data",
        "broadcast-missed",
        "broadcast-too-large",
        "large-driver-result",
        "cartesian-or-nested-loop-join",
    }
)
"""Codes whose remedy rests on a share that the log does not hold."""


def runtime(state: State, runtime: Runtime[Context]) -> State:
    """Reads `observed` of the agents before it; writes `findings`, the facts of time, what its own rules say, and what the run's history `expected`."""
    context = runtime.context
    update = observe(context, "memory", "shuffle", "executors", "failures", "streaming", "settings")
    titles = {r.code: r.title for r in context.rules}
    findings = price([*state.get("observed", []), *update["observed"]], context.run, context.simulator, context.limits.pricing, titles)
    findings = _left_alone(findings, context.preserve | set(context.enforce))
    update["findings"] = findings
    update["facts"] = {
        "wall_clock": dict(wall_clock(context.run)),
        "critical_path": critical_path(context.simulator.model, context.simulator.base),
        "replay_error_ratio": round(context.simulator.error_ratio, 4),
        "sizing": [s.to_json() for s in recommended_sizes(context.run, context.preserve, context.enforce)],
        "record": {code: records()[code]._asdict() for code in sorted({f.code for f in findings}) if code in records()},
    }
    update["expected"] = expected(context)
    heard(context, "runtime")
    return update


def expected(context: Context) -> Prediction | None:
    """What earlier runs of the job say of this one; None without a history that suffices."""
    if not context.history:
        return None
    from spark_copilot.ml.run_history import predicted  # loads scipy and scikit-learn, which a run without history does not need

    outcome = predicted(history_row(context.run, context.job), context.history)
    if outcome.prediction is None and context.unpredicted is not None:
        context.unpredicted(outcome.reason)
    return outcome.prediction


def price(
    observed: Iterable[Observation], run: AppRun, simulator: Simulator, limits: PricingLimits, titles: Mapping[str, str]
) -> list[Finding]:
    """Findings, most valuable first. A remedy that replays to nothing worth mentioning drops its observation, unless it has a floor."""
    found = []
    for seen in fold(observed):
        saving = simulator.price((seen.remedy,)) if seen.remedy is not None else None
        if saving is not None and not _worth(saving, run, limits):
            if seen.severity_floor is None:
                continue
            saving = saving if saving.wall_ms.high > 0 or saving.core_ms.high > 0 else None
        found.append(
            Finding.of(
                seen,
                title=titles.get(seen.code) or TITLES.get(seen.code) or seen.cause or seen.code,
                severity=_severity(seen, saving, run, limits),
                confidence=_confidence(seen, saving, run),
                because=because(seen.evidence, seen.cause),
                saving=saving,
            )
        )
    found.sort(
        key=lambda f: (f.severity.rank, -(f.saving.wall_ms.mid if f.saving else 0.0), -(f.saving.core_ms.mid if f.saving else 0.0), f.key)
    )
    return _without_conflicts(found)


def _left_alone(findings: list[Finding], fixed: set[str] | frozenset[str]) -> list[Finding]:
    """Findings without the changes to settings that the user fixed."""
    if not fixed:
        return findings
    return [f.model_copy(update={"changes": tuple(c for c in f.changes if c.kind != "conf" or c.key not in fixed)}) for f in findings]


def _worth(saving: Saving, run: AppRun, limits: PricingLimits) -> bool:
    return saving.wall_ms.mid >= max(limits.worth_ratio * run.wall_ms, limits.worth_ms)


def _severity(seen: Observation, saving: Saving | None, run: AppRun, limits: PricingLimits) -> Severity:
    share = saving.wall_ms.mid / max(run.wall_ms, 1) if saving else 0.0
    if saving is None or share < limits.worth_ratio:
        by_share = Severity.INFO
    else:
        steps = ((limits.critical_ratio, Severity.CRITICAL), (limits.high_ratio, Severity.HIGH), (limits.medium_ratio, Severity.MEDIUM))
        by_share = next((severity for least, severity in steps if share >= least), Severity.LOW)
    ranked = min(by_share, seen.severity_floor or Severity.INFO, key=lambda s: s.rank)
    return max(ranked, seen.severity_cap, key=lambda s: s.rank) if seen.severity_cap else ranked


def _confidence(seen: Observation, saving: Saving | None, run: AppRun) -> Confidence:
    """By how far apart low and high are, whether the remedy rests on an estimate, and how whole the log is."""
    levels = [Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW]
    at = 0
    if saving is not None and saving.wall_ms.mid > 0:
        width = (saving.wall_ms.high - saving.wall_ms.low) / saving.wall_ms.mid
        at = 0 if width < 0.8 else 1 if width < 2.0 else 2
    if seen.code in _ESTIMATED:
        at = max(at, 1)
    if not run.complete or run.quality.missing_task_ends or run.quality.bad_lines or run.quality.compacted:
        at = min(at + 1, 2)
    return levels[at]


def because(evidence: Sequence[Evidence], cause: str | None = None) -> str:
    """The evidence in words; every number in it is one of the evidence's."""
    parts = []
    for e in evidence:
        limit = f" (from {show_value(e.limit, e.unit)})" if e.limit is not None else ""
        parts.append(f"{e.metric} {show_value(e.value, e.unit)}{limit}")
    text = "; ".join(parts)
    return f"{cause}: {text}" if cause and text else cause or text


def _without_conflicts(findings: list[Finding]) -> list[Finding]:
    """A key is set once: a less valuable finding that wants another value for it loses that change."""
    wanted: dict[str, str | None] = {}
    kept = []
    for finding in findings:
        changes: list[Change] = []
        for change in finding.changes:
            if change.kind == "conf" and wanted.setdefault(change.key, change.to) != change.to:
                continue
            changes.append(change)
        kept.append(finding.model_copy(update={"changes": tuple(changes)}))
    return kept
