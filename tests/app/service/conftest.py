"""One server in process for all tests that do not break it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The API over a home of its own, with its worker."""
    home: Path = tmp_path_factory.mktemp("service")
    with TestClient(create_app(Settings(home=home)), raise_server_exceptions=False) as client:
        yield client
