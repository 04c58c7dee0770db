"""Every rule keeps the form of the catalogue, and none speaks of nothing."""

import contextlib
from typing import Any

import numpy as np
import pytest

from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.errors import MissingFact
from spark_copilot.rules_engine.facts import MISSING, AppRun
from spark_copilot.rules_engine.findings import CODES, FAMILIES
from spark_copilot.rules_engine.rule import PAGE_HEADINGS
from tests.builders import StageSpec, run_of
from tests.rules_engine.rules.seen import EVEN, LIMITS


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
def test_the_catalogue_keeps_its_form(rule: Any) -> None:
    assert rule.code in CODES
    assert rule.code in FAMILIES[rule.family]
    assert all(heading in rule.page for heading in PAGE_HEADINGS)
    assert [r.code for r in RULES].count(rule.code) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
@pytest.mark.parametrize(
    "run", [run_of(), run_of(StageSpec(ms=[0])), run_of(StageSpec(ms=[5, 5]), executors=2)], ids=["no task", "a task of no time", "tiny"]
)
def test_no_rule_speaks_or_breaks_on_nothing(rule: Any, run: AppRun) -> None:
    with contextlib.suppress(MissingFact):
        assert list(rule.check(run, LIMITS.of(rule.limits))) == []


def test_missing_times_never_reach_a_rule_as_minus_one() -> None:
    run = run_of(StageSpec(ms=EVEN), StageSpec(ms=[1_000] * 7 + [30_000]))
    object.__setattr__(run.jobs, "completed_ms", np.full(2, MISSING, dtype=np.int64))
    for rule in RULES:
        for seen in rule.check(run, LIMITS.of(rule.limits)):
            assert all(e.value >= 0 for e in seen.evidence), seen
