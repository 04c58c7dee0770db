"""Keys, tenants, limits, and what web pages of others try (A…, R5, R6)."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from spark_copilot.app.access import LOOK_SECONDS, Access
from spark_copilot.app.api.uploads import UploadBusy, _Busy
from spark_copilot.app.cli.main import run
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.storage.access_repository import Scope
from spark_copilot.storage.api_key import new_key, well_formed
from spark_copilot.storage.database import EVERYONE, Database
from tests.conftest import ENGINES
from tests.postgres import new_database
from tests.servers import ended

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
PAGE = "https://app.example.com"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class House:
    """A server with keys of several tenants, and a finished run of the first."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.access: Access = client.app.state.access  # type: ignore[attr-defined]

    def key(self, tenant: str, scope: Scope = "admin", lives_ms: int | None = None) -> str:
        return self.access.keys.create(tenant, "test", scope, lives_ms)[0]


@pytest.fixture(scope="module", params=ENGINES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    database_url = new_database(request.getfixturevalue("postgres")) if request.param == "postgresql" else None
    logs = tmp_path_factory.mktemp("logs")
    (logs / "slow-driver.zstd").write_bytes((files("spark_copilot.app") / "samples" / "slow-driver.zstd").read_bytes())
    fast: dict[str, Any] = {
        "rate_key_per_second": 1e5,
        "rate_key_burst": 100_000,
        "rate_tenant_per_second": 1e5,
        "rate_tenant_burst": 100_000,
    }
    settings = Settings(
        home=tmp_path_factory.mktemp("access"), database_url=database_url, cors_origins=PAGE, answer_within_seconds=0,
        wrong_keys_per_minute=1000, **fast,
    )  # fmt: skip
    with TestClient(create_app(settings, logs), raise_server_exceptions=False) as client:
        made = House(client)
        made.key("local")
        made.access._looked = -LOOK_SECONDS  # as if the second had passed after which the server looks again
        assert made.access.needed()  # whichever test comes first
        yield made


@pytest.fixture(scope="module")
def acme(house: House) -> dict[str, Any]:
    """The first tenant's key and things."""
    headers = bearer(house.key("acme"))
    client = TestClient(house.client.app, headers=headers)
    run_id = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()["run_id"]
    assert ended(client, run_id)["status"] == "done"
    finding = client.get(f"/api/v1/runs/{run_id}/findings").json()["items"][0]
    assert client.put(f"/api/v1/mutes/{finding['fingerprint']}").status_code == 200
    upload = client.post("/api/v1/uploads", headers={"Upload-Length": "100"}).headers["location"].rpartition("/")[2]
    application = client.get(f"/api/v1/runs/{run_id}").json()["application"]["id"]
    said = client.post("/api/v1/chat", json={"message": "what is wrong?", "run_ids": [application]}).text
    assert "event: done" in said, said
    thread = json.loads(said[said.index("event: done") :].split("data: ", 1)[1].splitlines()[0])["thread_id"]
    return {
        "headers": headers, "run_id": run_id, "key": finding["key"], "fingerprint": finding["fingerprint"], "upload_id": upload,
        "app_id": application, "thread_id": thread,
    }  # fmt: skip


def test_a1_keys_that_let_nobody_in(house: House) -> None:
    client = house.client
    expired = house.key("acme", lives_ms=1)
    revoked, row = house.access.keys.create("acme", "test", "read", None)
    house.access.keys.revoke(row.id)
    wrong = house.key("acme")[:-1] + "!"
    cases = {"key-missing": {}, "key-expired": bearer(expired), "key-revoked": bearer(revoked), "key-malformed": bearer(wrong),
             "key-unknown": bearer(new_key())}  # fmt: skip
    for code, headers in cases.items():
        answer = client.get("/api/v1/runs", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="spark-copilot"')
        assert answer.headers["content-type"] == "application/problem+json"
        spark = client.get("/api/v1/applications", headers=headers)  # the door is the same before Spark's own routes
        assert (spark.status_code, spark.json()["code"]) == (401, code)
    assert client.get("/api/v1/runs", headers={"Authorization": "Basic eDp5"}).json()["code"] == "key-missing"
    assert client.get("/health").status_code == 200
    good = house.key("acme")
    answer = client.get("/api/v1/runs", params={"key": good}, headers=bearer(good))
    assert (answer.status_code, answer.json()["code"]) == (400, "key-in-url")
    assert good not in answer.text


def test_a1_scopes(house: House, acme: dict[str, Any]) -> None:
    client = house.client
    read, write = bearer(house.key("acme", "read")), bearer(house.key("acme", "write"))
    assert client.get("/api/v1/runs", headers=read).status_code == 200
    assert client.post(f"/api/v1/runs/{acme['run_id']}/whatif", headers=read, json={"executors": [1]}).status_code == 200
    refused = client.delete("/api/v1/runs/0", headers=read)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")
    assert 'scope="write"' in refused.headers["www-authenticate"]
    assert client.delete("/api/v1/runs/0", headers=write).status_code == 404
    assert client.get("/api/v1/audit", headers=write).status_code == 403


def test_a1_a_malformed_key_costs_no_look_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "read", lambda self, tenant: 1 / 0)
    key = new_key()
    assert well_formed(key)
    assert len({new_key() for _ in range(100)}) == 100
    swapped = key[:10] + ("a" if key[10] != "a" else "b") + key[11:]
    for bad in (swapped, key[:-1], key + "x", "spc_", "", key.upper(), "ghp_" + key[4:], "spc_" + "é" * 49):
        assert not well_formed(bad)
    assert house.client.get("/api/v1/runs", headers=bearer(swapped)).json()["code"] == "key-malformed"


def test_a1_no_key_is_kept(house: House) -> None:
    key = house.key("acme")
    assert house.client.get("/api/v1/runs", headers=bearer(key)).status_code == 200
    house.client.delete(f"/api/v1/runs/{key}", headers=bearer(key))  # pasted into the wrong place
    rows = house.access.keys.every("acme")
    assert rows[0].last_used_ms is not None
    with house.access.service.database.read(EVERYONE) as session:
        kept = str([session.execute(text(f"SELECT * FROM {table}")).all() for table in ("api_keys", "audit")])
    assert key[:12] in kept
    assert key[4:20] not in kept


def test_a2_no_route_shows_another_tenant_anything(house: House, acme: dict[str, Any]) -> None:
    """Every operation of the OpenAPI document, as another tenant, with ids of the first and, to compare, with ids of nobody."""
    other = TestClient(house.client.app, headers=bearer(house.key("globex")), raise_server_exceptions=False)
    quiet = TestClient(house.client.app, headers=bearer(house.key("quiet")))  # its audit log does not name what `other` tries
    unknown = {"run_id": "0" * 32, "key": "x@app", "fingerprint": "0" * 16, "upload_id": "1" * 32, "app_id": "app-0", "thread_id": "2" * 32}
    numbers = {
        "job_id": "0",
        "stage_id": "0",
        "stage_attempt": "0",
        "execution_id": "0",
        "attempt_id": "1",
        "rdd_id": "0",
        "executor_id": "driver",
        "thread": "0",
    }
    bodies: dict[str, dict[str, Any]] = {
        "/api/v1/analyze/job": {"run_id": "{run_id}"},
        "/api/v1/compare": {"baseline": "{run_id}", "candidate": "{run_id}"},
        "/api/v1/ask": {"question": "what is wrong?", "run_id": "{run_id}"},
        "/api/v1/chat": {"message": "what is wrong?", "thread_id": "{thread_id}", "run_ids": ["{app_id}"]},
        "/api/v1/runs/{run_id}/whatif": {"executors": [1]},
        "/graphql": {
            "query": "query q($id: ID!) { run(id: $id) { filename } findings { items { key } } tables { items { name } } runs { items { id } } }",
            "variables": {"id": "{run_id}"},
        },
        "/api/v1/runs/{run_id}/findings/{key}/feedback": {"verdict": "wrong"},
    }
    tus = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    # What names nothing of anybody: it computes, creates the caller's own, or lists what is the caller's.
    own = {"/health/ready",
        "/api/v1/analyze/partition", "/api/v1/gate", "/api/v1/search", "/api/v1/version", "/api/v1/event-logs", "/api/v1/event-logs/import", "/api/v1/uploads", "/health",
           "/api/v1/audit", "/api/v1/mutes", "/api/v1/runs", "/api/v1/applications", "/api/v1/chat/threads"}  # fmt: skip
    secrets = [acme[name] for name in ("run_id", "app_id", "upload_id", "thread_id")]

    def call(method: str, path: str, ids: dict[str, str]) -> tuple[int, str]:
        known = {**numbers, **ids}
        url = re.sub(r"{(\w+)(:\w+)?}", lambda found: known[found[1]], path)
        body = bodies.get(path)
        content = None if body is None else re.sub(r"{(\w+)}", lambda found: known[found[1]], json.dumps(body)).encode()
        headers = tus if method == "PATCH" else {"Content-Type": "application/json"}
        answer = other.request(method, url, content=content, headers=headers)
        said = re.sub(r'"request_id": ?"\w+"', "", answer.text)
        for name, value in ids.items():
            said = said.replace(value, f"<{name}>")
        return answer.status_code, said

    document = other.get("/openapi.json").json()
    called = 0
    for path, item in document["paths"].items():
        for method in item:
            called += 1
            named = [found for found in re.findall(r"{(\w+)", path) if found in unknown]
            if not named and path not in bodies:
                assert path in own, f"{path}: a new route that names nothing; is it the caller's own?"
                if method == "get":
                    shown = quiet.get(path, params={"q": "skew"} if path.endswith("search") else None).text
                    assert not [secret for secret in secrets if secret in shown], path
                continue
            theirs, nobodys = (call(method.upper(), path, {name: ids[name] for name in unknown}) for ids in (acme, unknown))
            if path.startswith("/api/v1/mutes/") and method == "put":
                assert theirs[0] == 200  # a fingerprint is a name, not a thing: this is the caller's own mute
                other.delete(f"/api/v1/mutes/{acme['fingerprint']}")
                other.delete(f"/api/v1/mutes/{unknown['fingerprint']}")
                continue
            assert theirs == nobodys, (method, path)
            harmless = path.endswith("/stop") or path in ("/api/v1/chat", "/graphql")
            assert theirs[0] == 404 or harmless, (method, path, theirs)
    assert called > 50
    # And nothing of the first tenant has changed.
    first = TestClient(house.client.app, headers=acme["headers"])
    assert first.get(f"/api/v1/runs/{acme['run_id']}/findings", params={"muted": "include"}).json()["items"][0]["feedback"] is None
    assert [mute["fingerprint"] for mute in first.get("/api/v1/mutes").json()["items"]] == [acme["fingerprint"]]
    assert first.head(f"/api/v1/uploads/{acme['upload_id']}").headers["upload-offset"] == "0"
    assert first.get(f"/api/v1/chat/threads/{acme['thread_id']}").status_code == 200


def test_a2_the_same_log_of_another_tenant_is_another_run(house: House, acme: dict[str, Any]) -> None:
    answer = house.client.post("/api/v1/event-logs", content=SAMPLE.read_bytes(), headers=bearer(house.key("initech")))
    assert answer.json()["run_id"] != acme["run_id"]
    assert answer.json()["status"] == "queued"


def test_a2_an_upload_of_somebody_else_is_not_held_up() -> None:
    busy = _Busy()
    with busy.only("globex", "1"), busy.only("acme", "1"), pytest.raises(UploadBusy), busy.only("acme", "1"):
        pass


def test_the_served_directory_belongs_to_one_tenant(house: House) -> None:
    def listed(tenant: str) -> list[Any]:
        found: list[Any] = house.client.get("/api/v1/applications", headers=bearer(house.key(tenant))).json()
        return found

    (seen,) = listed("local")
    assert listed("umbrella") == []
    answer = house.client.get(f"/api/v1/applications/{seen['id']}/jobs", headers=bearer(house.key("umbrella")))
    assert answer.status_code == 404


def test_a4_pages_of_others(house: House) -> None:
    key = bearer(house.key("acme"))
    evil = house.client.delete("/api/v1/runs/0", headers={**key, "Origin": "https://evil.example"})
    assert (evil.status_code, evil.json()["code"]) == (403, "origin-not-allowed")
    assert house.client.delete("/api/v1/runs/0", headers={**key, "Origin": "null"}).status_code == 403
    assert house.client.delete("/api/v1/runs/0", headers={**key, "Origin": "http://testserver"}).status_code == 404
    ask = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    allowed = house.client.options("/api/v1/runs/0", headers={"Origin": PAGE, **ask})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
    refused = house.client.options("/api/v1/runs/0", headers={"Origin": "https://evil.example", **ask})
    assert "access-control-allow-origin" not in refused.headers
    assert house.client.delete("/api/v1/runs/0", headers={**key, "Origin": PAGE}).headers["access-control-allow-origin"] == PAGE


def test_headers_of_every_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bearer(house.key("acme"))
    monkeypatch.setattr(Access, "spend", lambda self, known: 1 / 0)
    bug = house.client.get("/api/v1/runs", headers=key)
    assert (bug.status_code, bug.json()["code"]) == (500, "internal-error")
    for answer in (
        bug,
        house.client.get("/health"),
        house.client.get("/nothing"),
        house.client.get("/docs"),
        house.client.get("/openapi.json"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert bug.json()["request_id"] == bug.headers["x-request-id"]
    assert house.client.get("/health", headers={"X-Request-ID": "trace-1.a"}).headers["x-request-id"] == "trace-1.a"
    for bad in ("a b", "x" * 65, "<script>"):
        assert house.client.get("/health", headers={"X-Request-ID": bad}).headers["x-request-id"] != bad
    page = house.client.get("/docs").text
    assert "/api/v1/event-logs" in page
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)


def test_the_audit_log(house: House) -> None:
    client = house.client
    admin, write = bearer(house.key("hooli")), bearer(house.key("hooli", "write"))
    client.delete("/api/v1/runs/0", headers={**write, "X-Request-ID": "audit-1"})
    client.post("/api/v1/uploads", headers={**write, "Upload-Length": "10"})
    client.get("/api/v1/audit", headers=write)
    client.get("/api/v1/runs", headers=admin)  # reading is not written down
    page = client.get("/api/v1/audit", headers=admin, params={"limit": 2}).json()
    rest = client.get("/api/v1/audit", headers=admin, params={"cursor": page["next"]}).json()
    seen = [(line["action"], line["status"], line["code"]) for line in page["items"] + rest["items"]]
    assert seen == [
        ("GET /api/v1/audit", 403, "scope-missing"),
        ("POST /api/v1/uploads", 201, None),
        ("DELETE /api/v1/runs/{run_id}", 404, "not-found"),
    ]
    last = rest["items"][-1]
    assert (last["request_id"], last["tenant"], last["path"]) == ("audit-1", "hooli", "/api/v1/runs/0")
    assert last["key_id"] in {row.id for row in house.access.keys.every("hooli")}
    client.get("/api/v1/runs", headers={"X-Request-ID": "nobody"})
    everything = client.get("/api/v1/audit", headers=bearer(house.key("local"))).json()["items"]
    assert [line["code"] for line in everything if line["request_id"] == "nobody"] == ["key-missing"]
    assert client.get("/api/v1/audit", headers=admin, params={"cursor": "x"}).status_code == 400
    house.access.audit.forget(-1000)
    assert client.get("/api/v1/audit", headers=admin).json() == {"items": [], "next": None}


def test_r5_r6_too_often(house: House) -> None:
    key, sibling = bearer(house.key("slow")), bearer(house.key("slow"))
    kept = house.access.settings
    house.access.settings = kept.model_copy(
        update={"rate_key_per_second": 1.0, "rate_key_burst": 3, "rate_tenant_per_second": 0.01, "rate_tenant_burst": 5}
    )
    try:
        answers = [house.client.get("/api/v1/runs", headers=key) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert (answers[-1].json()["code"], answers[-1].headers["retry-after"]) == ("rate-limited", "1")
        assert house.client.get("/api/v1/applications", headers=key).status_code == 429
        # Many keys of one tenant are one tenant; what the first was refused did not count.
        answers = [house.client.get("/api/v1/runs", headers=sibling) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert "tenant" in answers[-1].json()["detail"]
    finally:
        house.access.settings = kept


def test_a5_guessing(house: House) -> None:
    kept = house.access.settings
    house.access.settings = kept.model_copy(update={"wrong_keys_per_minute": 2})
    try:
        house.access.limiter._buckets.clear()
        answers = [house.client.get("/api/v1/runs", headers=bearer(new_key())) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert answers[-1].json()["code"] == "too-many-wrong-keys"
        assert 25 <= int(answers[-1].headers["retry-after"]) <= 31
    finally:
        house.access.settings = kept
        house.access.limiter._buckets.clear()


def test_quotas(house: House, acme: dict[str, Any]) -> None:
    kept = house.access.settings

    def refused(**quota: int) -> tuple[int, str]:
        house.access.settings = kept.model_copy(update=quota)
        try:
            answers = [
                house.client.post("/api/v1/event-logs", content=b"a log", headers=acme["headers"]),
                house.client.post("/api/v1/uploads", headers={**acme["headers"], "Upload-Length": "5"}),
                house.client.post("/api/v1/analyze/job", content=b"a log", headers=acme["headers"]),
            ]
        finally:
            house.access.settings = kept
        (said,) = {(answer.status_code, answer.json()["code"]) for answer in answers}
        return said

    assert refused(quota_runs=1) == (403, "quota-runs")
    assert refused(quota_bytes=100) == (403, "quota-bytes")
    assert refused(quota_bytes=2) == (413, "limit-exceeded")


@pytest.fixture
def idle(home: Path, database_url: str) -> Iterator[House]:
    """A server with keys whose jobs stay as they are."""
    app = create_app(Settings(home=home, database_url=database_url, answer_within_seconds=0, import_from="http://127.0.0.1:9"))
    app.state.service.work = False
    with TestClient(app, raise_server_exceptions=False) as client:
        made = House(client)
        made.key("local")
        made.access._looked = -LOOK_SECONDS
        yield made


def test_quota_of_jobs_at_a_time(idle: House) -> None:
    mine, other = bearer(idle.key("acme")), bearer(idle.key("initech"))
    idle.access.settings = idle.access.settings.model_copy(update={"quota_jobs": 2})
    runs = [idle.client.post("/api/v1/event-logs", content=b"log %d" % number, headers=mine).json()["run_id"] for number in range(2)]

    def refused() -> list[tuple[int, str, str]]:
        answers = [
            idle.client.post("/api/v1/event-logs", content=b"log 2", headers=mine),
            idle.client.post("/api/v1/event-logs", files={"log": b"log 2"}, headers=mine),
            idle.client.post("/api/v1/uploads", headers={**mine, "Upload-Length": "5"}),
            idle.client.post("/api/v1/analyze/job", content=b"log 2", headers=mine),
            idle.client.post("/api/v1/event-logs/import", json={"url": "http://127.0.0.1:9", "application": "app-1"}, headers=mine),
        ]
        return sorted({(answer.status_code, answer.json().get("code", ""), answer.headers.get("retry-after", "")) for answer in answers})

    assert refused() == [(429, "quota-jobs", "10")]
    assert idle.access.service.queue.depth() == {"queued": 2}
    assert list((idle.access.settings.home / "uploads").glob("*.part")) == []
    assert idle.client.post("/api/v1/event-logs", content=b"log 0", headers=other).status_code == 202
    assert idle.client.post(f"/api/v1/runs/{runs[0]}/cancel", headers=mine).status_code == 200
    assert idle.client.post("/api/v1/event-logs", content=b"log 2", headers=mine).status_code == 202
    assert refused() == [(429, "quota-jobs", "10")]
    claim = idle.access.service.queue.claim("w")  # one that is being analysed counts like one that waits
    assert claim is not None
    assert refused() == [(429, "quota-jobs", "10")]


def test_quotas_count_what_is_announced_and_give_back_what_is_deleted(idle: House) -> None:
    mine, other = bearer(idle.key("acme")), bearer(idle.key("initech"))
    idle.access.settings = idle.access.settings.model_copy(update={"quota_bytes": 100, "quota_runs": 2})

    def send(size: int, letter: bytes, headers: dict[str, str] = mine) -> tuple[int, str]:
        answer = idle.client.post("/api/v1/event-logs", content=letter * size, headers=headers)
        return answer.status_code, answer.json().get("code") or answer.json()["run_id"]

    upload = idle.client.post("/api/v1/uploads", headers={**mine, "Upload-Length": "60"}).headers["location"]
    assert send(50, b"a") == (403, "quota-bytes")
    assert send(50, b"a", other)[0] == 202
    assert idle.client.delete(upload, headers=mine).status_code == 204
    status, first = send(50, b"a")
    assert status == 202
    assert send(50, b"b")[0] == 202
    assert send(1, b"c") == (403, "quota-runs")
    assert send(50, b"a") == (403, "quota-runs")  # also a log that the tenant has: nothing is read before it is known whether there is room
    assert idle.client.delete(f"/api/v1/runs/{first}", headers=mine).status_code == 204
    assert send(50, b"a")[0] == 202


def test_without_keys_there_are_no_quotas_and_no_limits(home: Path) -> None:
    app = create_app(Settings(home=home, quota_runs=1, quota_jobs=1, quota_bytes=1, rate_key_burst=1, rate_tenant_burst=1))
    app.state.service.work = False
    with TestClient(app) as client:
        assert {client.post("/api/v1/event-logs", content=b"log %d" % number).status_code for number in range(4)} == {202}


def test_a2_nobody_talks_about_a_run_of_another_tenant(house: House, acme: dict[str, Any]) -> None:
    other = bearer(house.key("initech"))
    said = [
        house.client.post("/api/v1/chat", json={"message": "what is wrong?", "run_ids": [name]}, headers=other)
        for name in (acme["run_id"], acme["run_id"][::-1])
    ]
    assert [answer.status_code for answer in said] == [404, 404]
    assert acme["app_id"] not in said[0].text
    mine = house.client.post("/api/v1/chat", json={"message": "what is wrong?", "run_ids": [acme["run_id"]]}, headers=acme["headers"])
    assert "event: done" in mine.text


def test_a_server_without_keys_notices_the_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with TestClient(create_app(Settings(home=home))) as client:
        assert client.get("/api/v1/runs").status_code == 200
        assert run(["keys", "create", "--name", "ci", "--tenant", "acme", "--format", "json"]) == 0
        made = json.loads(capsys.readouterr().out)
        client.app.state.access._looked = -LOOK_SECONDS  # type: ignore[attr-defined]
        assert client.get("/api/v1/runs").status_code == 401
        assert client.get("/api/v1/runs", headers=bearer(made["key"])).status_code == 200
        assert run(["keys", "revoke", made["id"]]) == 0
        assert client.get("/api/v1/runs", headers=bearer(made["key"])).status_code == 401
    # The last key taken back does not open the door again, also for a server that starts later.
    with TestClient(create_app(Settings(home=home))) as client:
        assert client.get("/api/v1/runs").status_code == 401


def test_the_keys_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "--name", "ci"]) == 0
    out, err = capsys.readouterr()
    assert well_formed(out.strip())
    assert out.strip() not in err
    for form in ("text", "json"):
        assert run(["keys", "list", "--format", form]) == 0
        assert out.strip()[12:] not in capsys.readouterr().out
    for wrong in (["--scope", "root"], ["--tenant", "A/b"], ["--expires", "soon"], ["--expires", "0d"], ["--format", "xml"]):
        assert run(["keys", "create", "--name", "x", *wrong]) == 2
    assert run(["keys", "revoke", "nothing"]) == 3


def test_other_machines_need_keys(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--host", "0.0.0.0", "--port", "1"]) == 2
    assert "there are no API keys" in capsys.readouterr().err
    # Even if every row were gone, such a server asks for a key.
    assert TestClient(create_app(Settings(home=home, host="0.0.0.0"))).get("/api/v1/runs").status_code == 401


def test_dns_rebinding(home: Path) -> None:
    client = TestClient(create_app(Settings(home=home, allowed_hosts="copilot.example.com, other"), named=True))
    for host, status in {"localhost:8000": 200, "127.0.0.1": 200, "[::1]:8000": 200, "copilot.example.com": 200, "evil.example": 421,
                         "127.0.0.1.evil.example": 421, "localhost@evil": 421, "": 421}.items():  # fmt: skip
        assert client.get("/health", headers={"Host": host}).status_code == status, host
