"""Servers of ours on loopback, and what a measurement asks them."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_copilot.connectors.eventlog import ReadLimits
from spark_copilot.connectors.eventlog.decompress import Snapshot, blocks
from tests.postgres import new_database
from tests.servers import free_port, started, until

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "app" / "samples" / "skewed-join.zstd"
Environment = dict[str, str]
READY_SECONDS = 120


@contextmanager
def serving(home: Path, environment: Environment, port: int = 0) -> Iterator[tuple[int, int]]:
    """`spark-copilot serve` on a port; the port and its process id."""
    port = port or free_port()
    with started(home, ["serve", "--port", str(port)], **environment) as process:
        until(lambda: answers(port), READY_SECONDS)
        yield port, process.pid


def answers(port: int) -> bool:
    """Whether the server is ready."""
    try:
        return ask(port, "GET", "/health/ready")[0] == 200
    except OSError:
        return False


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def memory_mb(pid: int, what: str) -> float:
    """VmRSS or VmHWM of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise LookupError(what)


def state(port: int, run_id: str) -> str:
    """A run's status."""
    return str(json.loads(ask(port, "GET", f"/api/v1/runs/{run_id}")[1])["status"])


def sample_lines() -> list[bytes]:
    """The lines of the sample log."""
    return b"".join(blocks(SAMPLE.name, Snapshot(SAMPLE), ReadLimits())).splitlines()


def engine_of(environment: Environment) -> Environment:
    """Another database of the same engine."""
    url = environment.get("DATABASE_URL")
    return {"DATABASE_URL": new_database(url.rpartition("/")[0])} if url is not None else {}
