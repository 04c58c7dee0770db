"""What a client of the History Server relies on beside the figures: paging, orders, filters, errors, downloads."""

import io
import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from spark_copilot.app.api.monitoring import store as store_module
from spark_copilot.connectors.eventlog import read_run
from tests.app.api.monitoring.test_parity import client

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "eventlogs" / "codec-sample"
APP = read_run(SAMPLE).app.id
BASE = f"/api/v1/applications/{APP}"


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A server over a folder with the sample in it."""
    monkeypatch.setattr(store_module, "RESCAN_SECONDS", 0.0)
    folder = tmp_path / "logs"
    folder.mkdir()
    shutil.copy(SAMPLE, folder / "app")
    return client(folder)


def test_processes_that_are_no_executors(tmp_path: Path) -> None:
    event = {
        "Event": "org.apache.spark.scheduler.SparkListenerMiscellaneousProcessAdded", "time": 1_700_000_000_123, "processId": "yarn-am",
        "info": {"hostPort": "host1:8042", "cores": 1, "logUrlInfo": {"stdout": "http://host1:8042/stdout"}},
    }  # fmt: skip
    (tmp_path / "log").write_bytes(SAMPLE.read_bytes() + json.dumps(event).encode() + b"\n")
    assert client(tmp_path).get(f"{BASE}/allmiscellaneousprocess").json() == [
        {
            "id": "yarn-am",
            "hostPort": "host1:8042",
            "isActive": True,
            "totalCores": 1,
            "addTime": "2023-11-14T22:13:20.123GMT",
            "processLogs": {"stdout": "http://host1:8042/stdout"},
        }
    ]


def test_no_duration_is_negative_where_the_driver_has_a_clock_ahead_of_ours(tmp_path: Path) -> None:
    later = int(time.time() * 1000) + 86_400_000 - read_run(SAMPLE).started_ms
    lines = [
        line for line in SAMPLE.read_bytes().splitlines(keepends=True) if b"ApplicationEnd" not in line and b"ExecutionEnd" not in line
    ]
    ahead = re.sub(rb'(?<=":)1\d{12}\b', lambda found: b"%d" % (int(found[0]) + later), b"".join(lines))
    (tmp_path / "log").write_bytes(ahead)
    server = client(tmp_path)
    assert [e["totalDuration"] for e in server.get(f"{BASE}/allexecutors").json() if e["id"] == "driver"] == [0]
    assert {e["duration"] for e in server.get(f"{BASE}/sql").json()} == {0}


def test_version(ask: TestClient) -> None:
    assert ask.get("/api/v1/version").json() == {"spark": "4.3.0"}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        pytest.param("/api/v1/applications/nope", 404, "unknown app: nope", id="application"),
        pytest.param("/api/v1/applications/nope/jobs", 404, "no such app: nope", id="jobs of no application"),
        pytest.param(f"{BASE}/7/jobs", 404, f"no such app: {APP}/7", id="attempt"),
        pytest.param(f"{BASE}/jobs/99", 404, "unknown job: 99", id="job"),
        pytest.param(f"{BASE}/stages/99", 404, "unknown stage: 99", id="stage"),
        pytest.param(f"{BASE}/stages/0/5", 404, "unknown attempt for stage 0.  Found attempts: [0]", id="stage attempt"),
        pytest.param(f"{BASE}/sql/99", 404, "unknown query execution id: 99", id="sql"),
        pytest.param(f"{BASE}/storage/rdd/5", 404, "no rdd found w/ id 5", id="rdd"),
        pytest.param(
            f"{BASE}/stages/0/0/taskSummary?quantiles=a",
            400,
            'Bad value for parameter "quantiles".  Expected a double, got "a"',
            id="quantiles",
        ),
        pytest.param(
            f"{BASE}/executors/driver/threads", 503, "Thread dumps not available through the history server.", id="threads of an executor"
        ),
        pytest.param(f"{BASE}/threads?taskId=0", 503, "Thread dumps not available through the history server.", id="threads of a task"),
        pytest.param("/api/v1/applications/nope/executors/1/threads", 404, "no such app: nope", id="threads of no application"),
        pytest.param(f"{BASE}/streaming/statistics", 404, "no streaming listener attached to codec sample", id="DStreams"),
        pytest.param(f"{BASE}/stages/first", 404, "HTTP 404 Not Found", id="no number in the path"),
        pytest.param(f"{BASE}/sql?length=few", 404, "HTTP 404 Not Found", id="no number in the query"),
        pytest.param("/api/v1/applications?minDate=soon", 400, "Couldn't parse date: soon", id="date"),
    ],
)
def test_errors_in_sparks_words(ask: TestClient, path: str, status: int, body: str) -> None:
    answer = ask.get(path)
    assert (answer.status_code, answer.text) == (status, body)
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 1),
        ("?status=completed", 1),
        ("?status=running", 0),
        ("?limit=0", 0),
        ("?minDate=2000-01-01", 1),
        ("?minDate=2100-01-01", 0),
        ("?maxDate=2000-01-01", 0),
        ("?maxEndDate=2100-01-01T00:00:00.000GMT", 1),
        ("?minEndDate=2100-01-01", 0),
    ],
)
def test_application_filters(ask: TestClient, query: str, found: int) -> None:
    assert len(ask.get(f"/api/v1/applications{query}").json()) == found


def test_jobs_and_stages_by_status(ask: TestClient) -> None:
    assert [job["jobId"] for job in ask.get(f"{BASE}/jobs?status=succeeded").json()] == [1, 0]
    assert ask.get(f"{BASE}/jobs?status=failed").json() == []
    stages = ask.get(f"{BASE}/stages").json()
    assert [s["stageId"] for s in stages] == sorted((s["stageId"] for s in stages), reverse=True)
    complete = ask.get(f"{BASE}/stages?status=complete").json()
    skipped = ask.get(f"{BASE}/stages?status=SKIPPED").json()
    assert len(complete) + len(skipped) == len(stages)
    assert [s["stageId"] for s in ask.get(f"{BASE}/stages?offset=1&length=1").json()] == [stages[1]["stageId"]]


def test_tasks_are_sorted_and_paged(ask: TestClient) -> None:
    def page(query: str) -> list[Any]:
        found: list[Any] = ask.get(f"{BASE}/stages/0/0/taskList{query}").json()
        return found

    every = page("")
    assert [t["taskId"] for t in every] == [0, 1]
    assert page("?offset=1&length=1") == every[1:]
    assert page("?sortBy=-runtime") == page("?sortBy=DECREASING_RUNTIME")
    assert page("?sortBy=runtime") == page("?sortBy=INCREASING_RUNTIME")
    slowest = page("?sortBy=DECREASING_RUNTIME")
    assert [t["duration"] for t in slowest] == sorted((t["duration"] for t in every), reverse=True)
    assert page("?status=failed") == []
    details = ask.get(f"{BASE}/stages/0/0").json()
    assert list(details["tasks"]) == ["0", "1"]
    assert details["tasks"]["0"] == every[0]
    assert details["executorSummary"]["driver"]["succeededTasks"] == 2


def test_task_summary_has_the_quantiles_asked_for(ask: TestClient) -> None:
    summary = ask.get(f"{BASE}/stages/0/0/taskSummary?quantiles=0.5,1.0").json()
    assert summary["quantiles"] == [0.5, 1.0]
    assert len(summary["shuffleReadMetrics"]["readBytes"]) == 2
    assert ask.get(f"{BASE}/stages/0/0/taskSummary").json()["quantiles"] == [0.05, 0.25, 0.5, 0.75, 0.95]


def test_sql_pages_and_parts(ask: TestClient) -> None:
    (one,) = ask.get(f"{BASE}/sql").json()
    assert one["planDescription"].startswith("== Physical Plan ==")
    assert one["nodes"]
    assert ask.get(f"{BASE}/sql/{one['id']}").json() == one
    assert ask.get(f"{BASE}/sql?offset=1").json() == []
    bare = ask.get(f"{BASE}/sql?details=false&planDescription=false").json()[0]
    assert (bare["nodes"], bare["edges"], bare["planDescription"]) == ([], [], "")


def test_environment_and_storage(ask: TestClient) -> None:
    environment = ask.get(f"{BASE}/environment").json()
    assert ["spark.app.name", "codec sample"] in environment["sparkProperties"]
    assert environment["sparkProperties"] == sorted(environment["sparkProperties"])
    assert environment["resourceProfiles"][0]["taskResources"]["cpus"]["amount"] == 1.0
    assert ask.get(f"{BASE}/storage/rdd").json() == []


def test_logs_come_as_a_zip(ask: TestClient) -> None:
    answer = ask.get(f"{BASE}/logs")
    assert answer.headers["content-type"] == "application/octet-stream"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["app"]
        assert archive.read("app") == SAMPLE.read_bytes()


def test_new_and_grown_logs_appear_and_broken_ones_spoil_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "RESCAN_SECONDS", 0.0)
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    (tmp_path / "driver.log").write_text("no log\n" * 50_000)
    (tmp_path / "junk.zstd").write_bytes(b"\x28\xb5\x2f\xfd junk")
    ask = client(tmp_path)
    assert ask.get("/api/v1/applications").json() == []
    (tmp_path / "app.inprogress").write_bytes(b"".join(lines[:-1]))
    (running,) = ask.get("/api/v1/applications").json()
    assert running["attempts"][0] | {"completed": False, "duration": 0, "endTimeEpoch": -1} == running["attempts"][0]
    assert running["attempts"][0]["endTime"] == "1969-12-31T23:59:59.999GMT"
    assert len(ask.get(f"{BASE}/jobs").json()) == 2
    (tmp_path / "app.inprogress").write_bytes(b"".join(lines))
    os.utime(tmp_path / "app.inprogress", (time.time() + 5, time.time() + 5))
    assert ask.get("/api/v1/applications").json()[0]["attempts"][0]["completed"] is False  # Spark renames what is done
    (tmp_path / "app.inprogress").rename(tmp_path / "app")
    assert ask.get("/api/v1/applications").json()[0]["attempts"][0]["completed"] is True
    (tmp_path / "app").unlink()
    assert ask.get("/api/v1/applications").json() == []


def test_the_attempt_id_may_be_named(tmp_path: Path) -> None:
    text = SAMPLE.read_bytes()
    for attempt in (b"1", b"2"):
        (tmp_path / f"app_{attempt.decode()}").write_bytes(text.replace(b'"User":', b'"App Attempt ID":"' + attempt + b'","User":', 1))
    ask = client(tmp_path)
    assert sorted(a["attemptId"] for a in ask.get(BASE).json()["attempts"]) == ["1", "2"]
    assert ask.get(f"{BASE}/2").json()["attemptId"] == "2"
    assert len(ask.get(f"{BASE}/1/jobs").json()) == 2


def test_broken_logs_never_end_in_a_server_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "RESCAN_SECONDS", 0.0)
    random, data = np.random.default_rng(3), SAMPLE.read_bytes()
    lines = data.splitlines(keepends=True)
    ask = client(tmp_path)
    for round_ in range(25):
        kept = [line for line in lines if random.random() > 0.15 or b"ApplicationStart" in line]
        random.shuffle(kept)
        broken = bytearray(b"".join(kept))
        for at in random.integers(0, len(broken), size=30):
            broken[at] = int(random.integers(32, 127))
        (tmp_path / "log").write_bytes(broken)
        os.utime(tmp_path / "log", (round_ + 10, round_ + 10))
        for app in ask.get("/api/v1/applications").json():
            for path in ("jobs", "stages?withSummaries=true&details=true", "allexecutors", "sql", "environment"):
                answer = ask.get(f"/api/v1/applications/{app['id']}/{path}")
                assert answer.status_code in (200, 404), answer.text
