"""Chat over HTTP: events, threads, what is not there, and one sanitiser for stream and history."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from spark_copilot.app.api import errors
from spark_copilot.app.api.chat import router
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.orchestration.ask import KnowledgePlace
from spark_copilot.orchestration.chat.threads import open_chat
from spark_copilot.orchestration.runs import FixedRuns
from tests.servers import ended

LOGS = Path(__file__).parents[2] / "data" / "laboratory"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("big-sort.zstd", "big-sort-room.zstd"):
        shutil.copy(LOGS / name, logs / name)
    with TestClient(create_app(Settings(home=tmp_path / "home"), logs), raise_server_exceptions=False) as client:
        yield client


def say(client: TestClient, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    response = client.post("/api/v1/chat", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    return [(block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks]


def test_a_conversation(client: TestClient) -> None:
    told = say(client, message="in big-sort which stage is the bottleneck?")
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "status"
    assert kinds[-1] == "done"
    assert {"token", "citation"} <= set(kinds)
    done = told[-1][1]
    assert "".join(data["text"] for kind, data in told if kind == "token") == done["answer"]
    thread = done["thread_id"]
    assert "Why: spilled" in say(client, message="why?", thread_id=thread)[-1][1]["answer"]
    kept = client.get(f"/api/v1/chat/threads/{thread}").json()
    assert [turn["question"] for turn in kept["items"]] == ["in big-sort which stage is the bottleneck?", "why?"]
    assert kept["items"][0]["answer"] == done["answer"]
    assert [t["thread_id"] for t in client.get("/api/v1/chat/threads").json()["items"]] == [thread]
    assert client.post(f"/api/v1/chat/threads/{thread}/stop").json() == {"stopped": False}
    assert client.delete(f"/api/v1/chat/threads/{thread}").status_code == 204
    assert client.get(f"/api/v1/chat/threads/{thread}").status_code == 404


def test_runs_can_be_chosen_and_compared(client: TestClient) -> None:
    ids = [run["id"] for run in client.get("/api/v1/applications").json()]
    done = say(client, message="compare the two runs", run_ids=ids)[-1][1]
    assert "The same, within noise" in done["answer"]
    assert sorted(done["run_ids"]) == sorted(ids)


def test_runs_are_chosen_by_the_ids_of_their_uploads(tmp_path: Path) -> None:
    with TestClient(create_app(Settings(home=tmp_path)), raise_server_exceptions=False) as client:
        ids = [
            client.post("/api/v1/event-logs", content=(LOGS / name).read_bytes()).json()["run_id"]
            for name in ("big-sort.zstd", "big-sort-room.zstd")
        ]
        applications = [ended(client, run_id)["application"]["id"] for run_id in ids]
        done = say(client, message="compare the two runs", run_ids=ids)[-1][1]
        assert "The same, within noise" in done["answer"]
        assert sorted(done["run_ids"]) == sorted(ids)
        # What was chosen holds for the next turn; a run of each kind of id goes as well.
        again = say(client, message="how long did it take?", run_ids=ids[:1])[-1][1]
        assert again["run_ids"] == ids[:1]
        assert "took" in say(client, message="and how long did it take?", thread_id=again["thread_id"])[-1][1]["answer"]
        mixed = say(client, message="compare the two runs", run_ids=[ids[0], applications[1]])[-1][1]
        assert "The same, within noise" in mixed["answer"]
        unknown = client.post("/api/v1/chat", json={"message": "x", "run_ids": [ids[0], "0" * 32]})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"message": ""}, 422),
        ({"message": "   "}, 400),
        ({"message": "x", "thread_id": "nope"}, 404),
        ({"message": "x", "thread_id": "../x"}, 422),
        ({"message": "x", "run_ids": ["../../etc/passwd"]}, 404),
        ({"message": "x", "path": "/etc/passwd"}, 422),
        ({"message": "x" * 5_000}, 422),
    ],
)
def test_what_does_not_fit_is_refused(client: TestClient, body: dict[str, Any], status: int) -> None:
    response = client.post("/api/v1/chat", json=body)
    assert response.status_code == status
    assert response.json()["code"]


def test_ask_answers_about_a_served_run(client: TestClient) -> None:
    run_id = client.get("/api/v1/applications").json()[0]["id"]
    answer = client.post("/api/v1/ask", json={"question": "how long did it take", "run_id": run_id}).json()["answer"]
    assert "took" in answer
    assert client.post("/api/v1/ask", json={"question": "x", "run_id": "no"}).status_code == 404


def test_a_server_without_logs_answers_in_general(tmp_path: Path) -> None:
    client = TestClient(create_app(Settings(home=tmp_path)))
    assert say(client, message="why do executors run out of memory?")[-1][1]["citations"]


def test_every_caller_has_conversations_of_their_own(tmp_path: Path) -> None:
    def caller(request: Request) -> str:
        return request.headers["x-caller"]

    chat = open_chat(FixedRuns([]), KnowledgePlace(tmp_path))
    app = FastAPI()
    errors.install(app)
    app.include_router(router(lambda: chat, caller))
    client = TestClient(app)
    ann, bob = {"x-caller": "ann"}, {"x-caller": "bob"}
    body = client.post("/api/v1/chat", json={"message": "what is a shuffle?"}, headers=ann).text
    thread = json.loads(body.strip().rpartition("data: ")[2])["thread_id"]
    assert len(client.get("/api/v1/chat/threads", headers=ann).json()["items"]) == 1
    assert client.get("/api/v1/chat/threads", headers=bob).json()["items"] == []
    for method, path in (("GET", ""), ("DELETE", "")):
        assert client.request(method, f"/api/v1/chat/threads/{thread}{path}", headers=bob).status_code == 404
    assert client.post("/api/v1/chat", json={"message": "why?", "thread_id": thread}, headers=bob).status_code == 404
    assert client.post(f"/api/v1/chat/threads/{thread}/stop", headers=bob).json() == {"stopped": False}
    chat.close()
