"""Spark Connect operations and sessions: a real server's log, and what a log may claim of them."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.agents.connect_facts import connect_facts
from spark_copilot.connectors.eventlog import build_connect, read_run
from spark_copilot.connectors.run_tables import read_tables, write_tables
from spark_copilot.rules_engine.facts import MISSING, AppRun
from tests.timing import below

LOG = Path(__file__).resolve().parents[2] / "data" / "connect" / "connect-operations.zstd"
CONNECT = "org.apache.spark.sql.connect.service.SparkListenerConnect"
HEAD: list[dict[str, Any]] = [
    {"Event": "SparkListenerLogStart", "Spark Version": "4.2.0"},
    {"Event": "SparkListenerApplicationStart", "App Name": "server", "App ID": "app-1", "Timestamp": 1_000, "User": "spark"},
]
TAIL: list[dict[str, Any]] = [{"Event": "SparkListenerApplicationEnd", "Timestamp": 100_000}]


@pytest.fixture(scope="module")
def run() -> AppRun:
    return read_run(LOG)


def read(folder: Path, *events: dict[str, Any] | str) -> AppRun:
    log = folder / "log"
    log.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in (*HEAD, *events, *TAIL)))
    return read_run(log)


def started(number: int = 1, **given: Any) -> dict[str, Any]:
    return {
        "Event": f"{CONNECT}OperationStarted", "jobTag": f"tag-{number}", "operationId": f"op-{number}", "eventTime": 2_000, "sessionId": "s", "userId": "ann",
        "userName": "", "statementText": "range { end: 9 }", "sparkSessionTags": [], "extraTags": {}, **given,
    }  # fmt: skip


def step(word: str, number: int = 1, **given: Any) -> dict[str, Any]:
    return {"Event": f"{CONNECT}Operation{word}", "jobTag": f"tag-{number}", "operationId": f"op-{number}", "eventTime": 3_000, **given}


def test_a_real_server(run: AppRun) -> None:
    assert [one.state for one in run.operations] == ["finished"] * 5 + ["failed"] * 2 + ["finished"] * 3 + ["cancelled", "finished"]
    assert [one.user for one in run.operations] == ["ann"] * 10 + ["bob"] * 2
    assert [one.rows for one in run.operations[:4]] == [1, 7, 0, 10]
    assert run.operations[1].job_ids == (1, 2, 3, 4)
    assert run.operations[1].sql_ids == (1,)
    # Every job and every execution of this server belongs to a request.
    assert sorted(job for one in run.operations for job in one.job_ids) == run.jobs.job_id.tolist()
    assert sorted(sql for one in run.operations for sql in one.sql_ids) == [one.sql_id for one in run.sql]
    for one in run.operations:
        assert run.started_ms < one.started_ms <= one.analysed_ms <= one.ended_ms <= one.closed_ms < run.ended_ms
    failed = [one.error or "" for one in run.operations if one.state == "failed"]
    assert [error.split("]")[0] for error in failed] == ["INTERNAL: [USER_RAISED_EXCEPTION", "INTERNAL: [UNRESOLVED_COLUMN.WITH_SUGGESTION"]
    assert [(one.user, one.closed_ms > one.started_ms) for one in run.sessions] == [("ann", True), ("bob", True)]
    assert "hunter2secret" not in repr(run.operations)
    assert set(run.quality.unknown_events) == {f"org.apache.spark.sql.catalyst.catalog.CreateTable{word}" for word in ("PreEvent", "Event")}


def test_the_report_shows_what_ended_badly_first(run: AppRun) -> None:
    facts = connect_facts(run)
    assert facts is not None
    assert {key: value for key, value in facts.items() if key != "shown"} == {
        "sessions": 2, "users": 2, "operations": 12, "finished": 9, "failed": 2, "cancelled": 1, "unfinished": 0,
    }  # fmt: skip
    assert [one["state"] for one in facts["shown"][:4]] == ["cancelled", "failed", "failed", "finished"]
    assert all(len(one["statement"]) <= 200 for one in facts["shown"])


def test_the_tables_keep_them(run: AppRun, tmp_path: Path) -> None:
    write_tables(run, tmp_path / "t")
    again = read_tables(tmp_path / "t")
    assert (again.operations, again.sessions, again.processes) == (run.operations, run.sessions, run.processes)


@pytest.mark.parametrize(
    ("words", "state", "ended"),
    [
        pytest.param([], "started", MISSING, id="nothing more"),
        pytest.param(["Analyzed"], "analysed", MISSING, id="analysed"),
        pytest.param(["Analyzed", "ReadyForExecution"], "ready", MISSING, id="ready"),
        pytest.param(["Finished", "Closed"], "finished", 3_000, id="finished"),
        pytest.param(["Canceled", "Failed", "Closed"], "cancelled", 3_000, id="cancelled, and failed of that"),
        pytest.param(["Failed", "Analyzed"], "failed", 3_000, id="out of order"),
        pytest.param(["Closed"], "started", MISSING, id="closed without an end"),
    ],
)
def test_states(tmp_path: Path, words: list[str], state: str, ended: int) -> None:
    (one,) = read(tmp_path, started(), *(step(word) for word in words)).operations
    assert (one.state, one.ended_ms) == (state, ended)


def test_an_end_whose_start_is_lost(tmp_path: Path) -> None:
    (one,) = read(tmp_path, step("Failed", errorMessage="broken")).operations
    assert (one.operation_id, one.state, one.started_ms, one.error) == ("op-1", "failed", MISSING, "broken")


def test_jobs_by_tag_and_executions_by_their_jobs(tmp_path: Path) -> None:
    job = {"Event": "SparkListenerJobStart", "Job ID": 7, "Submission Time": 2_500, "Stage Infos": [], "Stage IDs": []}
    run = read(tmp_path, started(), started(2), job | {"Properties": {"spark.job.tags": "other,tag-1", "spark.sql.execution.id": "3"}})
    assert [(one.job_ids, one.sql_ids) for one in run.operations] == [((7,), (3,)), ((), ())]


@pytest.mark.parametrize("at", [-5, 0, 1 << 62, (1 << 63) - 1, 1 << 70])
def test_absurd_times_give_no_negative_durations(tmp_path: Path, at: int) -> None:
    run = read(tmp_path, started(eventTime=at), step("Finished", eventTime=-at), step("Closed", eventTime=1))
    facts = connect_facts(run)
    assert facts is not None
    assert (facts["shown"][0]["duration_ms"] or 0) >= 0
    assert run.ended_ms == 100_000


@pytest.mark.parametrize("given", [{"eventTime": "soon"}, {"statementText": 7}, {"userId": ["ann"]}, {"jobTag": None}])
def test_wrong_types_are_counted(tmp_path: Path, given: dict[str, Any]) -> None:
    run = read(tmp_path, started(**given), started(2))
    assert run.quality.bad_lines == 1
    assert [one.operation_id for one in run.operations] == ["op-2"]


def test_secrets_are_masked_where_they_stand_and_where_they_are_cut(tmp_path: Path) -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9." + "A" * 3_000 + "." + "b" * 40
    run = read(
        tmp_path,
        started(statementText="x" * (build_connect.MAX_SHOWN - 30) + " " + secret),
        step("Failed", errorMessage="could not open jdbc:postgresql://h/db?user=a&password=hunter2secret"),
    )
    (one,) = run.operations
    assert len(one.statement) <= build_connect.MAX_SHOWN
    assert "eyJ" not in one.statement
    assert "hunter2secret" not in repr(run.operations)


def test_there_is_room_for_so_many_and_the_rest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_connect, "MAX_OPERATIONS", 10)
    run = read(tmp_path, *(event for n in range(25) for event in (started(n), step("Finished", n))))
    assert len(run.operations) == 10
    assert any("15 Spark Connect operations beyond" in issue for issue in run.quality.issues)


def test_time_and_memory_do_not_follow_what_a_log_claims(tmp_path: Path) -> None:
    """Twenty operations of a megabyte each, one of ten thousand steps, a job of a hundred thousand tags: a second or two."""
    tags = ",".join(f"tag-{n}" for n in range(100_000))
    job = {
        "Event": "SparkListenerJobStart",
        "Job ID": 1,
        "Submission Time": 2_500,
        "Stage Infos": [],
        "Stage IDs": [],
        "Properties": {"spark.job.tags": tags},
    }
    begun = time.process_time()
    run = read(
        tmp_path, *(started(n, statementText="password = " * 100_000) for n in range(20)), *(step("Analyzed") for _ in range(10_000)), job, started("t" * 1_000_000)  # type: ignore[arg-type]
    )  # fmt: skip
    assert below(time.process_time() - begun, 20)
    assert all(len(one.statement) <= build_connect.MAX_SHOWN and len(one.operation_id) <= build_connect.MAX_SHOWN for one in run.operations)
    assert [one.job_ids for one in run.operations[:20]] == [(1,)] * 20
