"""`POST /graphql`: the same runs as over REST, for the same callers, within bounds."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from graphql import get_introspection_query
from sqlalchemy import event
from starlette.testclient import TestClient

from spark_copilot.app.access import LOOK_SECONDS
from spark_copilot.app.api import graphql
from spark_copilot.app.api.graphql.caps import MAX_COST, MAX_DEPTH
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.rules_engine.errors import Unavailable
from spark_copilot.storage.run_reader import RunReader
from tests.servers import ended

SAMPLES = files("spark_copilot.app") / "samples"


class House:
    """A server with keys; the tenant `acme` has three finished runs."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.access = client.app.state.access  # type: ignore[attr-defined]
        self.headers = {tenant: self.key(tenant) for tenant in ("acme", "globex")}
        self.access._looked = -LOOK_SECONDS
        names = ("skewed-join", "slow-driver", "healthy")
        sent = [self.rest("POST", "/api/v1/event-logs", content=(SAMPLES / f"{name}.zstd").read_bytes()).json() for name in names]
        self.runs = dict(zip(names, [one["run_id"] for one in sent], strict=True))
        acme = TestClient(client.app, headers=self.headers["acme"])
        for run_id in self.runs.values():
            assert ended(acme, run_id)["status"] == "done"

    def key(self, tenant: str, scope: str = "write") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access.keys.create(tenant, 'test', scope, None)[0]}"}

    def rest(self, method: str, path: str, **sent: Any) -> Any:
        return self.client.request(method, path, headers=self.headers["acme"], **sent)

    def ask(self, query: str, *, tenant: str = "acme", status: int = 200, **variables: Any) -> dict[str, Any]:
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}, headers=self.headers[tenant])
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = Settings(home=tmp_path_factory.mktemp("graphql"), rate_key_burst=10_000, rate_tenant_burst=10_000)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield House(client)


def test_one_question_answers_what_several_routes_do(house: House) -> None:
    run_id = house.runs["skewed-join"]
    asked = """query of($id: ID!) { run(id: $id) {
        id status filename sizeBytes contentHash createdMs finishedMs application { id name job } applications error { code }
        findings { items { key code title severity fingerprint muted feedback detail } next }
        metrics { application wallMs job complete } tables { items { name record } } } }"""
    found = house.ask(asked, id=run_id)["data"]["run"]
    rest = house.rest("GET", f"/api/v1/runs/{run_id}").json()
    assert (found["id"], found["status"], found["sizeBytes"]) == (run_id, "DONE", rest["size_bytes"])
    assert (found["createdMs"], found["contentHash"]) == (rest["created_ms"], rest["content_hash"])
    assert found["application"] == rest["application"]
    report = house.rest("GET", f"/api/v1/runs/{run_id}/report").json()
    assert [one["detail"] for one in found["findings"]["items"]] == report["findings"]
    assert [one["title"] for one in found["findings"]["items"]] == [one["title"] for one in report["findings"]]
    assert found["metrics"][0]["wallMs"] == report["application"]["duration_ms"]
    assert [one["record"] for one in found["tables"]["items"]] == report["facts"].get("tables", [])


def test_from_findings_to_their_runs(house: House) -> None:
    found = house.ask('{ findings(code: "data-skew") { items { key run { id application { name } } } } }')["data"]["findings"]["items"]
    assert {one["run"]["application"]["name"] for one in found} == {"skewed-join"}
    severe = house.ask("{ findings(severity: HIGH, first: 200) { items { severity fingerprint } } }")["data"]["findings"]["items"]
    assert {one["severity"] for one in severe} == {"HIGH"}
    mark = severe[0]["fingerprint"]
    same = house.ask("query f($mark: String) { findings(fingerprint: $mark) { items { fingerprint } } }", mark=mark)
    assert {one["fingerprint"] for one in same["data"]["findings"]["items"]} == {mark}


def test_figures_of_a_job_and_tables_by_name(house: House) -> None:
    job = house.rest("GET", f"/api/v1/runs/{house.runs['healthy']}").json()["application"]["job"]
    figures = house.ask("query h($job: String!) { metrics(job: $job) { runId job run { status } } }", job=job)["data"]["metrics"]
    assert [(one["runId"], one["run"]["status"]) for one in figures] == [(house.runs["healthy"], "DONE")]
    tables = house.ask("{ tables(first: 100) { items { name run { id } } } }")["data"]["tables"]["items"]
    assert tables
    named = house.ask("query t($name: String) { tables(name: $name) { items { name } } }", name=tables[0]["name"])["data"]["tables"][
        "items"
    ]
    assert {one["name"] for one in named} == {tables[0]["name"]}


