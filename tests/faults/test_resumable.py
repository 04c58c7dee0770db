"""Resumable uploads: cut, contradicted, repeated, expired (U1…U4, U11, U14)."""

import base64
import hashlib
import socket
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from tests.servers import ended, serving, until

SAMPLE = (files("spark_copilot.app") / "samples" / "skewed-join.zstd").read_bytes()
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = create_app(Settings(home=tmp_path_factory.mktemp("tus"), max_upload_bytes=1 << 20))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def begin(client: TestClient | httpx.Client, length: int, **headers: str) -> str:
    answer = client.post("/api/v1/uploads", headers={**TUS, "Upload-Length": str(length), **headers})
    assert answer.status_code == 201
    return str(answer.headers["location"])


def patch(client: TestClient | httpx.Client, place: str, offset: int, body: bytes, **headers: str) -> Any:
    return client.patch(place, content=body, headers={**CHUNK, "Upload-Offset": str(offset), **headers})


def offset(client: TestClient | httpx.Client, place: str) -> int:
    return int(client.head(place, headers=TUS).headers["upload-offset"])


def test_what_the_server_supports(client: TestClient) -> None:
    answer = client.options("/api/v1/uploads")
    assert (answer.status_code, answer.headers["tus-version"], answer.headers["tus-max-size"]) == (204, "1.0.0", str(1 << 20))


def test_in_chunks_to_a_report(client: TestClient) -> None:
    name = base64.b64encode(b"a log.zstd").decode()
    place = begin(client, len(SAMPLE), **{"Upload-Metadata": f"filename {name}"})
    assert patch(client, place, 0, SAMPLE[:10_000]).headers["upload-offset"] == "10000"
    assert offset(client, place) == 10_000
    last = patch(client, place, 10_000, SAMPLE[10_000:])
    assert last.status_code == 204
    run = ended(client, last.headers["content-location"].rpartition("/")[2])
    assert (run["status"], run["filename"], run["content_hash"]) == ("done", "a log.zstd", hashlib.sha256(SAMPLE).hexdigest())
    assert client.head(place, headers=TUS).headers["content-location"] == last.headers["content-location"]


def test_u1_u2_a_killed_server_keeps_what_it_said_it_had(home: Path) -> None:
    with serving(home) as (client, process):
        place = begin(client, len(SAMPLE))
        assert patch(client, place, 0, SAMPLE[:9_000]).status_code == 204
        process.kill()
        process.wait()
    with serving(home) as (client, _):
        assert offset(client, place) == 9_000
        last = patch(client, place, 9_000, SAMPLE[9_000:])
        run = ended(client, last.headers["content-location"].rpartition("/")[2])
        assert run["status"] == "done"
        until(lambda: list((home / "uploads").iterdir()) == [])


def test_u3_a_wrong_offset_changes_nothing(client: TestClient) -> None:
    place = begin(client, 100)
    patch(client, place, 0, b"x" * 10)
    for wrong in (0, 9, 11, 99):
        answer = patch(client, place, wrong, b"y" * 5)
        assert (answer.status_code, answer.json()["code"]) == (409, "upload-offset-wrong")
    assert offset(client, place) == 10


def test_u3_of_two_chunks_at_once_one_wins(home: Path) -> None:
    with serving(home) as (client, _):
        place = begin(client, 100)
        host, port = client.base_url.host, client.base_url.port
        assert port is not None
        head = f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 20\r\n\r\n"
        with socket.create_connection((host, port), timeout=10) as first:
            first.sendall(head.encode() + b"x" * 10)
            time.sleep(0.5)
            late = patch(client, place, 0, b"y" * 20)  # whichever came first holds the upload until it ends
            first.sendall(b"x" * 10)
            early = int(first.recv(65_536).split()[1])
        assert {early, late.status_code} == {204, 409}
        assert offset(client, place) == 20


def test_u4_a_wrong_checksum_drops_the_chunk(client: TestClient) -> None:
    place = begin(client, 100)
    right = base64.b64encode(hashlib.sha1(b"abc", usedforsecurity=False).digest()).decode()
    answer = patch(client, place, 0, b"abd", **{"Upload-Checksum": f"sha1 {right}"})
    assert (answer.status_code, offset(client, place)) == (460, 0)
    assert patch(client, place, 0, b"abc", **{"Upload-Checksum": f"sha1 {right}"}).status_code == 204
    assert patch(client, place, 3, b"x", **{"Upload-Checksum": "crc32 AAAA"}).status_code == 422


def test_u5_more_than_was_announced(client: TestClient) -> None:
    assert client.post("/api/v1/uploads", headers={**TUS, "Upload-Length": str(1 << 21)}).status_code == 413
    assert client.post("/api/v1/uploads", headers={**TUS, "Upload-Length": "many"}).status_code == 422
    place = begin(client, 10)
    assert patch(client, place, 0, b"x" * 11).status_code == 413
    assert offset(client, place) == 0


def test_the_protocol_version_and_the_content_type_count(client: TestClient) -> None:
    place = begin(client, 10)
    assert patch(client, place, 0, b"x", **{"Tus-Resumable": "0.2.0"}).status_code == 412
    assert patch(client, place, 0, b"x", **{"Content-Type": "text/plain"}).status_code == 415


def test_u11_ended_expired_and_guessed(home: Path) -> None:
    with TestClient(create_app(Settings(home=home, upload_expires_seconds=1)), raise_server_exceptions=False) as client:
        place = begin(client, 10)
        assert client.delete(place, headers=TUS).status_code == 204
        assert client.head(place, headers=TUS).status_code == 404
        place = begin(client, 10)
        until(lambda: client.head(place, headers=TUS).status_code == 410, 5)
        assert patch(client, place, 0, b"x").json()["code"] == "upload-expired"
        assert client.head("/api/v1/uploads/" + "0" * 32, headers=TUS).status_code == 404
        service = client.app.state.service  # type: ignore[attr-defined]
        assert len(service.uploads.expired()) == 1


def test_u14_the_last_chunk_twice_is_one_run(client: TestClient) -> None:
    before = len(client.get("/api/v1/runs").json()["items"])
    body = b"not a log at all"
    place = begin(client, len(body))
    first = patch(client, place, 0, body)
    again = patch(client, place, 0, body)
    assert (first.status_code, again.status_code) == (204, 409)
    assert len(client.get("/api/v1/runs").json()["items"]) == before + 1
