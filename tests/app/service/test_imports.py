"""Logs that the server fetches: from a store that speaks S3, and from a History Server, which is our own."""

import io
import os
import signal
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.app.service import Service
from spark_copilot.connectors.eventlog import raw_lines
from spark_copilot.orchestration.analyse import analyze
from spark_copilot.rules_engine.errors import UsageError
from tests.object_stores import put
from tests.servers import QUICK, ended, history_server, serving, until

SAMPLES = Path(str(files("spark_copilot.app"))) / "samples"
SKEWED, SLOW = SAMPLES / "skewed-join.zstd", SAMPLES / "slow-driver.zstd"
IMPORT = "/api/v1/event-logs/import"


@contextmanager
def server(home: Path, **settings: Any) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=home, **settings)), raise_server_exceptions=False) as client:
        yield client


def imported(client: Any, url: str, **more: Any) -> dict[str, Any]:
    """The run of an import, ended."""
    answer = client.post(IMPORT, json={"url": url, **more})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/runs/{answer.json()['run_id']}"
    return ended(client, answer.json()["run_id"])


def uploads(home: Path) -> list[Path]:
    return list((home / "uploads").iterdir()) if (home / "uploads").is_dir() else []


@pytest.fixture(scope="module")
def store(s3_bucket: str) -> dict[str, str]:
    """A store with logs and other things in the bucket `logs`; the environment to find it in."""
    put(s3_bucket, "ev/skewed.zstd", SKEWED.read_bytes())
    put(s3_bucket, "ev/junk", b"<html>not a log</html>\n" * 100)
    put(s3_bucket, "ev/empty", b"")
    put(s3_bucket, "ev/large", os.urandom(300_000))
    put(s3_bucket, "ev/eventlog_v2_app-1/appstatus_app-1", b"")
    lines = [line.rstrip(b"\n") + b"\n" for line in raw_lines(SLOW)]
    for number in range(3):
        put(s3_bucket, f"ev/eventlog_v2_app-1/events_{number + 1}_app-1", b"".join(lines[number * 40 : number * 40 + 40]))
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def test_from_a_store(store: dict[str, str], home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with server(home, import_from="s3://logs/ev") as client:
        run = imported(client, "s3://logs/ev/skewed.zstd")
        assert (run["status"], run["filename"], run["source"]) == ("done", "skewed.zstd", "s3://logs/ev/skewed.zstd")
        assert (run["size_bytes"], len(run["content_hash"])) == (SKEWED.stat().st_size, 64)
        assert client.get(f"/api/v1/runs/{run['run_id']}/report").text == analyze(str(SKEWED)).model_dump_json(by_alias=True)
        names = [line[7:] for line in client.get(f"/api/v1/runs/{run['run_id']}/events").text.splitlines() if line.startswith("event: ")]
        assert names[:3] == ["queued", "running", "fetching"]
        assert names[-1] == "done"
    assert uploads(home) == []
    written = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file()) + caplog.text.encode()
    assert store["AWS_SECRET_ACCESS_KEY"].encode() not in written


def test_the_folder_of_a_rolled_log_is_one_log(store: dict[str, str], home: Path) -> None:
    with server(home, import_from="s3://logs") as client:
        run = imported(client, "s3://logs/ev/eventlog_v2_app-1/")
        assert run["status"] == "done", run
        report = client.get(f"/api/v1/runs/{run['run_id']}/report").json()
        assert report["findings"] == analyze(str(SLOW)).model_dump(mode="json", by_alias=True)["findings"]
        assert imported(client, "s3://logs/ev/eventlog_v2_app-1")["run_id"] == run["run_id"]  # the same parts are the same bytes


@pytest.mark.parametrize(
    ("key", "code"), [("ev/none", "source-not-found"), ("ev/junk", "not-an-event-log"), ("ev/empty", "not-an-event-log"), ("ev/large", "limit-exceeded")]
)  # fmt: skip
def test_what_cannot_be_had_from_a_store(store: dict[str, str], home: Path, key: str, code: str) -> None:
    with server(home, import_from="s3://logs", max_upload_bytes=200_000) as client:
        run = imported(client, f"s3://logs/{key}")
        assert (run["status"], run["error"]["code"]) == ("failed", code)
        answer = client.get(f"/api/v1/runs/{run['run_id']}/report")
        assert answer.json()["code"] == code
        if code != "not-an-event-log" or key == "ev/empty":
            assert "content_hash" not in run
    assert uploads(home) == []


