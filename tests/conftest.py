"""Fixtures for every test: a home of its own, the shared logs when they are there, real parts or a clear skip."""

import os
from pathlib import Path

import pytest

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
    found = sorted(parts.glob("pyspark-*/venv/bin/python"))
    if not found:
        missing = "pyspark is not installed: run `make parts` (needs Java 17)"
        if os.environ.get("REQUIRE_PARTS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found[-1]
