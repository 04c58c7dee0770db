"""Uploads that go wrong, or are meant to do harm (U…, P12)."""

import errno
import hashlib
import os
import socket
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from spark_copilot.app import files as service_files
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.storage.metadata_repository import MetadataRepository
from tests.servers import ended, serving, until

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
LIMIT = 1 << 20


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    app = create_app(Settings(home=home, max_upload_bytes=LIMIT, max_form_bytes=LIMIT))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One server for the tests that leave it as it was: its worker's process is warm."""
    app = create_app(Settings(home=tmp_path_factory.mktemp("shared"), max_upload_bytes=LIMIT, max_form_bytes=LIMIT))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def home_of(client: TestClient) -> Path:
    """The server's home folder."""
    found: Path = client.app.state.service.files.home  # type: ignore[attr-defined]
    return found


def kept(home: Path) -> list[str]:
    """Files of uploads that are on disk."""
    folder = home / "uploads"
    return [p.name for p in folder.iterdir()] if folder.is_dir() else []


def test_u5_a_declared_length_over_the_limit(home: Path) -> None:
    with serving(home, SPARK_COPILOT_MAX_UPLOAD_BYTES="1000000") as (client, _):
        host, port = client.base_url.host, client.base_url.port
        assert port is not None
        with socket.create_connection((host, port), timeout=10) as wire:
            wire.sendall(b"POST /api/v1/event-logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
            answer = wire.recv(65536)  # not a byte of the body was sent
            assert answer.startswith(b"HTTP/1.1 413")
        with socket.create_connection((host, port), timeout=10) as wire:
            wire.sendall(b"POST /api/v1/event-logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        until(lambda: kept(home) == [])  # the client is gone, and so is what it sent
        assert client.get("/api/v1/runs").json()["items"] == []


def test_u5_a_body_without_a_length_is_counted(client: TestClient, home: Path) -> None:
    answer = client.post("/api/v1/event-logs", content=(b"x" * 100_000 for _ in range(20)))
    assert (answer.status_code, answer.json()["code"]) == (413, "limit-exceeded")
    assert kept(home) == []


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_u6_a_full_disk(client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(hashlib, "sha256", lambda *a: type("Full", (), {"update": full})())
        answer = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (507, "storage-full")
    assert kept(home) == []
    assert client.get("/api/v1/runs").json()["items"] == []
    assert client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).status_code == 202


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        pytest.param("multipart/form-data", b"x", 400, id="no boundary"),
        pytest.param("multipart/form-data; boundary=b", b"x" * 1000, 400, id="not a form"),
        pytest.param("multipart/form-data; boundary=b", b"--b\r\n" + b"A: " + b"x" * 500_000 + b"\r\n\r\n", 400, id="a huge header"),
        pytest.param(
            "multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 5_000, 400, id="many parts"
        ),
        pytest.param(
            "multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n', 400, id="no file"
        ),
        pytest.param(
            "multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\nxyz', 400, id="cut"
        ),
    ],
)
def test_u8_forms(shared: TestClient, kind: str, body: bytes, status: int) -> None:
    answer = shared.post("/api/v1/event-logs", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, "form-not-readable")
    until(lambda: kept(home_of(shared)) == [])


def test_u9_same_file_twice(client: TestClient, home: Path) -> None:
    first = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()
    ended(client, first["run_id"])
    again = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()
    form = client.post("/api/v1/event-logs", files={"log": ("other", SAMPLE.read_bytes())}).json()
    assert first["run_id"] == again["run_id"] == form["run_id"]
    assert len(client.get("/api/v1/runs").json()["items"]) == 1
    assert kept(home) == []  # the second and third copies are gone, and the first after it was analysed


def test_u9_the_same_idempotency_key(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes(), headers=headers)
    assert client.post("/api/v1/event-logs", content=SAMPLE.read_bytes(), headers=headers).json()["run_id"] == first.json()["run_id"]
    other = client.post("/api/v1/event-logs", content=b"other", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


NAMES = ("../../etc/passwd", "a\0b", "CON", "n" * 900, "\u202egnp.exe", "a\r\nSet-Cookie: x=1", "..", "/", "\U0001f600")


def test_u10_names_are_data(shared: TestClient) -> None:
    from backports import zstd

    log = zstd.decompress(SAMPLE.read_bytes())
    for number, name in enumerate(NAMES):
        body = zstd.compress(log + b"\n" * (number + 1))  # other bytes each time, or it would be the first run again
        answer = shared.post("/api/v1/event-logs", params={"filename": name}, content=body)
        run = ended(shared, answer.json()["run_id"])
        assert run["status"] == "done"
        assert run["filename"] == name.replace("\0", "\ufffd")
        assert "set-cookie" not in answer.headers
    assert {p.name for p in home_of(shared).iterdir()} <= {"copilot.db", "copilot.db-wal", "copilot.db-shm", "uploads", "work", "runs"}


def test_u11_ids_cannot_be_guessed(client: TestClient) -> None:
    run = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()
    assert len(bytes.fromhex(run["run_id"])) * 8 >= 128
    client.delete(f"/api/v1/runs/{run['run_id']}")
    assert client.get(f"/api/v1/runs/{run['run_id']}").status_code == 404


def test_u12_what_nobody_waits_for_is_swept(home: Path) -> None:
    store = service_files.Files(home)
    part = store.new_upload()
    part.write_bytes(b"half")
    assert store.sweep(set(), older_than_seconds=3600) == 0
    os.utime(part, (0, 0))
    assert store.sweep({store.kept(part)}, older_than_seconds=3600) == 0
    assert store.sweep(set(), older_than_seconds=3600) == 1
    assert kept(home) == []


def test_u14_no_run_without_its_job(client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*args: Any, **kw: Any) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr("spark_copilot.storage.metadata_repository.enqueue", dies)
        assert client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).status_code == 500
    assert client.get("/api/v1/runs").json()["items"] == []
    assert kept(home) == []
    assert MetadataRepository(client.app.state.service.database).files_in_use() == set()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(os.urandom(200_000), id="binary"),
        pytest.param(b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>" * 50, id="error page"),
        pytest.param(b"24/11/24 10:00:00 INFO SparkContext: Running Spark version 3.5.1\n" * 2_000, id="driver log"),
        pytest.param(b'{"run": 1}', id="other JSON"),
        pytest.param(b"PK\x03\x04 not a zip", id="broken archive"),
    ],
)
def test_p12_what_is_no_event_log(shared: TestClient, body: bytes) -> None:
    client, home = shared, home_of(shared)
    run = ended(client, client.post("/api/v1/event-logs", content=body).json()["run_id"])
    assert (run["status"], run["error"]["code"]) == ("failed", "not-an-event-log")
    assert "Traceback" not in run["error"]["detail"]
    assert str(home) not in run["error"]["detail"]
    report = client.get(f"/api/v1/runs/{run['run_id']}/report")
    assert (report.status_code, report.json()["code"]) == (422, "not-an-event-log")
    until(lambda: kept(home) == [])


def test_p12_nothing_at_all(shared: TestClient) -> None:
    answer = shared.post("/api/v1/event-logs", content=b"")
    assert (answer.status_code, answer.json()["code"]) == (422, "not-an-event-log")
