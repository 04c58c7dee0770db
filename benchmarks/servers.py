"""Servers that a benchmark or a comparison starts on loopback: ours, and a real History Server from an installed pyspark."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port

TICK = os.sysconf("SC_CLK_TCK")
START_SECONDS = 120


class Server:
    """A running server: its address, and what it has used."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.url, self.process = url, process

    def cpu_s(self) -> float:
        """CPU seconds of the process and of its children that ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / TICK

    def rss_mb(self) -> float:
        """Resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        with urllib.request.urlopen(self.url + path, timeout=300) as answer:
            body: bytes = answer.read()
            return body

    def timed(self, path: str) -> float:
        """Seconds until the whole answer was there."""
        begun = time.perf_counter()
        self.get(path)
        return time.perf_counter() - begun


@contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[Server]:
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    server = Server(f"http://127.0.0.1:{port}/api/v1", process)
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(server):
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended by itself with {process.returncode}")
            if time.monotonic() > until:
                raise TimeoutError(f"{command[0]} did not answer within {START_SECONDS} s")
            time.sleep(0.05)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _answers(server: Server) -> bool:
    try:
        server.get("/version")
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def ours(folder: Path, home: Path) -> Iterator[Server]:
    """`serve --log-dir` over a folder, its home empty."""
    port = free_port()
    command = [sys.executable, "-m", "spark_copilot", "serve", "--log-dir", str(folder), "--port", str(port)]
    with _started(command, {"SPARK_COPILOT_HOME": str(home)}, port) as server:
        yield server


@contextmanager
def history_server(python: Path, folder: Path, *, memory: str = "4g") -> Iterator[Server]:
    """Spark's own, from the pyspark beside this interpreter."""
    home = next(python.parent.parent.glob("lib/python*/site-packages/pyspark"))
    port = free_port()
    options = (
        f"-Dspark.history.fs.logDirectory={folder.resolve().as_uri()} -Dspark.history.ui.port={port} -Dspark.history.fs.update.interval=1s"
    )
    environment = {"SPARK_HOME": str(home), "SPARK_HISTORY_OPTS": options, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": memory}
    with _started([str(home / "bin" / "spark-class"), "org.apache.spark.deploy.history.HistoryServer"], environment, port) as server:
        yield server
