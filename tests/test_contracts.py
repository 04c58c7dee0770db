"""Names that others depend on, tested literally: finding codes, JSON keys, exit codes, error codes, settings."""

import json
from pathlib import Path

import pytest

from spark_copilot.app.cli.errors import Exit, exit_code
from spark_copilot.app.cli.main import run
from spark_copilot.rules_engine import errors, findings
from tests import docs

CODES = """
too-few-partitions too-many-small-tasks oversized-partitions unsplittable-input small-files-read small-files-written missing-partition-filter
single-partition-window data-skew straggler-tasks slow-node spill gc-pressure out-of-memory memory-overallocated cache-evicted-or-unused python-udf
cartesian-or-nested-loop-join broadcast-missed broadcast-too-large row-explosion recomputed-data large-driver-result shuffle-fetch-wait locality-wait
task-overhead driver-bound idle-executors allocation-churn speculation-waste task-failures stage-retries executor-lost job-failed delta-small-files
delta-full-scan delta-rewrite-amplification delta-maintenance-missing delta-log-growth delta-over-partitioned batch-slower-than-trigger state-growth
"""


def test_finding_codes_are_these() -> None:
    assert sorted(findings.CODES) == sorted(CODES.split())


def test_report_keys_are_these() -> None:
    assert list(findings.Report.model_fields) == [
        "schema_version", "application", "data_quality", "verdict", "findings", "passed", "not_computable", "failed",
        "facts", "plan", "prediction", "cost", "passages",
    ]  # fmt: skip
    assert list(findings.Finding.model_fields) == [
        "code", "key", "fingerprint", "title", "severity", "confidence", "where", "occurrences", "also", "evidence",
        "because", "remedy", "saving", "changes", "sources",
    ]  # fmt: skip


def test_changes_say_from_and_to_in_json() -> None:
    change = findings.Change(kind="conf", key="spark.a", from_="1", to="2", text="t", stop_condition="s")
    assert json.loads(change.model_dump_json()) == {
        "kind": "conf",
        "key": "spark.a",
        "from": "1",
        "to": "2",
        "text": "t",
        "stop_condition": "s",
    }


def test_unknown_places_are_left_out() -> None:
    assert findings.Where(stage_id=4, stage_attempt=0).model_dump() == {"stage_id": 4, "stage_attempt": 0}


@pytest.mark.parametrize(
    ("where", "short"),
    [
        pytest.param(findings.Where(stage_id=4, stage_attempt=0), "stage:4.0", id="stage"),
        pytest.param(findings.Where(sql_id=3, node_id=12, stage_id=7), "sql:3/node:12", id="plan node before stage"),
        pytest.param(findings.Where(executor_id="7", stage_id=1), "executor:7", id="executor"),
        pytest.param(findings.Where(table="name"), "table:name", id="table"),
        pytest.param(findings.Where(setting="spark.x"), "setting:spark.x", id="setting"),
        pytest.param(findings.Where(), "app", id="application"),
    ],
)
def test_keys_name_the_place(where: findings.Where, short: str) -> None:
    assert findings.Observation(code="spill", where=where, evidence=()).key == f"spill@{short}"


def test_fingerprint_is_the_same_across_runs() -> None:
    first = findings.fingerprint("spill", findings.Where(stage_id=4, call_site="count at job.py:31"))
    second = findings.fingerprint("spill", findings.Where(stage_id=9, call_site="count at job.py:44"))
    other = findings.fingerprint("spill", findings.Where(stage_id=9, call_site="collect at job.py:44"))
    assert first == second != other


def test_remedies_carry_their_kind() -> None:
    kinds = {
        m.model_fields["kind"].default for m in findings.Value.__subclasses__() if "kind" in m.model_fields and m is not findings.Change
    }
    assert kinds == {
        "cut-tail",
        "repartition",
        "remove-share",
        "resize",
        "drop-executor",
        "cache",
        "broadcast",
        "skip-stages",
        "driver-gap",
    }


def test_exit_codes_are_these() -> None:
    assert {e.name: int(e) for e in Exit} == {
        "OK": 0, "GATE_FAILED": 1, "USAGE": 2, "INPUT": 3, "AUTH": 4, "NETWORK": 5, "INTERNAL": 70, "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.NotAnEventLog("f", "r"), 3),
        (errors.BrokenEventLog("f", 3, "r"), 3),
        (errors.NotFound("x"), 3),
        (errors.AuthError("x"), 4),
        (errors.Unavailable("x"), 5),
        (errors.CopilotError("x"), 70),
    ],
)
def test_errors_map_to_exit_codes(error: errors.CopilotError, code: int) -> None:
    assert exit_code(error) == code


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["no-such-command"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no-such-command" in err


def test_home_is_where_the_setting_says(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["home"] == str(home)


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_generated_pages_are_fresh(name: str) -> None:
    assert (docs.DOCS / name).read_text(encoding="utf-8") == docs.PAGES[name](), "run `make docs`"
