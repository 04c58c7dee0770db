"""Recorded laboratory runs: real Spark logs with a known fault, a look-alike or the mended job. `make lab` makes them again."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.orchestration.analyse import analyze
from spark_copilot.rules_engine.findings import Report, Severity

LABORATORY = Path(__file__).parent / "data" / "laboratory"
RUNS: dict[str, Any] = json.loads((LABORATORY / "runs.json").read_text(encoding="utf-8"))
FAULTS = [name for name, run in RUNS.items() if run["expect"]]
QUIET = [name for name, run in RUNS.items() if not run["expect"]]


@cache
def report(name: str) -> Report:
    """The report on one recorded run."""
    return analyze(LABORATORY / f"{name}.zstd")


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_among_the_findings(name: str) -> None:
    assert {f.code for f in report(name).findings} & set(RUNS[name]["expect"])


@pytest.mark.parametrize("name", QUIET)
def test_nothing_grave_on_a_quiet_run(name: str) -> None:
    grave = [f.key for f in report(name).findings if f.severity.rank <= Severity.HIGH.rank and f.code not in RUNS[name]["allow"]]
    assert grave == []


@pytest.mark.parametrize("name", sorted(RUNS))
def test_no_rule_breaks_and_time_adds_up(name: str) -> None:
    assert report(name).failed == ()
    assert sum(report(name).facts["wall_clock"].values()) == report(name).application.duration_ms


def test_precision_over_all_runs() -> None:
    right = wrong = 0
    for name, run in RUNS.items():
        for finding in report(name).findings:
            if finding.severity is not Severity.INFO:
                known = finding.code in {*run["expect"], *run["allow"]}
                right, wrong = right + known, wrong + (not known)
    assert right / (right + wrong) >= 0.95
