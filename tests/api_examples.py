"""The examples of the OpenAPI document: `python -m tests.api_examples` asks a real server and writes down, shortened, what was sent and what it answered."""

import json
import re
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from tests.servers import ended

SAMPLES = files("spark_copilot.app") / "samples"
TARGET = Path(__file__).resolve().parent.parent / "app" / "api" / "examples.json"
MOST_ITEMS = 1
MOST_CHARACTERS = 300
TABLE = {
    "size_bytes": 2_000_000_000_000, "rows": 4_000_000_000, "columns": [{"name": "day", "distinct": 730}, {"name": "user_id", "distinct": 90_000_000}],
    "filters": ["day"], "cluster": {"executors": 20, "cores_per_executor": 4},
}  # fmt: skip
BODIES: dict[str, Any] = {
    "POST /api/v1/analyze/job": {"run_id": "{run_id}"},
    "POST /api/v1/analyze/partition": TABLE,
    "POST /api/v1/ask": {"question": "which stage is the slowest, and why?", "run_id": "{run_id}"},
    "POST /api/v1/chat": {"message": "and what would it save?", "thread_id": "{thread_id}", "run_ids": ["{app_id}"]},
    "POST /api/v1/compare": {"baseline": "{run_id}", "candidate": "{other_id}"},
    "POST /api/v1/event-logs/import": {
        "url": "https://history.example.com:18480",
        "application": "application_1718000000000_0042",
        "attempt": "1",
    },
    "POST /api/v1/gate": {"files": {"spark-defaults.conf": "spark.executors.memory 8g"}, "spark_version": "3.5"},
    "POST /api/v1/runs/{run_id}/findings/{key}/feedback": {"verdict": "useful", "note": "salting took seven minutes off"},
    "POST /api/v1/runs/{run_id}/whatif": {"executors": [1, 2, 4]},
    "POST /graphql": {"query": "{ findings(first: 1) { items { key severity wallSavingMs run { filename application { name } } } next } }"},
    "PUT /api/v1/mutes/{fingerprint}": {"reason": "known, waits for the new keys"},
}
QUERIES = {"GET /api/v1/search": {"q": "data skew", "k": "1"}, "GET /api/v1/runs": {"status": "done", "limit": "1"}}
LAST = ("DELETE", "PATCH", "HEAD")
"""Answers without a body, or of what would be gone for the others: their parameters alone."""


def record() -> dict[str, Any]:
    """Method and path -> parameters, request and responses by status and media type."""
    with tempfile.TemporaryDirectory() as home, TestClient(create_app(Settings(home=Path(home), answer_within_seconds=60))) as client:
        ids = _things(client)
        document = client.get("/openapi.json").json()
        found = {}
        for path, item in document["paths"].items():
            for method in item if "{attempt_id}/" not in path else ():  # the same as without the attempt's id
                found[f"{method.upper()} {path}"] = _one(client, method.upper(), path, ids)
        return _settled(found, ids)


def _things(client: TestClient) -> dict[str, str]:
    runs = [
        client.post("/api/v1/event-logs", content=(SAMPLES / f"{name}.zstd").read_bytes()).json() for name in ("skewed-join", "slow-driver")
    ]
    first = ended(client, runs[0]["run_id"])
    ended(client, runs[1]["run_id"])
    finding = client.get(f"/api/v1/runs/{first['run_id']}/findings").json()["items"][0]
    thread = client.post("/api/v1/chat", json={"message": "what is wrong?"}).text
    return {
        "run_id": first["run_id"], "other_id": runs[1]["run_id"], "app_id": first["application"]["id"], "key": finding["key"],
        "fingerprint": finding["fingerprint"], "thread_id": json.loads(thread.rpartition("data: ")[2])["thread_id"],
        "upload_id": client.post("/api/v1/uploads", headers={"Upload-Length": "100"}).headers["location"].rpartition("/")[2],
        "attempt_id": "1", "job_id": "0", "stage_id": "0", "stage_attempt": "0", "execution_id": "0", "rdd_id": "0", "executor_id": "driver",
    }  # fmt: skip


def _one(client: TestClient, method: str, path: str, ids: dict[str, str]) -> dict[str, Any]:
    name = f"{method} {path}"
    query = QUERIES.get(name, {})
    found: dict[str, Any] = {"parameters": {one: ids[one] for one in re.findall(r"{(\w+)", path)} | query}
    body = BODIES.get(name)
    if body is not None:
        body = json.loads(re.sub(r"{(\w+)}", lambda m: ids[m[1]], json.dumps(body)))
        found["request"] = {"application/json": body}
    if method in LAST or path.endswith(
        ("/cancel", "/event-logs", "/import", "/uploads", "/logs", "/{rdd_id}", "}/threads", "/statistics", "/receivers", "/batches")
    ):
        if path.endswith(("/cancel", "/event-logs", "/import")):
            answer = client.get(f"/api/v1/runs/{ids['run_id']}").json()
            answer = {k: v for k, v in answer.items() if k in ("run_id", "filename", "size_bytes", "content_hash", "created_ms")}
            state = "cancelled" if path.endswith("/cancel") else "queued"
            answer |= {"status": state, "progress": {"stage": state, "share": 0.0}}
            found["responses"] = {"200" if state == "cancelled" else "202": {"application/json": answer}}
        return found
    address = re.sub(r"{(\w+)(:path)?}", lambda m: quote(ids[m[1]], safe=""), path)
    if path.endswith("/{attempt_id}"):  # the sample has no attempts: its own description is one
        address = address.removesuffix("/1")
    sent = client.request(method, address, json=body, params=query)
    kind = sent.headers.get("content-type", "").partition(";")[0]
    assert sent.status_code == 200, (name, sent.status_code, sent.text)
    if path.endswith("/{attempt_id}"):
        shown: Any = sent.json()["attempts"][0]
    else:
        shown = sent.json() if kind == "application/json" else sent.text
    found["responses"] = {"200": {kind: _short(shown, kind)}}
    return found


def _short(value: Any, kind: str = "") -> Any:
    if kind == "text/event-stream":
        return value[: value.index("\n\n") + 2]
    if isinstance(value, list):
        return [_short(one) for one in value[:MOST_ITEMS]]
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    return value[:MOST_CHARACTERS] if isinstance(value, str) else value


def _settled(found: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """With the same ids and times whenever it is made."""
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    for number, name in enumerate(("run_id", "other_id", "upload_id", "thread_id")):
        text = text.replace(ids[name], f"{number + 1:02x}" * (len(ids[name]) // 2))
    text = re.sub(r'("(?:created|started|finished|at|seen|used|updated|lastUpdatedEpoch)_?(?:ms)?"): \d{13}', r"\1: 1795500000000", text)
    text = re.sub(r'("lastUpdated"): "[^"]*"', r'\1: "2026-11-24T06:00:00.000GMT"', text)
    text = re.sub(r'("updated"): "[^"]*"', r'\1: "2026-11-24T06:00:00.000000+00:00"', text)
    text = re.sub(r'("next"): "[^"]*"', r'\1: "WzE3OTU1MDAwMDAwMDAsICIwMTAxIl0"', text)
    settled: dict[str, Any] = json.loads(text)
    return settled


if __name__ == "__main__":
    TARGET.write_text(json.dumps(record(), indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
