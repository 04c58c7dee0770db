"""The service under load, on SQLite and on PostgreSQL, each figure beside its baseline in the same run (about ten minutes).

    python -m benchmarks.load [--small] [--engine sqlite|postgresql]

upload   a large body streamed in, beside `cp` of the same bytes through the same kind of loopback socket to the same disk; the API's memory meanwhile
reads    50 clients that each ask once a second while two logs are being analysed, beside the same with nothing being analysed
killed   200 logs of 1 MB by 20 clients, kill -9 of the worker every 10 s, beside the same without kills: all analysed, none twice, none lost
rolling  two servers behind a balancer, restarted one after the other under requests, beside one server restarted
"""

import argparse
import asyncio
import http.client
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.parse import repeated
from spark_copilot.connectors.eventlog import ReadLimits
from spark_copilot.connectors.eventlog.decompress import Snapshot, blocks
from spark_copilot.storage.database import Database
from tests import postgres
from tests.servers import started

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "load.json"
SAMPLE = ROOT / "app" / "samples" / "skewed-join.zstd"
PIECE = 1 << 20
Environment = dict[str, str]


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    upload_bytes: int = 2 << 30
    upload_rounds: int = 3
    large_log_mb: int = 400
    read_clients: int = 50
    read_seconds: float = 20.0
    logs: int = 200
    senders: int = 20
    kill_every_s: float = 10.0
    rolling_clients: int = 8


SMALL = Size(
    upload_bytes=256 << 20, upload_rounds=1, large_log_mb=60, read_seconds=5.0, logs=20, senders=5, kill_every_s=8.0, rolling_clients=4
)


# Servers


