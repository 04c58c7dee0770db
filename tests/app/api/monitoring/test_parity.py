"""Every field that a real History Server 4.3.0 answered for the shared logs, asked of ours."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from spark_copilot.app.api.monitoring import HistoryStore, monitoring_router

IGNORED = {"lastUpdated", "lastUpdatedEpoch", "logSourceName", "logSourceFullPath"}


def client(folder: Path) -> TestClient:
    """An in-process client of a server over this directory."""
    app = FastAPI()
    app.include_router(monitoring_router(HistoryStore(folder)), prefix="/api/v1")
    return TestClient(app)


def differences(want: Any, got: Any, path: str) -> Iterator[str]:
    """Places where the two differ, with both values."""
    if isinstance(want, dict):
        for key, value in want.items():
            if key not in IGNORED:
                there = isinstance(got, dict) and key in got
                if there or value is not None:
                    yield from differences(value, got[key], f"{path}.{key}") if there else [f"{path}.{key} is absent"]
    elif isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            yield f"{path} has {len(want)} items, here {got if not isinstance(got, list) else len(got)}"
        else:
            for index, value in enumerate(want):
                yield from differences(value, got[index], f"{path}[{index}]")
    elif want != got and not (isinstance(want, float) and abs(want - got) <= 1e-9 * max(1, abs(want))):
        yield f"{path}: {str(want)[:80]!r}, here {str(got)[:80]!r}"


def attempt_of(log: str, application: Any) -> Any:
    """The attempt that one log holds, by the number in its name."""
    found = re.search(r"attempt_(\d+)|application_\d+_\d+_(\d+)", log)
    number = found and (found[1] or found[2])
    return next((a for a in application["attempts"] if a.get("attemptId") == number), application["attempts"][0])


def recorded(folder: Path) -> Iterator[tuple[str, Any]]:
    """Log name and what the History Server said of it."""
    index: dict[str, str | None] = json.loads((folder.parent / "index.json").read_text())
    for log, answer in index.items():
        if answer:
            yield log, json.loads(gzip.decompress((folder.parent / "history_server" / Path(answer).name).read_bytes()))


def counted_to_now(line: str) -> bool:
    """Durations and ends of what still runs grow with the clock."""
    return re.search(r"\.(duration|endTime|endTimeEpoch|totalDuration):", line) is not None


def test_every_recorded_field(shared_logs: Path, tmp_path: Path) -> None:
    for number, (log, want) in enumerate(recorded(shared_logs)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / log).symlink_to(shared_logs / log)
        ask = client(folder)
        application = want["application"]
        attempt = attempt_of(log, application)
        base = f"/api/v1/applications/{application['id']}"
        whole = ask.get(base).json()
        path = base + (f"/{attempt['attemptId']}" if "attemptId" in attempt else "")
        calls = {
            "jobs": "/jobs",
            "stages": "/stages?withSummaries=true&quantiles=0.0,0.25,0.5,0.75,1.0",
            "executors": "/allexecutors",
            "sql": "/sql?details=true&planDescription=false&length=10000",
        }
        found = list(differences({**application, "attempts": [attempt]}, whole, "application"))
        for part, query in calls.items():
            found += differences(want[part], ask.get(path + query).json(), part)
        if not all(a["completed"] for a in application["attempts"]):
            found = [line for line in found if not counted_to_now(line)]
        assert not found, f"{log}: {found[:5]} and {len(found)} in all"


@pytest.mark.parametrize("slow", [False, True])
def test_a_listed_stage_and_the_stage_alone_are_the_same(shared_logs: Path, tmp_path: Path, slow: bool) -> None:
    log = "spark-events__local-1776286786993.zstd"
    (tmp_path / log).symlink_to(shared_logs / log)
    ask, base = client(tmp_path), "/api/v1/applications/local-1776286786993"
    for stage in ask.get(f"{base}/stages?withSummaries={str(slow).lower()}").json():
        where = f"{base}/stages/{stage['stageId']}/{stage['attemptId']}?details=false&withSummaries={str(slow).lower()}"
        assert ask.get(where).json() == stage
