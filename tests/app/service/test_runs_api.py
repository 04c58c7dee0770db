"""From an uploaded log to everything that is known of it, over the API."""

import json
from importlib.resources import files
from typing import Any

import pytest
from starlette.testclient import TestClient

from spark_copilot.orchestration.analyse import analyze
from tests.servers import ended

SAMPLES = files("spark_copilot.app") / "samples"
SKEWED = SAMPLES / "skewed-join.zstd"


def upload(client: TestClient, body: bytes, **query: str) -> dict[str, Any]:
    answer = client.post("/api/v1/event-logs", content=body, params=query)
    assert answer.status_code == 202
    run: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{run['run_id']}"
    return run


@pytest.fixture(scope="module")
def run_id(client: TestClient) -> str:
    run = upload(client, SKEWED.read_bytes(), filename="skewed-join.zstd")
    assert ended(client, run["run_id"])["status"] == "done"
    return str(run["run_id"])


def test_the_run(client: TestClient, run_id: str) -> None:
    run = client.get(f"/api/v1/runs/{run_id}").json()
    assert run["progress"] == {"stage": "done", "share": 1.0}
    assert run["application"]["name"] == "skewed-join"
    assert run["filename"] == "skewed-join.zstd"
    assert "error" not in run


def test_the_report_is_the_command_lines(client: TestClient, run_id: str) -> None:
    answer = client.get(f"/api/v1/runs/{run_id}/report")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == analyze(str(SKEWED)).model_dump_json(by_alias=True)
    again = client.get(f"/api/v1/runs/{run_id}/report", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(("form", "kind", "start"), [("md", "text/markdown", "# skewed-join"), ("html", "text/html", "<!doctype html>")])
def test_other_forms_of_the_report(client: TestClient, run_id: str, form: str, kind: str, start: str) -> None:
    answer = client.get(f"/api/v1/runs/{run_id}/report", params={"format": form})
    assert answer.headers["content-type"].startswith(kind)
    assert answer.text.startswith(start)


def test_o6_events_are_numbered_and_can_be_taken_up_again(client: TestClient, run_id: str) -> None:
    def events(**headers: str) -> list[tuple[int, str]]:
        blocks = client.get(f"/api/v1/runs/{run_id}/events", headers=headers).text.strip().split("\n\n")
        lines = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
        return [(int(one["id"]), one["event"]) for one in lines if "id" in one]

    every = events()
    assert [number for number, _ in every] == list(range(1, len(every) + 1))
    assert [name for _, name in every][:2] == ["queued", "running"]
    assert every[-1][1] == "done"
    assert "parsed" in dict(every).values() or "parsed" in [name for _, name in every]
    assert events(**{"Last-Event-ID": str(len(every) - 1)}) == every[-1:]


def test_findings_feedback_and_mutes(client: TestClient, run_id: str) -> None:
    def listed(**query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = client.get(f"/api/v1/runs/{run_id}/findings", params=query).json()["items"]
        return items

    (finding,) = listed()
    assert (finding["muted"], finding["feedback"]) == (False, None)
    path = f"/api/v1/runs/{run_id}/findings/{finding['key']}/feedback"
    assert client.post(path, json={"verdict": "useful", "note": "it was"}).json()["fingerprint"] == finding["fingerprint"]
    assert client.post(path, json={"verdict": "splendid"}).status_code == 422
    assert client.post(path.replace("data-skew", "no-such"), json={"verdict": "useful"}).status_code == 404
    assert listed()[0]["feedback"] == "useful"
    mute = f"/api/v1/mutes/{finding['fingerprint']}"
    assert client.put(mute, json={"reason": "known"}).json()["reason"] == "known"
    assert listed() == []
    assert [f["muted"] for f in listed(muted="include")] == [True]
    assert client.get(f"/api/v1/recommendations/{run_id}").json() == {"run_id": run_id, "items": [], "next": None}
    assert [m["fingerprint"] for m in client.get("/api/v1/mutes").json()["items"]] == [finding["fingerprint"]]
    assert client.delete(mute).status_code == 204
    assert client.delete(mute).status_code == 404
    assert len(listed()) == 1


def test_a_mute_holds_for_the_next_run_of_the_job(client: TestClient, run_id: str) -> None:
    finding = client.get(f"/api/v1/runs/{run_id}/findings").json()["items"][0]
    client.put(f"/api/v1/mutes/{finding['fingerprint']}")
    from backports import zstd

    later = upload(client, zstd.decompress(SKEWED.read_bytes()))  # other bytes, the same run
    assert later["run_id"] != run_id
    ended(client, later["run_id"])
    assert client.get(f"/api/v1/runs/{later['run_id']}/findings").json()["items"] == []
    client.delete(f"/api/v1/mutes/{finding['fingerprint']}")
    client.delete(f"/api/v1/runs/{later['run_id']}")


def test_plan_and_figures(client: TestClient, run_id: str) -> None:
    report = client.get(f"/api/v1/runs/{run_id}/report").json()
    assert client.get(f"/api/v1/recommendations/{run_id}").json() == {"run_id": run_id, "items": report["plan"], "next": None}
    figures = client.get(f"/api/v1/metrics/{run_id}").json()
    assert figures == {"run_id": run_id, "application": report["application"], "facts": report["facts"], "cost": report["cost"]}


def test_whatif_and_compare(client: TestClient, run_id: str) -> None:
    answer = client.post(f"/api/v1/runs/{run_id}/whatif", json={"executors": [1, 2]})
    assert [point["executors"] for point in answer.json()["points"]] == [1, 2]
    assert client.post(f"/api/v1/runs/{run_id}/whatif", json={"apply": ["x"]}).status_code == 400
    answer = client.post("/api/v1/compare", json={"baseline": run_id, "candidate": run_id})
    assert answer.json()["verdict"] == "same"
    assert client.post("/api/v1/compare", json={"baseline": run_id, "candidate": "0"}).status_code == 404


def test_analyze_job_takes_a_log_or_a_run(client: TestClient, run_id: str) -> None:
    report = client.get(f"/api/v1/runs/{run_id}/report").text
    answer = client.post("/api/v1/analyze/job", json={"run_id": run_id})
    assert (answer.status_code, answer.text) == (200, report)
    assert client.post("/api/v1/analyze/job", content=SKEWED.read_bytes()).text == report
    assert client.post("/api/v1/analyze/job", json={"run_id": "no-such"}).status_code == 404


def test_uploaded_runs_are_in_the_monitoring_api(client: TestClient, run_id: str) -> None:
    del run_id
    (application,) = [a for a in client.get("/api/v1/applications").json() if a["name"] == "skewed-join"]
    assert len(client.get(f"/api/v1/applications/{application['id']}/stages").json()) == 3
    assert client.get(f"/api/v1/applications/{application['id']}/logs").status_code == 404  # the log is not kept


def test_questions_about_a_run(client: TestClient, run_id: str) -> None:
    assert client.post("/api/v1/ask", json={"question": "what should I change first?", "run_id": run_id}).json()["findings"]


def test_several_applications_are_one_report_each(client: TestClient) -> None:
    from backports import zstd

    both = zstd.decompress(SKEWED.read_bytes()) + zstd.decompress((SAMPLES / "healthy.zstd").read_bytes())
    run = ended(client, upload(client, both)["run_id"])
    assert (run["applications"], run["application"]["name"]) == (2, "skewed-join")
    path = f"/api/v1/runs/{run['run_id']}/report"
    every = client.get(path)
    assert every.headers["content-type"] == "application/x-ndjson"
    reports = [json.loads(line) for line in every.text.splitlines()]
    assert [r["application"]["name"] for r in reports] == ["skewed-join", "healthy-report"]
    assert client.get(path, params={"application": "1"}).json() == reports[1]
    assert client.get(path, params={"application": reports[1]["application"]["id"]}).json() == reports[1]
    assert client.get(path, params={"application": "2"}).status_code == 404
    assert client.get(f"/api/v1/metrics/{run['run_id']}", params={"application": "1"}).json()["application"]["name"] == "healthy-report"


def test_lists_are_paged_and_filtered(client: TestClient, run_id: str) -> None:
    page = client.get("/api/v1/runs", params={"limit": 1}).json()
    assert len(page["items"]) == 1
    assert (
        client.get("/api/v1/runs", params={"job": "skewed-join", "status": "done", "limit": 1000}).json()["items"][-1]["run_id"] == run_id
    )
    assert client.get("/api/v1/runs", params={"cursor": "nonsense"}).json()["code"] == "usage"
    assert client.get("/api/v1/runs", params={"status": "lost"}).status_code == 422


def test_every_route_with_a_run_says_404(client: TestClient) -> None:
    run = "0" * 32
    for method, path in (
        ("GET", f"/runs/{run}"), ("GET", f"/runs/{run}/events"), ("POST", f"/runs/{run}/cancel"), ("DELETE", f"/runs/{run}"),
        ("GET", f"/runs/{run}/report"), ("GET", f"/runs/{run}/findings"), ("GET", f"/recommendations/{run}"), ("GET", f"/metrics/{run}"),
    ):  # fmt: skip
        answer = client.request(method, f"/api/v1{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path


def test_deleting(client: TestClient) -> None:
    run = upload(client, (SAMPLES / "slow-driver.zstd").read_bytes())
    ended(client, run["run_id"])
    assert client.delete(f"/api/v1/runs/{run['run_id']}").status_code == 204
    assert client.get(f"/api/v1/runs/{run['run_id']}").status_code == 404


def test_everything_in_the_documentation(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {
        "/api/v1/event-logs", "/api/v1/runs", "/api/v1/runs/{run_id}", "/api/v1/runs/{run_id}/events", "/api/v1/runs/{run_id}/cancel",
        "/api/v1/runs/{run_id}/report", "/api/v1/runs/{run_id}/findings", "/api/v1/runs/{run_id}/findings/{key}/feedback",
        "/api/v1/runs/{run_id}/whatif", "/api/v1/compare", "/api/v1/mutes", "/api/v1/mutes/{fingerprint}", "/api/v1/analyze/job",
        "/api/v1/recommendations/{run_id}", "/api/v1/metrics/{run_id}",
    } <= set(paths)  # fmt: skip
