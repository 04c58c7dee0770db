"""Fixtures for every test: a home of its own, the shared logs when they are there, real parts or a clear skip."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from spark_copilot.app import shared_redis
from spark_copilot.storage import migrate
from spark_copilot.storage.database import Database
from tests import object_stores, redis_server
from tests.postgres import binaries, new_database, server
from tests.timing import WAIT_SECONDS

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
        _part_missing("pyspark is not installed: run `make parts` (needs Java 17)")
    return found


def _part_missing(missing: str) -> NoReturn:
    """A skip; a failure where every part must be there."""
    if os.environ.get("REQUIRE_PARTS") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def otlp_exporter() -> Path:
    """A folder for PYTHONPATH with what sends traces to a collector, from `make parts`."""
    found = object_stores.PARTS / "otlp" / "site"
    if not found.is_dir():
        _part_missing("the exporter of traces is not installed: run `make parts-otlp`")
    return found


@pytest.fixture(scope="module", params=[pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in ("s3", "gs", "az")])
def any_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty bucket in a store of each kind; this process's environment leads there."""
    yield from _store(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def s3_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty bucket in a store that speaks S3; this process's environment leads there."""
    yield from _store("s3", tmp_path_factory)


def _store(kind: str, folders: pytest.TempPathFactory) -> Iterator[str]:
    if importlib.util.find_spec("obstore") is None:
        _part_missing('obstore is not installed (pip install "spark-intelligence-copilot[cloud]")')
    if (command := object_stores.program(kind)) is None:
        if kind != "s3":  # `make parts` brings that one only
            pytest.skip(object_stores.MISSING[kind])
        _part_missing(object_stores.MISSING[kind])
    with object_stores.serving(kind, command, folders.mktemp(kind), "logs") as environment, pytest.MonkeyPatch.context() as patch:
        for name in object_stores.cleared(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield f"{kind}://logs"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of the module's own, and clients that wait for it however busy the machine is."""
    with pytest.MonkeyPatch.context() as patch, redis_server.running(tmp_path_factory.mktemp("redis")) as (url, _):
        patch.setattr(shared_redis, "PATIENCE_SECONDS", WAIT_SECONDS)
        yield url


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server without a database name, as its superuser. Tests that use it belong to the xdist group `postgres`, so that one is started."""
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
    return new_database(request.getfixturevalue("postgres"))


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """A migrated database of each kind."""
    opened = Database(database_url, tmp_path)
    migrate.upgrade(opened)
    yield opened
    opened.close()