@contextmanager
def serving(home: Path, environment: Environment, port: int = 0) -> Iterator[tuple[int, int]]:
    """`spark-copilot serve` on a port; the port and its process id."""
    port = port or free_port()
    with started(home, ["serve", "--port", str(port)], **environment) as process:
        wait(lambda: answers(port))
        yield port, process.pid


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def wait(found: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What the function finds, once it finds something."""
    until = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > until:
            raise TimeoutError(f"nothing came of it within {seconds:g} s")
        time.sleep(0.05)
    return value


def memory_mb(pid: int, what: str) -> float:
    """VmRSS or VmHWM of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise LookupError(what)


# Upload


COPY = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
buffer = memoryview(bytearray(1 << 20))
while True:
    peer, _ = listener.accept()
    with peer, open(sys.argv[1], "wb", buffering=0) as out:
        left = int.from_bytes(peer.recv(8, socket.MSG_WAITALL), "big")
        while left:
            got = peer.recv_into(buffer)
            out.write(buffer[:got])
            left -= got
        os.fsync(out.fileno())
        peer.sendall(b"!")
"""


def upload(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Seconds of an upload and of a copy, by turns; and the API's memory."""
    ours, copied, status = [], [], set()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=home.parent)))
        port, pid = stack.enter_context(serving(home, environment))
        copier = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", COPY, str(folder / "copy")], stdout=subprocess.PIPE, text=True)
        )  # fmt: skip
        stack.callback(copier.kill)
        assert copier.stdout is not None
        copy_port = int(copier.stdout.readline())
        body = folder / "body"
        piece = os.urandom(PIECE)
        with body.open("wb") as out:
            for _ in range(size.upload_bytes // PIECE):
                out.write(piece)
        before = memory_mb(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        for number in range(size.upload_rounds):
            with body.open("r+b") as out:
                out.write(b"%08d" % number)  # other bytes each time, else the run is there already
            with body.open("rb") as source:
                seconds, answer = sent(port, source, size.upload_bytes)
                ours.append(seconds)
                status.add(answer)
            with body.open("rb") as source:
                copied.append(copy(copy_port, source, size.upload_bytes))
        peak = memory_mb(pid, "VmHWM")
    assert status == {202}, status
    seconds, base = statistics.median(ours), statistics.median(copied)
    return {
        "bytes": size.upload_bytes, "seconds": round(seconds, 2), "cp_seconds": round(base, 2),
        "mb_per_s": round(size.upload_bytes / seconds / 1e6), "cp_mb_per_s": round(size.upload_bytes / base / 1e6),
        "share_of_cp": round(base / seconds, 2), "api_mb_before": round(before), "api_peak_mb": round(peak),
    }  # fmt: skip


def sent(port: int, source: Any, length: int) -> tuple[float, int]:
    """Seconds from the first byte to the answer, and its status."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        begun = time.perf_counter()
        peer.sendall(b"POST /api/v1/event-logs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
        peer.sendfile(source)
        answer = peer.recv(65_536)
        return time.perf_counter() - begun, int(answer.split()[1])


def copy(port: int, source: Any, length: int) -> float:
    """Seconds of the copy, synced like the upload."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        begun = time.perf_counter()
        peer.sendall(length.to_bytes(8, "big"))
        peer.sendfile(source)
        assert peer.recv(1) == b"!"
        return time.perf_counter() - begun


# Reads


def reads(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Latencies with nothing else going on, then while two logs are analysed."""
    lines = sample_lines()
    with serving(home, environment) as (port, _):
        run_id = str(json.loads(ask(port, "POST", "/api/v1/event-logs", SAMPLE.read_bytes())[1])["run_id"])
        wait(lambda: state(port, run_id) == "done")
        idle = asked(port, run_id, size)
        large = []
        for number in range(2):
            named = [line.replace(b"skewed-join", b"large-%d" % number) for line in lines]
            log = b"\n".join(repeated(named, size.large_log_mb * 1_000_000))
            large.append(str(json.loads(ask(port, "POST", "/api/v1/event-logs", log)[1])["run_id"]))
        del log
        wait(lambda: [state(port, one) for one in large] == ["running"] * 2)
        busy = asked(port, run_id, size)
        still = [state(port, one) for one in large]
    return {
        "clients": size.read_clients, "requests": busy["requests"], "failed": idle["failed"] + busy["failed"],
        "idle_p50_ms": idle["p50_ms"], "idle_p95_ms": idle["p95_ms"], "p50_ms": busy["p50_ms"], "p95_ms": busy["p95_ms"], "max_ms": busy["max_ms"],
        "still_analysing_at_the_end": still.count("running"),
    }  # fmt: skip


def sample_lines() -> list[bytes]:
    """The lines of the sample log."""
    return b"".join(blocks(SAMPLE.name, Snapshot(SAMPLE), ReadLimits())).splitlines()


def state(port: int, run_id: str) -> str:
    """A run's status."""
    return str(json.loads(ask(port, "GET", f"/api/v1/runs/{run_id}")[1])["status"])


def asked(port: int, run_id: str, size: Size) -> dict[str, Any]:
    """What the clients saw; they are a process of their own."""
    command = [sys.executable, "-m", "benchmarks.load", "--clients", str(port), run_id, str(size.read_clients), str(size.read_seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def clients(port: int, run_id: str, count: int, seconds: float) -> dict[str, Any]:
    """Each asks for one thing a second, beginning at a moment of its own, over a connection that it keeps."""
    paths = ["/api/v1/runs", *(f"/api/v1/runs/{run_id}{rest}" for rest in ("", "/report", "/findings")),
             f"/api/v1/metrics/{run_id}", f"/api/v1/recommendations/{run_id}"]  # fmt: skip
    times: list[float] = []
    failed = 0
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        nonlocal failed
        await asyncio.sleep(number / count)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = number
        while time.monotonic() < until:
            begun = time.perf_counter()
            writer.write(f"GET {paths[turn % len(paths)]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")  # not a library's client: fifty of those would be what is measured
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            times.append(time.perf_counter() - begun)
            failed += head.split()[1] != b"200"
            turn += 1
            await asyncio.sleep(max(0.0, 1.0 - times[-1]))
        writer.close()

    await asyncio.gather(*(one(number) for number in range(count)))
    cuts = statistics.quantiles(times, n=20)
    return {
        "requests": len(times), "failed": failed, "p50_ms": round(1000 * cuts[9], 1), "p95_ms": round(1000 * cuts[18], 1),
        "max_ms": round(1000 * max(times), 1),
    }  # fmt: skip


# Killed workers


def killed(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Small logs with kills, and without."""
    base = drained(home.with_name(f"{home.name}-whole"), environment | engine_of(environment), size, kill=False)
    found = drained(home, environment, size, kill=True)
    return found | {"seconds_without_kills": base["seconds"]}


def engine_of(environment: Environment) -> Environment:
    """Another database of the same engine."""
    url = environment.get("DATABASE_URL")
    return {"DATABASE_URL": new_database(url.rpartition("/")[0])} if url is not None else {}


def drained(home: Path, environment: Environment, size: Size, *, kill: bool) -> dict[str, Any]:
    """Send the logs, wait until none is under way, and look what became of each."""
    lines = sample_lines()
    kills = 0
    with ExitStack() as stack:
        port, _ = stack.enter_context(serving(home, environment | {"SPARK_COPILOT_WORKER_INSIDE": "0"}))
        stop = threading.Event()

        def work() -> None:
            nonlocal kills
            while not stop.is_set():
                with started(home, ["worker"], **environment) as worker:
                    if not stop.wait(size.kill_every_s if kill else 1e6):
                        worker.send_signal(signal.SIGKILL)
                        worker.wait()
                        kills += 1

        thread = threading.Thread(target=work)
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)

        def send(number: int) -> str:
            log = b"\n".join(repeated([line.replace(b"skewed-join", b"small-%d" % number) for line in lines], 1_000_000))
            status, answer = ask(port, "POST", "/api/v1/event-logs", log)
            assert status == 202, answer
            return str(json.loads(answer)["run_id"])

        begun = time.monotonic()
        with ThreadPoolExecutor(size.senders) as pool:
            sent_ids = list(pool.map(send, range(size.logs)))
        wait(lambda: {state(port, run_id) for run_id in sent_ids} <= {"done", "failed", "cancelled"}, 900)
        seconds = time.monotonic() - begun
        listed = json.loads(ask(port, "GET", "/api/v1/runs?limit=1000")[1])["items"]
        jobs, ends = outcomes(home, environment)
    by_id = {run["run_id"]: run["status"] for run in listed}
    return {
        "logs": size.logs, "seconds": round(seconds, 1), "kills": kills,
        "done": sum(by_id.get(run_id) == "done" for run_id in sent_ids), "lost": sum(run_id not in by_id for run_id in sent_ids),
        "failed": sum(by_id.get(run_id) == "failed" for run_id in sent_ids),
        "analysed_twice": sum(count > 1 for count in ends.values()), "attempts_cut_short": sum(jobs) - size.logs,
    }  # fmt: skip


def outcomes(home: Path, environment: Environment) -> tuple[list[int], dict[str, int]]:
    """Attempts of each job, and how often each run was ended as done."""
    database = Database(environment.get("DATABASE_URL"), home)
    with database.engine.connect() as connection:
        jobs = [int(row[0]) for row in connection.exec_driver_sql("SELECT attempts FROM jobs")]
        ends = {
            str(run): int(n)
            for run, n in connection.exec_driver_sql("SELECT run_id, count(*) FROM run_events WHERE name = 'done' GROUP BY run_id")
        }
    database.close()
    return jobs, ends


# Rolling restart


@dataclass
class Balancer:
    """Hands each connection to a server that is in service; a server that refuses is passed over."""

    servers: list[int]
    out: set[int] = field(default_factory=set)
    open: dict[int, int] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _turn: int = 0

    def start(self) -> None:
        """In a thread of its own."""
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True).start()
        ready.wait()

    async def _run(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        ready.set()
        await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        order = self.servers[self._turn % len(self.servers) :] + self.servers[: self._turn % len(self.servers)]
        for port in [port for port in order if port not in self.out]:
            try:
                there, back = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self.open[port] = self.open.get(port, 0) + 1
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                self.open[port] -= 1
            return
        writer.close()


async def _pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65_536):
            to.write(piece)
            await to.drain()
        to.write_eof()
    except OSError:
        to.close()


def rolling(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Requests that failed while servers were restarted."""
    found = {}
    for servers in (2, 1):
        found[servers] = restarted(home.with_name(f"{home.name}-{servers}"), environment | engine_of(environment), size, servers)
    two, one = found[2], found[1]
    return {"servers": 2, "requests": two["requests"], "failed": two["failed"], "sent_and_done": f"{two['done']} of {two['sent']}",
            "failed_with_one_server": one["failed"], "requests_with_one_server": one["requests"]}  # fmt: skip


def restarted(home: Path, environment: Environment, size: Size, servers: int) -> dict[str, Any]:
    """Restart every server once, one after the other, while clients send and read through the balancer."""
    lines = sample_lines()
    balancer = Balancer([free_port() for _ in range(servers)])
    requests, failures, sent_ids = 0, [], []
    lock, stop = threading.Lock(), threading.Event()

    def client() -> None:
        nonlocal requests
        run_id = None
        while not stop.is_set():
            log = b"\n".join(line.replace(b"skewed-join", b"rolling-%s" % secrets.token_hex(4).encode()) for line in lines)
            path = f"/api/v1/runs/{run_id}" if run_id is not None else "/api/v1/runs"
            for method, where, body in (("POST", "/api/v1/event-logs", log), ("GET", path, None), ("GET", "/api/v1/runs", None)):
                try:
                    status, answer = ask(balancer.port, method, where, body)
                    wrong = None if status in (200, 202) else f"{method} {where}: {status} {answer[:200]!r}"
                except (OSError, http.client.HTTPException) as error:
                    status, answer, wrong = 0, b"", f"{method} {where}: {error!r}"
                with lock:
                    requests += 1
                    if wrong is not None:
                        failures.append(wrong)
                    elif method == "POST":
                        run_id = json.loads(answer)["run_id"]
                        sent_ids.append(run_id)
                stop.wait(0.1)

    with ExitStack() as stack:
        running = {port: stack.enter_context(ExitStack()) for port in balancer.servers}
        for port, own in running.items():
            own.enter_context(serving(home, environment, port))
        balancer.start()
        with ThreadPoolExecutor(size.rolling_clients) as pool:
            for _ in range(size.rolling_clients):
                pool.submit(client)
            time.sleep(2)
            for port, own in running.items():
                balancer.out.add(port)
                if servers > 1:  # as a rolling update does: no new requests, the old ones end, then SIGTERM
                    wait(lambda port=port: balancer.open.get(port, 0) == 0)
                own.close()
                own.enter_context(serving(home, environment, port))
                balancer.out.discard(port)
                time.sleep(1)
            stop.set()
        port = balancer.servers[0]
        wait(lambda: {state(port, run_id) for run_id in sent_ids} <= {"done", "failed"}, 600)
        done = sum(state(port, run_id) == "done" for run_id in sent_ids)
    for failure in failures[:3] if servers > 1 else []:
        print("  failed:", failure)
    return {"requests": requests, "failed": len(failures), "sent": len(sent_ids), "done": done}


# All of it


def new_database(server: str) -> str:
    """An empty database of a PostgreSQL server."""
    import psycopg

    name = f"load_{secrets.token_hex(4)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"


def measured(engine: str, size: Size) -> dict[str, Any] | None:
    """Every measurement on one engine; None where it is not installed."""
    if engine == "postgresql" and postgres.binaries() is None:
        print("PostgreSQL is not installed (Debian: postgresql): left out")
        return None
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spark-copilot-load-")))
        server = stack.enter_context(postgres.server(postgres.binaries(), fsync=True)) if engine == "postgresql" else None  # type: ignore[arg-type]
        for name, measure in (("upload", upload), ("reads", reads), ("killed", killed), ("rolling", rolling)):
            environment = {"DATABASE_URL": new_database(server)} if server is not None else {}
            begun = time.monotonic()
            found[name] = measure(folder / name, environment, size)
            told(engine, name, found[name], time.monotonic() - begun)
    return found


def told(engine: str, name: str, f: dict[str, Any], seconds: float) -> None:
    """One measurement in words."""
    print(f"{engine}, {name} ({seconds:.0f} s)")
    if name == "upload":
        print(
            f"  {f['bytes'] >> 20} MiB in {f['seconds']} s ({f['mb_per_s']} MB/s); cp through the socket {f['cp_seconds']} s ({f['cp_mb_per_s']} MB/s): {f['share_of_cp']:.0%} of cp"
        )
        print(f"  memory of the API {f['api_mb_before']} MB before, {f['api_peak_mb']} MB at most")
    elif name == "reads":
        print(
            f"  {f['clients']} clients, p50 {f['p50_ms']} ms, p95 {f['p95_ms']} ms, most {f['max_ms']} ms, {f['failed']} failed; idle p50 {f['idle_p50_ms']} ms, p95 {f['idle_p95_ms']} ms"
        )
        print(f"  logs still being analysed at the end: {f['still_analysing_at_the_end']} of 2")
    elif name == "killed":
        print(
            f"  {f['done']} of {f['logs']} done in {f['seconds']} s with {f['kills']} kills ({f['attempts_cut_short']} attempts cut short), {f['seconds_without_kills']} s without"
        )
        print(f"  lost {f['lost']}, failed {f['failed']}, analysed twice {f['analysed_twice']}")
    else:
        print(
            f"  {f['failed']} of {f['requests']} requests failed, logs done {f['sent_and_done']}; with one server {f['failed_with_one_server']} of {f['requests_with_one_server']}"
        )


def main() -> None:
    """Measure, print, and keep the figures of a full run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a try of two minutes; its figures are not kept")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--clients", nargs=4, metavar=("PORT", "RUN", "COUNT", "SECONDS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.clients:
        port, run_id, count, seconds = given.clients
        print(json.dumps(asyncio.run(clients(int(port), run_id, int(count), float(seconds)))))
        return
    figures = {engine: measured(engine, SMALL if given.small else Size()) for engine in given.engine or ["sqlite", "postgresql"]}
    if not given.small:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | {name: found for name, found in figures.items() if found is not None}, indent=2) + "\n")


if __name__ == "__main__":
    main()
