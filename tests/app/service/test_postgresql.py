"""The service over PostgreSQL: the same from upload to report, also when the database goes away for a while."""

from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from tests.postgres import new_database
from tests.servers import ended

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
pytestmark = pytest.mark.xdist_group("postgres")


def test_j6_sessions_that_are_ended_are_made_again(postgres: str, home: Path) -> None:
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        url = new_database(postgres, "service_j6")
        with TestClient(create_app(Settings(home=home, database_url=url)), raise_server_exceptions=False) as client:
            answer = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes())
            assert answer.status_code == 202
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'service_j6'")
            run = ended(client, answer.json()["run_id"])
            assert run["status"] == "done"
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'service_j6'")
            assert client.get(f"/api/v1/runs/{run['run_id']}/report").json()["application"]["name"] == "skewed-join"


def test_a_database_that_is_not_there_is_a_problem_document(home: Path) -> None:
    client = TestClient(create_app(Settings(home=home, database_url="postgresql://nobody@127.0.0.1:1/none")), raise_server_exceptions=False)
    answer = client.get("/api/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
