"""What one rule says of a small run."""

from collections.abc import Mapping
from typing import Any

from spark_copilot.rules_engine.catalog import rule_of
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Observation
from spark_copilot.rules_engine.limits import Limits
from tests.builders import StageSpec, execution, run_of

LIMITS = Limits()


def codes(code: str, run: AppRun) -> list[str]:
    """What one rule says of a run."""
    rule = rule_of(code)
    assert rule is not None
    return [seen.code for seen in rule.check(run, LIMITS.of(rule.limits))]


def seen(code: str, run: AppRun) -> list[Observation]:
    rule = rule_of(code)
    assert rule is not None
    return list(rule.check(run, LIMITS.of(rule.limits)))


EVEN = [2_000] * 8


def planned(plan: Any, values: Mapping[int, int], *, ms: list[int] | None = None, **columns: int) -> AppRun:
    """A run whose one heavy stage belongs to one SQL execution and updated all its accumulators."""
    spec = StageSpec(ms=ms or [5_000] * 8, columns=columns, sql_row=0, accumulables=dict.fromkeys(values, ("m", "1")))
    return run_of(spec, sql=[execution(plan, values)])