def test_bytes_that_the_tenant_has_are_its_run(store: dict[str, str], home: Path) -> None:
    with server(home, import_from="s3://logs") as client:
        sent = client.post("/api/v1/event-logs", content=SKEWED.read_bytes()).json()["run_id"]
        ended(client, sent)
        answer = client.post(IMPORT, json={"url": "s3://logs/ev/skewed.zstd"}, headers={"Idempotency-Key": "one"})
        alias = answer.json()["run_id"]
        assert alias != sent
        assert until(lambda: client.get(f"/api/v1/runs/{alias}").json()["run_id"] == sent)
        assert client.get(f"/api/v1/runs/{alias}/report").text == client.get(f"/api/v1/runs/{sent}/report").text
        finding = client.get(f"/api/v1/runs/{alias}/findings").json()["items"][0]
        said = client.post(f"/api/v1/runs/{alias}/findings/{finding['key']}/feedback", json={"verdict": "useful"})
        assert said.status_code == 200, said.text
        assert client.get(f"/api/v1/runs/{sent}/findings").json()["items"][0]["feedback"] == "useful"
        assert "event: done" in client.get(f"/api/v1/runs/{alias}/events").text
        assert len(client.get("/api/v1/runs").json()["items"]) == 1
        again = client.post(IMPORT, json={"url": "s3://logs/ev/skewed.zstd"}, headers={"Idempotency-Key": "one"})
        assert again.json()["run_id"] == sent
        other = client.post(IMPORT, json={"url": "s3://logs/ev/junk"}, headers={"Idempotency-Key": "one"})
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
        assert client.delete(f"/api/v1/runs/{alias}").status_code == 204
        assert {client.get(f"/api/v1/runs/{name}").status_code for name in (alias, sent)} == {404}
    assert uploads(home) == []


def test_without_the_client_it_is_said_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with server(home, import_from="gs://logs") as client:
        answer = client.post(IMPORT, json={"url": "gs://logs/x"})
    assert answer.status_code == 503
    assert answer.json()["hint"] == 'pip install "spark-intelligence-copilot[cloud]"'


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "s3://logs/x"}, 403, "import-not-allowed"),
        ({"url": "http://169.254.169.254/latest", "application": "x"}, 403, "import-not-allowed"),
        ({"url": "http://u:p@127.0.0.1/", "application": "x"}, 422, "source-not-valid"),
        ({"url": "file:///etc/passwd"}, 422, "source-not-valid"),
        ({"url": "http://127.0.0.1"}, 422, "source-not-valid"),
        ({"url": "s3://logs/x", "application": "x"}, 422, "source-not-valid"),
        ({"url": "s3://logs"}, 422, "source-not-valid"),
        ({"url": "s3://logs/x", "token": "mine"}, 422, "request-not-valid"),
        ({}, 422, "request-not-valid"),
    ],
)
def test_what_is_refused_at_once(home: Path, body: dict[str, Any], status: int, code: str) -> None:
    with server(home) as client:
        answer = client.post(IMPORT, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert client.get("/api/v1/runs").json()["items"] == []


def test_settings_that_cannot_be_read_stop_the_server(home: Path) -> None:
    with pytest.raises(UsageError, match="SPARK_COPILOT_IMPORT_FROM"):
        Service(Settings(home=home, import_from="nonsense"))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Our own server as the History Server: its address, an application of it, and that one's log."""
    folder = tmp_path_factory.mktemp("history")
    logs = folder / "logs"
    logs.mkdir()
    (logs / SKEWED.name).write_bytes(SKEWED.read_bytes())
    with history_server(folder / "home", logs) as client:
        yield str(client.base_url).rstrip("/"), client.get("/api/v1/applications").json()[0]["id"], logs / SKEWED.name


def test_from_a_history_server(history: tuple[str, str, Path], home: Path) -> None:
    url, application, log = history
    with server(home, import_from=url) as client:
        for more in ({}, {"attempt": "1"}):
            run = imported(client, url, application=application, **more)
            if run["status"] != "done":  # an application without attempts has none to name
                assert (more, run["error"]["code"]) == ({"attempt": "1"}, "source-not-found")
                continue
            report = client.get(f"/api/v1/runs/{run['run_id']}/report").json()
            assert report["application"]["id"] == application
            assert report["findings"] == analyze(str(log)).model_dump(mode="json", by_alias=True)["findings"]
        assert run["filename"] == f"{application}.zip"
        none = imported(client, url, application="app-none")
        assert (none["status"], none["error"]["code"]) == ("failed", "source-not-found")
    assert uploads(home) == []


def test_a_name_that_leads_into_a_private_network(history: tuple[str, str, Path], home: Path, tmp_path: Path) -> None:
    url, application, _ = history
    named = url.replace("127.0.0.1", "localhost")
    with server(home, import_from=named) as client:
        run = imported(client, named, application=application)
        assert (run["status"], run["error"]["code"]) == ("failed", "import-address-refused")
    with server(tmp_path / "other", import_from=named, import_networks="127.0.0.0/8,::1/128") as client:
        assert imported(client, named, application=application)["status"] == "done"


class SlowSource:
    """A History Server that sends a log, a little at a time, until it is told to go on."""

    def __init__(self) -> None:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.write(SKEWED, "skewed-join.zstd")
        self.body, self.hurry, self.asked = made.getvalue(), threading.Event(), 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self._send, args=(peer,), daemon=True).start()

    def _send(self, peer: socket.socket) -> None:
        with peer:
            try:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(self.body))
                for start in range(0, len(self.body), 50):
                    peer.sendall(self.body[start : start + 50])
                    if not self.hurry.is_set():
                        time.sleep(0.1)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def slow() -> Iterator[SlowSource]:
    source = SlowSource()
    yield source
    source.close()