def test_mutes_and_verdicts_are_seen(house: House) -> None:
    run_id = house.runs["slow-driver"]
    finding = house.rest("GET", f"/api/v1/runs/{run_id}/findings").json()["items"][0]
    house.rest("PUT", f"/api/v1/mutes/{finding['fingerprint']}")
    house.rest("POST", f"/api/v1/runs/{run_id}/findings/{finding['key']}/feedback", json={"verdict": "wrong"})
    asked = "query of($id: ID!) { run(id: $id) { findings { items { key muted feedback } } } }"
    items = house.ask(asked, id=run_id)["data"]["run"]["findings"]["items"]
    assert [(one["muted"], one["feedback"]) for one in items if one["key"] == finding["key"]] == [(True, "wrong")]
    house.rest("DELETE", f"/api/v1/mutes/{finding['fingerprint']}")


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("query p($after: String) { runs(first: 1, after: $after) { items { id } next } }", ["runs"]),
        ("query p($after: String) { findings(first: 1, after: $after) { items { runId key } next } }", ["findings"]),
        ("query p($after: String) { tables(first: 1, after: $after) { items { runId application name } next } }", ["tables"]),
        ("query p($after: String) { run(id: \"%s\") { findings(first: 1, after: $after) { items { key } next } } }", ["run", "findings"]),
        ("query p($after: String) { run(id: \"%s\") { tables(first: 1, after: $after) { items { name } next } } }", ["run", "tables"]),
    ],
    ids=["runs", "findings", "tables", "findings of a run", "tables of a run"],
)  # fmt: skip
def test_pages_go_on_where_the_last_one_ended(house: House, asked: str, path: list[str]) -> None:
    asked = asked.replace("%s", house.runs["slow-driver"])

    def page(question: str, after: str | None) -> dict[str, Any]:
        found: Any = house.ask(question, after=after)["data"]
        for step in path:
            found = found[step]
        return dict(found)

    whole = page(asked.replace("first: 1,", "first: 200,"), None)
    assert whole["next"] is None
    found, after = [], None
    while True:
        one = page(asked, after)
        assert len(one["items"]) <= 1
        found += one["items"]
        after = one["next"]
        if after is None:
            break
    assert found == whole["items"]
    assert page(asked, None)["items"] == found[:1]


def test_another_tenant_sees_nothing(house: House) -> None:
    everything = """query all($id: ID!, $job: String!) { run(id: $id) { id } runs { items { id } } findings { items { key } }
        tables { items { name } } metrics(job: $job) { runId } }"""
    run = house.rest("GET", f"/api/v1/runs/{house.runs['healthy']}").json()
    found = house.ask(everything, tenant="globex", id=run["run_id"], job=run["application"]["job"])["data"]
    assert found == {"run": None, "runs": {"items": []}, "findings": {"items": []}, "tables": {"items": []}, "metrics": []}
    cursor = house.ask("{ findings(first: 1) { next } }")["data"]["findings"]["next"]
    taken = house.ask("query p($after: String) { findings(after: $after) { items { key } } }", tenant="globex", after=cursor)
    assert taken["data"]["findings"]["items"] == []


