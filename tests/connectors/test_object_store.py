"""Logs from stores that speak S3, GCS and Azure's protocol: the same answers from each."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.connectors.object_store import fetch
from spark_copilot.connectors.remote import SourceNotFound, SourceUnavailable, place
from spark_copilot.rules_engine.errors import LimitExceeded
from tests import object_stores

CONTENT = bytes(range(256)) * 40_000


@pytest.fixture(scope="module")
def filled(any_store: str) -> str:
    """A store with a log, and a rolled one."""
    put = object_stores.put
    put(any_store, "ev/app-1", CONTENT)
    put(any_store, "ev/größe", b"umlauts")
    for name in ("events_2_app-2", "events_1_app-2", "appstatus_app-2", ".hidden", "_spark_metadata/0"):
        put(any_store, f"ev/eventlog_v2_app-2/{name}", name.encode())
    return any_store


def brought(url: str, out: Path, **more: Any) -> list[tuple[int, int | None]]:
    """Fetch into a file; what was told on the way."""
    told: list[tuple[int, int | None]] = []
    limits = {"limit_bytes": 1 << 30, "idle_seconds": 30.0, "total_seconds": 60.0} | more
    fetch(place(url), out, told=lambda taken, whole: told.append((taken, whole)), **limits)
    return told


def test_an_object(filled: str, tmp_path: Path) -> None:
    told = brought(f"{filled}/ev/app-1", tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 1
    brought(f"{filled}/ev/größe", tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == b"umlauts"


def test_a_folder_is_an_archive_of_its_parts_always_the_same(filled: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        told = brought(f"{filled}/ev/eventlog_v2_app-2/", tmp_path / name)
        assert told[-1][0] == told[-1][1]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with zipfile.ZipFile(tmp_path / "one") as archive:
        assert archive.namelist() == [f"eventlog_v2_app-2/{name}" for name in ("appstatus_app-2", "events_1_app-2", "events_2_app-2")]
        assert archive.read("eventlog_v2_app-2/events_2_app-2") == b"events_2_app-2"


@pytest.mark.parametrize("key", ["logs/ev/none", "logs/ev/app", "elsewhere/ev/app-1"])
def test_what_is_not_there(filled: str, tmp_path: Path, key: str) -> None:
    scheme = filled.partition("://")[0]
    if (scheme, key) == ("gs", "elsewhere/ev/app-1"):
        pytest.skip("this GCS server answers 500 where a bucket is missing; the real one 404")
    with pytest.raises(SourceNotFound):
        brought(f"{scheme}://{key}", tmp_path / "log")


@pytest.mark.parametrize("key", ["ev/app-1", "ev/eventlog_v2_app-2"])
def test_what_is_larger_than_it_may_be(filled: str, tmp_path: Path, key: str) -> None:
    with pytest.raises(LimitExceeded):
        brought(f"{filled}/{key}", tmp_path / "log", limit_bytes=30)


class Enough(Exception):
    pass


def test_fetching_ends_where_it_is_told_to(filled: str, tmp_path: Path) -> None:
    def stop(taken: int, whole: int | None) -> None:
        raise Enough

    with pytest.raises(Enough):
        fetch(place(f"{filled}/ev/app-1"), tmp_path / "log", limit_bytes=1 << 30, idle_seconds=30, total_seconds=60, told=stop)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and an endpoint that nobody listens on."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_REGION": "x",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "hush",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("nobody")
def test_a_store_that_does_not_answer_is_said_without_its_credentials(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable) as failed:
        brought("s3://logs/ev/app-1", tmp_path / "log")
    assert "hush" not in str(failed.value)
    assert not (tmp_path / "log").exists()
