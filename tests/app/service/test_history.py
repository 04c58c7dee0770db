"""A job's runs, uploaded one after the other: the service learns from those that started before."""

import json
from typing import Any

from starlette.testclient import TestClient

from tests.servers import ended


def log_of(day: int, tasks: int, task_ms: int = 2_000) -> bytes:
    """A log of one job whose input is a megabyte a task."""
    start = 1_760_000_000_000 + day * 86_400_000
    free = [start + 1_000] * 2
    events: list[dict[str, Any]] = [
        {"Event": "SparkListenerLogStart", "Spark Version": "3.5.1"},
        {"Event": "SparkListenerApplicationStart", "App Name": f"nightly {day}", "App ID": f"app-{day}", "Timestamp": start, "User": "u"},
        {"Event": "SparkListenerEnvironmentUpdate", "Spark Properties": {"spark.master": "local[2]"}},
    ]
    stage = {
        "Stage ID": 0,
        "Stage Attempt ID": 0,
        "Stage Name": "count at job.py:1",
        "Number of Tasks": tasks,
        "Submission Time": start + 1_000,
    }
    events.append(
        {"Event": "SparkListenerJobStart", "Job ID": 0, "Submission Time": start + 1_000, "Stage IDs": [0], "Stage Infos": [stage]}
    )
    for i in range(tasks):
        slot = i % 2
        begin, free[slot] = free[slot], free[slot] + task_ms + 11 * (day % 3)
        info = {
            "Task ID": i, "Index": i, "Attempt": 0, "Launch Time": begin, "Finish Time": free[slot], "Executor ID": "driver", "Host": "h", "Locality": "ANY",
        }  # fmt: skip
        metrics = {"Executor Run Time": free[slot] - begin, "Input Metrics": {"Bytes Read": 1 << 20, "Records Read": 10}}
        reason = {"Reason": "Success"}
        events.append(
            {
                "Event": "SparkListenerTaskEnd",
                "Stage ID": 0,
                "Stage Attempt ID": 0,
                "Task End Reason": reason,
                "Task Info": info,
                "Task Metrics": metrics,
            }
        )
    end = max(free)
    events += [
        {"Event": "SparkListenerStageCompleted", "Stage Info": {**stage, "Completion Time": end}},
        {"Event": "SparkListenerJobEnd", "Job ID": 0, "Completion Time": end, "Job Result": {"Result": "JobSucceeded"}},
        {"Event": "SparkListenerApplicationEnd", "Timestamp": end + 100},
    ]
    return "\n".join(map(json.dumps, events)).encode() + b"\n"


def report(client: TestClient, log: bytes) -> dict[str, Any]:
    run_id = client.post("/api/v1/event-logs", content=log).json()["run_id"]
    assert ended(client, run_id)["status"] == "done"
    found: dict[str, Any] = client.get(f"/api/v1/runs/{run_id}/report").json()
    return found


def test_the_service_learns_from_the_runs_it_has_seen(client: TestClient) -> None:
    seen = [report(client, log_of(day, 6 + 2 * day))["prediction"] for day in range(1, 7)]
    assert seen[:3] == [None, None, None]
    assert [one["runs_used"] for one in seen[3:]] == [3, 4, 5]
    slow = report(client, log_of(10, 12, 4_000))["prediction"]
    assert slow["runs_used"] == 6
    assert "slower than its input explains, beyond the noise of the last 6 runs" in slow["drift"]
    assert report(client, log_of(0, 8))["prediction"] is None, "the others started later"