def fetching(client: Any, run_id: str) -> bool:
    progress = client.get(f"/api/v1/runs/{run_id}").json()["progress"]
    return bool(progress["stage"] == "fetching" and progress["received_bytes"] > 0 and progress["size_bytes"] > progress["received_bytes"])


def test_a_fetch_can_be_cancelled(slow: SlowSource, home: Path) -> None:
    with server(home, import_from=slow.url, job_heartbeat_seconds=0.2) as client:
        run_id = client.post(IMPORT, json={"url": slow.url, "application": "app-1"}).json()["run_id"]
        until(lambda: fetching(client, run_id))
        assert client.post(f"/api/v1/runs/{run_id}/cancel").json()["status"] == "cancelled"
        until(lambda: uploads(home) == [])
        assert client.get(f"/api/v1/runs/{run_id}").json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"import_seconds": 1}, "source-too-slow"), ({"max_upload_bytes": 100}, "limit-exceeded"), ({"upload_idle_seconds": 1, "job_attempts": 1}, "source-unavailable")],
)  # fmt: skip
def test_a_source_that_takes_too_long_or_sends_too_much(slow: SlowSource, home: Path, settings: dict[str, Any], code: str) -> None:
    url = slow.url
    silent = socket.create_server(("127.0.0.1", 0))
    if "upload_idle_seconds" in settings:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with silent, server(home, import_from=url, **settings) as client:
        run = imported(client, url, application="app-1")
    assert (run["status"], run["error"]["code"]) == ("failed", code)
    assert uploads(home) == []


def test_a_server_killed_while_it_fetches_fetches_again(slow: SlowSource, home: Path) -> None:
    with serving(home, SPARK_COPILOT_IMPORT_FROM=slow.url, **QUICK) as (client, process):
        run_id = client.post(IMPORT, json={"url": slow.url, "application": "app-1"}).json()["run_id"]
        until(lambda: fetching(client, run_id))
        process.send_signal(signal.SIGKILL)
        process.wait()
    slow.hurry.set()
    with serving(home, SPARK_COPILOT_IMPORT_FROM=slow.url, **QUICK) as (client, _):
        assert ended(client, run_id)["status"] == "done"
    assert slow.asked == 2


def test_a_server_that_stops_gives_the_fetch_back(slow: SlowSource, home: Path) -> None:
    with server(home, import_from=slow.url) as client:
        run_id = client.post(IMPORT, json={"url": slow.url, "application": "app-1"}).json()["run_id"]
        until(lambda: fetching(client, run_id))
    with server(home, import_from="s3://elsewhere") as client:  # what was allowed then is not any more
        run = ended(client, run_id)
    assert (run["status"], run["error"]["code"]) == ("failed", "import-not-allowed")


def test_quotas_hold_for_what_is_fetched(history: tuple[str, str, Path], home: Path) -> None:
    url, application, _ = history
    with server(home, import_from=url, quota_bytes=SKEWED.stat().st_size + 100, quota_runs=3) as client:
        access = client.app.state.access  # type: ignore[attr-defined]
        client.headers["Authorization"] = f"Bearer {access.keys.create('acme', 'test', 'write', None)[0]}"
        access._needed = True
        client.post("/api/v1/event-logs", content=SLOW.read_bytes())
        run = imported(client, url, application=application)
        assert (run["status"], run["error"]["code"]) == ("failed", "limit-exceeded")
        run = imported(client, url, application="app-none")
        refused = client.post(IMPORT, json={"url": url, "application": application})
        assert (refused.status_code, refused.json()["code"]) == (403, "quota-runs")
        read = client.get("/api/v1/audit", headers={"Authorization": f"Bearer {access.keys.create('acme', 'test', 'admin', None)[0]}"})
        lines = [line for line in read.json()["items"] if line["action"] == f"POST {IMPORT}"]
        assert [line["status"] for line in lines] == [403, 202, 202]
