"""The real server and the real worker, as processes on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.timing import COUNTED, WAIT_SECONDS

QUICK = {
    "SPARK_COPILOT_JOB_LEASE_SECONDS": "1.5",
    "SPARK_COPILOT_JOB_HEARTBEAT_SECONDS": "0.3",
    "SPARK_COPILOT_JOB_SWEEP_SECONDS": "0.3",
}
"""Recovery in seconds instead of half a minute."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(home: Path, **settings: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """`spark-copilot serve` on a free port; a client of it and its process."""
    with _serving(home, [], settings) as both:
        yield both


@contextmanager
def history_server(home: Path, logs: Path) -> Iterator[httpx.Client]:
    """The same over a folder of logs; a client of it."""
    with _serving(home, ["--log-dir", str(logs)], {}) as (client, _):
        yield client


@contextmanager
def _serving(home: Path, more: list[str], settings: dict[str, str]) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    port = free_port()
    with (
        started(home, ["serve", "--port", str(port), *more], **settings) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_SECONDS, trust_env=False) as client,
    ):
        until(lambda: _answers(client) or process.poll() is not None)
        assert process.poll() is None, (home / "serve.log").read_text()
        yield client, process


@contextmanager
def started(home: Path, arguments: list[str], **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of ours, ended when the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SPARK_COPILOT_HOME": str(home), **settings}
    with (home / f"{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "spark_copilot", *arguments], env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=WAIT_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def until(found: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """What the function finds, once it finds something; where time does not count, no wait is short."""
    seconds = seconds if COUNTED else max(seconds, WAIT_SECONDS)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"nothing came of it within {seconds:g} s")


def ended(client: Any, run_id: str) -> dict[str, Any]:
    """The run once it is done, failed or cancelled."""

    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = client.get(f"/api/v1/runs/{run_id}").json()
        return run if run["status"] in ("done", "failed", "cancelled") else None

    found: dict[str, Any] = until(look)
    return found


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
