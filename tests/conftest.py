"""Fixtures for every test: a home of its own, the shared logs when they are there, real parts or a clear skip."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_copilot.storage import migrate
from spark_copilot.storage.database import Database
from tests.postgres import binaries, server

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SPARK_COPILOT_SHARED", ROOT.parent / "shared"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SPARK_COPILOT_HOME of this test alone."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SPARK_COPILOT_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_logs() -> Path:
    """The folder of real event logs that lies beside the project."""
    folder = SHARED / "eventlogs" / "logs"
    if not folder.is_dir():
        pytest.skip(f"no shared event logs at {folder} (set SPARK_COPILOT_SHARED)")
    return folder


@pytest.fixture(scope="session")
def spark_python() -> Path:
    """The interpreter that has pyspark, from `make parts`."""
    parts = Path(os.environ.get("SPARK_COPILOT_PARTS", Path.home() / ".cache" / "spark-copilot-parts"))
    # Other versions may lie beside it, for other commands.
    wanted = (ROOT / "requirements" / "spark.txt").read_text().partition("pyspark==")[2].split()[0]
    found = parts / f"pyspark-{wanted}" / "venv" / "bin" / "python"
    if not found.exists():
        missing = "pyspark is not installed: run `make parts` (needs Java 17)"
        if os.environ.get("REQUIRE_PARTS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server without a database name. Tests that use it belong to the xdist group `postgres`, so that one is started."""
    folder = binaries()
    if folder is None:
        missing = "PostgreSQL is not installed (Debian: postgresql)"
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with server(folder) as url:
        yield url


ENGINES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres")))


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    base: str = request.getfixturevalue("postgres")
    name = f"t{secrets.token_hex(6)}"
    import psycopg

    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{base}/{name}"


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """A migrated database of each kind."""
    opened = Database(database_url, tmp_path)
    migrate.upgrade(opened)
    yield opened
    opened.close()