def test_keys_scopes_and_rates_are_those_of_the_other_routes(house: House) -> None:
    question = {"query": "{ runs { items { id } } }"}
    assert house.client.post("/graphql", json=question).json()["code"] == "key-missing"
    reader = house.key("acme", "read")
    assert house.client.post("/graphql", json=question, headers=reader).status_code == 200
    assert house.client.get("/graphql", params=question, headers=reader).status_code == 405
    kept = house.access.settings
    house.access.settings = kept.model_copy(update={"rate_key_per_second": 0.01, "rate_key_burst": 2})
    try:
        asker = house.key("acme", "read")
        answers = [house.client.post("/graphql", json=question, headers=asker) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
    finally:
        house.access.settings = kept


def nested(levels: int) -> str:
    return "{ runs(first: 1) { items { " + "findings(first: 1) { items { run { " * levels + "id" + " } } }" * levels + " } } }"


@pytest.mark.parametrize(
    ("asked", "variables", "code"),
    [
        pytest.param(nested(3), {}, "query-too-deep", id="deep"),
        pytest.param("{ runs(first: 200) { items { findings(first: 200) { items { key } } } } }", {}, "query-too-large", id="large"),
        pytest.param("{ runs(first: 100) { items { findings(first: 20) { items { key title } } } } }", {}, "query-too-large", id="a little too large"),
        pytest.param("query q($n: Int!) { runs(first: $n) { items { findings(first: $n) { items { key } } } } }", {"n": 200}, "query-too-large", id="large by variables"),
        pytest.param("query q($n: Int! = 150) { runs(first: $n) { items { findings(first: $n) { items { key } } } } }", {}, "query-too-large", id="large by default"),
        pytest.param("{ " + " ".join(f"a{n}: runs(first: 50) {{ items {{ id }} }}" for n in range(60)) + " }", {}, "query-too-large", id="aliases"),
        pytest.param("{ ...a ...a } fragment a on Query { b: runs(first: 200) { items { ...c ...c } } } fragment c on Run { findings { items { key } } }", {}, "query-too-large", id="fragments"),
        pytest.param("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", {}, "query-not-valid", id="fragments in a ring"),
        pytest.param("{ a { " * 400, {}, "query-not-valid", id="nothing but brackets"),
        pytest.param("{ nope }", {}, "query-not-valid", id="no such field"),
        pytest.param("mutation { nope }", {}, "query-not-valid", id="mutation"),
        pytest.param("{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }", {}, "query-not-valid", id="introspection without end"),
        pytest.param("{ runs(first: 99999999999999999999) { next } }", {}, "query-not-valid", id="no number"),
    ],
)  # fmt: skip
def test_what_is_refused_before_it_is_answered(
    house: House, monkeypatch: pytest.MonkeyPatch, asked: str, variables: dict[str, Any], code: str
) -> None:
    monkeypatch.setattr(RunReader, "runs", lambda *_: 1 / 0)
    found = house.ask(asked, status=400, **variables)
    assert found["data"] is None
    assert code in {error["extensions"]["code"] for error in found["errors"]}, found


def test_answers_say_what_they_cost(house: House) -> None:
    found = house.ask("{ runs(first: 10) { items { id findings(first: 2) { items { key } } } next } }")
    assert found["extensions"] == {"cost": 81, "max_cost": MAX_COST, "depth": 5, "max_depth": MAX_DEPTH}


def test_wrong_arguments_spoil_only_what_they_belong_to(house: House) -> None:
    found = house.ask('{ runs { next } run(id: "%s") { findings(after: "x") { next } } }' % house.runs["healthy"])  # noqa: UP031
    assert found["data"] == {"runs": {"next": None}, "run": None}
    (error,) = found["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["run", "findings"], "usage")
    for length in (0, 201, -1):
        assert house.ask(f"{{ runs(first: {length}) {{ next }} }}")["errors"][0]["extensions"]["code"] == "usage"


def test_a_bug_is_not_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunReader, "runs", lambda *_: 1 / 0)
    (error,) = house.ask('{ run(id: "x") { id } }')["errors"]
    assert (error["extensions"], "division" in json.dumps(error)) == ({"code": "internal-error"}, False)


def test_what_takes_too_long_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(graphql, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(RunReader, "runs", lambda *_: time.sleep(0.3))
    assert house.ask('{ run(id: "x") { id } }', status=400)["errors"][0]["extensions"]["code"] == "query-too-slow"


def test_without_a_database_the_answer_is_503(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(RunReader, "runs", away)
    answer = house.client.post("/graphql", json={"query": '{ run(id: "x") { id } }'}, headers=house.headers["acme"])
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


def test_introspection_is_for_those_with_a_key(house: House) -> None:
    names = {one["name"] for one in house.ask(get_introspection_query())["data"]["__schema"]["types"]}
    assert {"Run", "Finding", "Metrics", "Table", "Long"} <= names
    assert house.client.post("/graphql", json={"query": get_introspection_query()}).status_code == 401


def test_as_many_statements_for_three_runs_as_for_two(house: House) -> None:
    asked = """query s($first: Int!) { runs(first: $first) { items { id
        findings { items { key muted feedback detail run { id } } } metrics { wallMs run { id } } tables { items { name } } } } }"""
    engine = house.access.service.database.engine

    def statements(first: int) -> int:
        seen: list[str] = []

        def count(_c: object, _k: object, statement: str, *_: object) -> None:
            if "api_keys" not in statement and statement.startswith("SELECT"):  # the worker's looks for jobs are not the question's
                seen.append(statement)

        event.listen(engine, "before_cursor_execute", count)
        try:
            assert len(house.ask(asked, first=first)["data"]["runs"]["items"]) == first
        finally:
            event.remove(engine, "before_cursor_execute", count)
        return len(seen)

    # The newest run has no findings, so the second is the first to ask for all there is. The fewest of three: the worker looks around meanwhile.
    assert min(statements(3) for _ in range(3)) == min(statements(2) for _ in range(3)) <= 10
