"""What happens around the program: slow clients, proxies, handles that run out, wrong settings, many that wait (U7, U13, R5, I10, O…)."""

import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from spark_copilot.app.cli.main import run
from tests.faults.long import long
from tests.faults.test_jobs import send, slow_log
from tests.servers import ended, serving, until
from tests.timing import WAIT_SECONDS, below

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"


def quick(client: httpx.Client, times: int = 40) -> float:
    """95th percentile of the answers to /health, in milliseconds."""
    return most(answers_ms(client, times))


def answers_ms(client: httpx.Client, times: int) -> list[float]:
    """What each of so many answers to /health took."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        assert client.get("/health").status_code == 200
        taken.append(1000 * (time.perf_counter() - begun))
    return taken


def most(taken: list[float]) -> float:
    """Their 95th percentile."""
    return statistics.quantiles(taken, n=20)[-1]


@contextmanager
def sockets(client: httpx.Client, number: int, said: bytes) -> Iterator[list[socket.socket]]:
    """Connections that say so much and no more."""
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection((host, port), timeout=10)) for _ in range(number)]
        for one in opened:
            one.sendall(said)
        yield opened


def closed(one: socket.socket) -> bool:
    """Whether the other side has ended it."""
    one.setblocking(False)
    try:
        while one.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /api/v1/event-logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


def test_u7_clients_that_stop_in_the_middle(home: Path) -> None:
    with (
        serving(home, SPARK_COPILOT_UPLOAD_IDLE_SECONDS="2") as (client, _),
        sockets(client, 150, HEAD) as heads,
        sockets(client, 150, BODY + b"x") as bodies,
    ):
        assert below(quick(client), 250)
        until(lambda: all(closed(one) for one in heads + bodies), 15)


@contextmanager
def silent_collector() -> Iterator[tuple[str, list[socket.socket]]]:
    """A collector of traces that takes connections and never answers; its address, and the connections it has."""
    taken: list[socket.socket] = []
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(stack.enter_context(listener.accept()[0]))

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_o1_a_trace_collector_that_does_not_answer(home: Path, otlp_exporter: Path) -> None:
    traced = {
        "PYTHONPATH": str(otlp_exporter),
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BSP_MAX_QUEUE_SIZE": "64",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "32",
    }
    with (
        silent_collector() as (address, connections),
        serving(home / "plain") as (plain, _),
        serving(home / "traced", OTEL_EXPORTER_OTLP_ENDPOINT=address, **traced) as (client, process),
    ):
        run = send(client, SAMPLE.read_bytes())
        until(lambda: connections)  # spans are on their way, and stay there
        quick(plain), quick(client)
        without, with_it = quick(plain, 200), quick(client, 200)  # four times what may wait to be sent
        assert below(with_it, 3 * without + 20)
        assert ended(client, run)["status"] == "done"
        begun = time.monotonic()
        process.terminate()
        process.wait(timeout=300)
        assert below(time.monotonic() - begun, 15)


@long
def test_u7_clients_that_send_a_byte_a_second(home: Path) -> None:
    taken: list[float] = []
    with serving(home) as (client, _), sockets(client, 500, BODY) as opened:
        for _ in range(30):
            for one in opened:
                one.sendall(b"x")
            taken += answers_ms(client, 20)
            time.sleep(1)
    assert below(most(taken), 250)


def test_u13_thousands_of_ranges(home: Path) -> None:
    logs = home.parent / "logs"
    logs.mkdir()
    (logs / "log.zstd").write_bytes(SAMPLE.read_bytes())
    from starlette.testclient import TestClient

    from spark_copilot.app.config import Settings
    from spark_copilot.app.main import create_app

    with TestClient(create_app(Settings(home=home), logs)) as client:
        app_id = client.get("/api/v1/applications").json()[0]["id"]
        path = f"/api/v1/applications/{app_id}/logs"
        whole = client.get(path)
        ranges = ",".join(f"{n}-{n}" for n in range(10_000))
        begun = time.process_time()
        answer = client.get(path, headers={"Range": f"bytes={ranges}"})
        assert below(time.process_time() - begun, 2)
    assert answer.status_code in (200, 206, 416)
    assert len(answer.content) <= len(whole.content) + 1_000


def test_r5_a_forged_forwarding_header_is_not_believed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "--name", "a", "--scope", "admin", "--tenant", "local"]) == 0
    headers = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}

    def address(client: httpx.Client, request_id: str) -> str:
        client.get("/api/v1/runs", headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": request_id})

        def line() -> str | None:  # it is written after the answer
            lines = client.get("/api/v1/audit", headers=headers).json()["items"]
            return next((line["address"] for line in lines if line["request_id"] == request_id), None)

        return str(until(line))

    with serving(home) as (client, _):
        assert address(client, "direct") == "127.0.0.1"
    with serving(home, SPARK_COPILOT_TRUSTED_PROXIES="127.0.0.1") as (client, _):
        assert address(client, "behind") == "203.0.113.9"


EVIL = {
    "job.yaml": "!!python/object/apply:os.system ['touch {mark}']\n",
    "values.yml": "spark: !!python/object/new:subprocess.Popen [[touch, '{mark}']]\n",
    "core-site.xml": '<?xml version="1.0"?><!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><configuration><property><name>spark.app.name</name><value>&x;</value></property></configuration>',
    "job.py": "import os\nos.system('touch {mark}')\nspark.conf.set('spark.sql.shuffle.partitions', __import__('os').system('touch {mark}'))\n",
    "job.json": '{{"py/object": "os.system", "spark.executor.memory": "8g"}}',
    "laughs.yaml": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
}


@pytest.mark.parametrize("name", EVIL)
def test_i10_files_that_hold_code_are_read_as_data(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "ran"
    text = EVIL[name]
    (tmp_path / name).write_text(text if name == "laughs.yaml" or name.endswith(".xml") else text.format(mark=mark))
    done = subprocess.run(
        [sys.executable, "-m", "spark_copilot", "gate", str(tmp_path / name), "--format", "json"],
        capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    assert not mark.exists()
    assert "root:" not in done.stdout + done.stderr


def test_o2_no_file_handles_left(home: Path) -> None:
    with serving(home) as (client, server):
        before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        held = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (held + 5, before[1]))
        with sockets(client, 30, b""):
            with httpx.Client(base_url=client.base_url, timeout=2, trust_env=False) as late, suppress(httpx.TransportError):
                assert late.get("/health/ready").status_code in (200, 503)
            assert server.poll() is None
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        with httpx.Client(base_url=client.base_url, timeout=5, trust_env=False) as again:
            until(lambda: again.get("/health/ready").status_code == 200, 20)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SPARK_COPILOT_PORT", "geheim1"),
        ("SPARK_COPILOT_LOG_LEVEL", "geheim2"),
        ("SPARK_COPILOT_JOB_LEASE_SECONDS", "-1"),
        ("DATABASE_URL", "geheim3"),
        ("SPARK_COPILOT_REDIS_URL", "geheim4"),
        ("DATABASE_URL", "postgresql://u:geheim5@127.0.0.1:1/none"),
    ],
)
def test_o3_a_wrong_setting_is_named_and_never_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    del home
    monkeypatch.setenv(variable, value)
    assert run(["serve", "--port", "1"]) in (2, 5)
    out, err = capsys.readouterr()
    assert variable in err
    assert "geheim" not in out + err
    assert "Traceback" not in err


def test_o6_many_idle_streams(home: Path) -> None:
    with serving(home, SPARK_COPILOT_ANALYSIS_CONCURRENCY="1") as (client, _):
        send(client, slow_log(5, "A"))
        waiting = send(client, slow_log(1, "B"))
        ask = f"GET /api/v1/runs/{waiting}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with sockets(client, 100, ask) as opened:
            until(lambda: opened[-1].recv(65_536, socket.MSG_PEEK), 10)
            assert below(quick(client), 250)
            client.post(f"/api/v1/runs/{waiting}/cancel")
            for one in opened:
                one.settimeout(WAIT_SECONDS)
                text = b""
                while b"event: cancelled" not in text:
                    piece = one.recv(65_536)
                    assert piece, text
                    text += piece


@long
def test_o7_an_hours_work_in_ten_minutes(home: Path) -> None:
    from backports import zstd

    log = zstd.decompress(SAMPLE.read_bytes())
    with serving(home) as (client, server):

        def taken() -> tuple[int, int]:
            """Resident MiB and open files."""
            pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
            return pages * resource.getpagesize() >> 20, len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

        def work(times: int, mark: str) -> None:
            for number in range(times):
                run_id = send(client, log + f'{{"Event":"Mark{mark}{number}"}}\n'.encode())
                until(lambda run_id=run_id: client.get(f"/api/v1/runs/{run_id}").json()["status"] == "done")  # type: ignore[misc]
                client.get(f"/api/v1/runs/{run_id}/report", params={"format": "html"})
                client.delete(f"/api/v1/runs/{run_id}")

        work(60, "warm")
        first = taken()
        work(300, "then")
        last = taken()
    assert last[0] - first[0] < 64
    assert last[1] - first[1] < 20
