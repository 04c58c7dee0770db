"""The gate's rules on the settings a run really had. Its errors are medium here, its warnings low: no time is measured on them."""

from collections.abc import Iterator

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change, Observation, Severity, Where
from spark_copilot.rules_engine.gate.environment import judge_environment
from spark_copilot.rules_engine.gate.rules import RULES
from spark_copilot.rules_engine.gate.target import PLATFORMS

_SEVERITY = {"error": Severity.MEDIUM, "warning": Severity.LOW}
TITLES = {rule.code: rule.name.replace("-", " ") for rule in RULES}
"""SG code -> its name in words."""


def setting_observations(run: AppRun, platform: str) -> Iterator[Observation]:
    """One observation a gate finding of warning or error, on the key it speaks of. `platform` unknown to the gate: its platform rules stay silent."""
    seen: set[tuple[str, str | None]] = set()
    known = platform if platform in PLATFORMS else None
    for finding in judge_environment(run.environment.spark, run.app.spark_version, platform=known):
        severity = _SEVERITY.get(finding.severity)
        if severity is None or finding.key is None or (finding.rule, finding.key) in seen:
            continue
        seen.add((finding.rule, finding.key))
        change = (
            Change(kind="code", key=finding.key, text=finding.fix, stop_condition="stop when the gate is quiet about this key")
            if finding.fix
            else None
        )
        yield Observation(
            code=finding.rule,
            where=Where(setting=finding.key),
            evidence=(),
            severity_floor=severity,
            severity_cap=severity,
            changes=(change,) if change else (),
            cause=finding.message,
        )
