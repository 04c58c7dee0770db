"""Liveness and readiness."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.storage import migrate
from spark_copilot.storage.database import DatabaseUnavailable


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=home))) as client:
        yield client


def test_ready(client: TestClient) -> None:
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": {"database": "ok", "worker": "ok", "disk": "ok"}})


def test_o4_alive_but_not_ready_without_a_database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(database: object) -> str:
        raise DatabaseUnavailable("db.inner:5432 refuses")

    monkeypatch.setattr(migrate, "current", away)
    assert client.get("/health").json()["status"] == "ok"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "the database does not answer"
    assert "db.inner" not in answer.text


def test_an_older_database_and_a_worker_that_is_gone(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    migrate.downgrade(service.database, "-1")
    service._worker.stop()
    checks = client.get("/health/ready").json()["checks"]
    assert "is at revision" in checks["database"]
    assert checks["worker"] == "the worker does not run"
    migrate.upgrade(service.database)
