"""The whole API against its own document, by schemathesis (A6): no 5xx, no answer that is not documented, every body of the shape that is promised.

`make fuzz-api` runs it with 500 examples an operation instead of 50.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from spark_copilot.app.cli.main import run
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from tests.servers import ended, serving

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
EXAMPLES = int(os.environ.get("SPARK_COPILOT_API_EXAMPLES", "50"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
DOCUMENT: dict[str, Any] = create_app(Settings(home=Path(tempfile.gettempdir()) / "never-opened")).openapi()
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
RATES = {f"SPARK_COPILOT_RATE_{whose}": "100000" for whose in ("KEY_PER_SECOND", "KEY_BURST", "TENANT_PER_SECOND", "TENANT_BURST")}


@dataclass(frozen=True, slots=True)
class World:
    """A real server with keys, and what its tenant has."""

    session: requests.Session
    client: httpx.Client
    url: str
    ids: dict[str, str]

    def known(self, path: str, method: str) -> dict[str, str]:
        """Path parameters that mean something; what a call takes away is made for it alone."""
        ids = dict(self.ids)
        if "{run_id}" in path and (method == "delete" or path.endswith("/cancel")):
            ids["run_id"] = self.client.post("/api/v1/event-logs", content=method.encode() + path.encode()).json()["run_id"]
        if "{upload_id}" in path:
            ids["upload_id"] = self.client.post("/api/v1/uploads", headers={"Upload-Length": "100"}).headers["location"].rpartition("/")[2]
        return ids


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("openapi")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SPARK_COPILOT_HOME", str(home))
        key = _key(home)
    with serving(home, **RATES, SPARK_COPILOT_ANSWER_WITHIN_SECONDS="0.2") as (client, process):
        headers = {"Authorization": f"Bearer {key}"}
        client.headers.update(headers)
        run_id = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()["run_id"]
        assert ended(client, run_id)["status"] == "done"
        finding = client.get(f"/api/v1/runs/{run_id}/findings").json()["items"][0]
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(headers)
            yield World(
                session, client, str(client.base_url).rstrip("/"),
                {
                    "run_id": run_id, "key": finding["key"], "fingerprint": finding["fingerprint"],
                    "app_id": client.get(f"/api/v1/runs/{run_id}").json()["application"]["id"],
                    "job_id": "0", "stage_id": "0", "stage_attempt": "0", "execution_id": "0", "rdd_id": "0",
                },
            )  # fmt: skip
        assert process.poll() is None


def _key(home: Path) -> str:
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert run(["keys", "create", "--name", "fuzz", "--scope", "admin"]) == 0
    return said.getvalue().strip()


@pytest.fixture(scope="module")
def schema() -> Any:
    generation = GenerationConfig(modes=list(GenerationMode))
    return schemathesis.openapi.from_dict(
        DOCUMENT, config=SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    )


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_a6_answers_are_as_documented(world: World, schema: Any, path: str, method: str) -> None:
    operation = schema[path][method]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])
    known = world.known(path, method)
    # A History Server refuses thread dumps with 503, and so does ours.
    checks = [check for check in CHECKS if check is not not_a_server_error or not path.endswith("}/threads")]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, real=st.booleans())
    def answers(case: Any, real: bool) -> None:
        if real and case.path_parameters:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        case.call_and_validate(base_url=world.url, session=world.session, checks=checks, timeout=30)

    answers()
