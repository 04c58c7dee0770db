"""Logs with block updates and exclusions: storage, executors and stages as a real History Server 4.3.0 answered them.

`tests/data/blocks` holds two runs of Spark 4.2 with `spark.eventLog.logBlockUpdates.enabled` (one local with off-heap, disk and dropped caches, one on three
executors with replicas and executors excluded from a stage that never ended) and the recorded answers.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from spark_copilot.connectors.eventlog import raw_lines, read_run
from spark_copilot.connectors.run_tables import read_tables, write_tables
from tests.app.api.monitoring.test_parity import client, differences

BLOCKS = Path(__file__).resolve().parents[3] / "data" / "blocks"
ANSWERS: dict[str, Any] = json.loads((BLOCKS / "history-server.json").read_text(encoding="utf-8"))
APPLICATIONS = [name for name in ANSWERS if "/" not in name]


@pytest.fixture(scope="module")
def server() -> TestClient:
    """Ours over both logs."""
    return client(BLOCKS)


@pytest.mark.parametrize("app", APPLICATIONS)
@pytest.mark.parametrize("call", ["/storage/rdd", "/allexecutors"])
def test_storage_and_executors(server: TestClient, app: str, call: str) -> None:
    got = server.get(f"/api/v1/applications/{app}{call}").json()
    assert list(differences(ANSWERS[app + call], got, call)) == []


@pytest.mark.parametrize("app", APPLICATIONS)
def test_executors_excluded_from_a_stage(server: TestClient, app: str) -> None:
    stages = server.get(f"/api/v1/applications/{app}/stages?details=true").json()
    got = {
        f"{s['stageId']}.{s['attemptId']}": {name: one["isExcludedForStage"] for name, one in s.get("executorSummary", {}).items()}
        for s in stages
    }
    assert got == ANSWERS[app + "/stages"]


@pytest.mark.parametrize("app", APPLICATIONS)
def test_a_log_that_is_named_in_progress_is_not_complete(server: TestClient, app: str) -> None:
    assert server.get(f"/api/v1/applications/{app}").json()["attempts"][0]["completed"] is ANSWERS[app]


@pytest.mark.parametrize("app", APPLICATIONS)
def test_one_rdd_is_the_one_of_the_list(server: TestClient, app: str) -> None:
    url = f"/api/v1/applications/{app}/storage/rdd"
    for rdd in server.get(url).json():
        assert server.get(f"{url}/{rdd['id']}").json() == rdd
    assert server.get(f"{url}/9999").status_code == 404


def test_caches_survive_the_run_tables(tmp_path: Path) -> None:
    run = read_run(next(BLOCKS.glob("local-*")))
    write_tables(run, tmp_path / "run")
    again = read_tables(tmp_path / "run")
    assert len(run.cached) == 4
    assert (again.cached, again.executors.storage) == (run.cached, run.executors.storage)


def test_absurd_sizes_of_blocks_end_in_no_error(tmp_path: Path) -> None:
    lines = raw_lines(next(BLOCKS.glob("local-*")))
    log = tmp_path / "log"
    log.write_bytes(
        b"\n".join(re.sub(rb'"(Memory Size|Maximum Memory|Maximum Onheap Memory)":\d+', rb'"\1":' + b"9" * 30, line) for line in lines)
    )
    run = read_run(log)
    assert run.cached
    write_tables(run, tmp_path / "run")
    assert read_tables(tmp_path / "run").cached == run.cached
    storage = client(tmp_path).get(f"/api/v1/applications/{run.app.id}/storage/rdd").json()
    assert all(0 <= rdd["memoryUsed"] < 1 << 60 for rdd in storage)
