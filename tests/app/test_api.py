"""The API in process: a log in, the same report out as on the command line, and problems as documents."""

from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.orchestration.analyse import analyze

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"


@pytest.fixture
def client() -> Iterator[TestClient]:
    # A busy machine answers late; what is asked here is what it answers.
    with TestClient(create_app(Settings(answer_within_seconds=120)), raise_server_exceptions=False) as client:
        yield client


def test_health(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "version": version("spark-intelligence-copilot")}


def test_docs_are_served(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    assert "/api/v1/analyze/job" in client.get("/openapi.json").json()["paths"]


def test_the_api_and_the_library_agree(client: TestClient) -> None:
    answer = client.post("/api/v1/analyze/job", content=SAMPLE.read_bytes())
    assert answer.status_code == 200
    assert answer.text == analyze(str(SAMPLE)).model_dump_json(by_alias=True)


def test_a_form_with_a_file(client: TestClient) -> None:
    answer = client.post("/api/v1/analyze/job", files={"log": ("eventlog", SAMPLE.read_bytes())})
    assert answer.status_code == 200
    assert answer.json()["findings"]


@pytest.mark.parametrize(("body", "status", "code"), [(b"", 422, "not-an-event-log"), (b"hello\n" * 100, 422, "not-an-event-log")])
def test_refusals_are_problem_documents(client: TestClient, body: bytes, status: int, code: str) -> None:
    answer = client.post("/api/v1/analyze/job", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


def test_a_body_over_the_limit_is_refused() -> None:
    client = TestClient(create_app(Settings(max_upload_bytes=1_000)))
    answer = client.post("/api/v1/analyze/job", content=SAMPLE.read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (413, "limit-exceeded")


def test_unknown_paths_are_problem_documents(client: TestClient) -> None:
    answer = client.get("/api/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_search_and_ask(client: TestClient) -> None:
    found = client.get("/api/v1/search", params={"q": "exit code 137", "k": 3}).json()
    assert len(found["results"]) == 3
    assert list(found["results"][0]) == ["id", "title", "source", "score", "text"]
    answer = client.post("/api/v1/ask", json={"question": "what does exit code 137 mean?"}).json()
    assert "137" in answer["answer"]
    assert answer["citations"]
    assert client.post("/api/v1/ask", json={"question": "why?", "run_id": "app-1"}).status_code == 404


def test_the_gate(client: TestClient) -> None:
    answer = client.post("/api/v1/gate", json={"files": {"spark-defaults.conf": "spark.executors.memory 8g\n"}}).json()
    assert {"findings", "files", "suppressed", "summary"} <= set(answer)
    assert answer["findings"][0]["rule"] == "SG101"
    assert answer["summary"]["error"] == 1


def test_a_log_directory_makes_it_a_history_server(tmp_path: Path) -> None:
    (tmp_path / "app.zstd").write_bytes(SAMPLE.read_bytes())
    client = TestClient(create_app(log_dir=tmp_path))
    application = client.get("/api/v1/applications").json()[0]
    assert application["name"] == "skewed-join"
    assert len(client.get(f"/api/v1/applications/{application['id']}/stages").json()) == 3
    answer = client.post("/api/v1/ask", json={"question": "what should I change first?", "run_id": application["id"]}).json()
    assert answer["findings"]


def test_a_table_is_laid_out_from_its_size(client: TestClient) -> None:
    asked = {
        "size_bytes": 2 << 40,
        "rows": 9_000_000_000,
        "columns": [{"name": "day", "distinct": 730}, {"name": "user_id", "distinct": 40_000_000}],
        "filters": ["day >= date'2026-01-01'"],
        "cluster": {"executors": 20, "cores_per_executor": 4},
    }
    answer = client.post("/api/v1/analyze/partition", json=asked).json()
    assert list(answer) == ["partition_by", "avoid", "target_file_bytes", "input_partitions", "shuffle_partitions", "because"]
    assert answer["partition_by"] == ["day"]
    assert answer["avoid"] == ["user_id"]
    refused = client.post("/api/v1/analyze/partition", json={"table": "events", "cluster": asked["cluster"]})
    assert refused.status_code == 422
    assert "size" in refused.json()["detail"]
