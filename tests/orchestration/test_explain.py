"""`explain KEY --log LOG`: the working of a finding, and the record that ships."""

import json
from importlib.resources import files

import pytest

from benchmarks.record import text
from spark_copilot.app.cli.main import run as cli
from spark_copilot.orchestration.explain import explain_finding, formula
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.findings import DriverGap, RemoveShare, Repartition, Resize
from tests.builders import StageSpec, run_of
from tests.conftest import ROOT

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")


def test_the_working_shows_inputs_formula_and_the_stage_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["explain", "data-skew", "--log", SAMPLE]) == 0
    out = capsys.readouterr().out
    for said in (
        "inputs:",
        "slowest / median task",
        "formula:",
        "after",
        "worth",
        "measured: right",
        "whatif LOG --apply 'data-skew@stage:",
    ):
        assert said in out


def test_json_has_these_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["explain", "data-skew", "--log", SAMPLE, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["schema_version", "finding", "formula", "wall_ms", "wall_after_ms", "stages", "record"]
    stage = answer["stages"][0]
    assert stage["span_after_ms"] < stage["span_ms"]
    saved = answer["wall_ms"] - answer["wall_after_ms"]
    assert saved == pytest.approx(answer["finding"]["saving"]["wall_ms"]["mid"], rel=0.02)


def test_a_key_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="no finding 'spill'"):
        explain_finding(run_of(StageSpec(ms=[1_000] * 4)), "spill")


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        (None, "nothing is replayed"),
        (Repartition(stages=("1.0",), partitions=24), "24 even tasks"),
        (RemoveShare(stages=("1.0",), of="fetch_wait", ratio=0.5), "50 % of the tasks' time in fetch wait"),
        (Resize(executors=3, cores=2), "3 executors of 2 cores each"),
        (DriverGap(ms=4_000), "4.0 s in which no task ran"),
    ],
)
def test_each_remedy_has_its_formula(remedy: Repartition | RemoveShare | Resize | DriverGap | None, said: str) -> None:
    assert said in formula(remedy)


def test_the_shipped_record_is_that_of_the_last_benchmark() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "laboratory.json").read_text())
    assert (ROOT / "rules_engine" / "data" / "record.json").read_text() == text(result)
