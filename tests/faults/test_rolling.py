"""Servers that are replaced while clients use them (O5)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from spark_copilot.connectors.eventlog import raw_lines
from tests.balancer import Balancer
from tests.faults.test_jobs import SAMPLE
from tests.servers import ended, free_port, started, until

CLIENTS = 4


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def sample(name: str) -> bytes:
    """A small log that no other is."""
    return b"\n".join(line.replace(b"skewed-join", name.encode()) for line in raw_lines(str(SAMPLE)))


class Clients:
    """They send and read over connections of their own, as fast as they are answered, and note what went wrong."""

    def __init__(self, port: int) -> None:
        self.base, self.stop = f"http://127.0.0.1:{port}", threading.Event()
        self.requests, self.wrong, self.sent = 0, list[str](), set[str]()
        self._lock = threading.Lock()

    def one(self, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            turn += 1
            if turn % 8 != 1:  # mostly reads: what is sent must be analysed in the end
                self.asked("GET", "/api/v1/runs", 200)
                continue
            run = self.asked("POST", "/api/v1/event-logs", 202, sample(f"rolling-{number}-{turn}"))
            if run is not None:
                self.asked("GET", f"/api/v1/runs/{run['run_id']}", 200)
            self.asked("GET", "/api/v1/runs", 200)

    def asked(self, method: str, path: str, status: int, body: bytes | None = None) -> Any:
        answer, wrong = None, ""
        try:
            answer = httpx.request(method, f"{self.base}{path}", content=body, trust_env=False, timeout=60, headers={"Connection": "close"})
            wrong = "" if answer.status_code == status else f"{answer.status_code} {answer.text[:200]}"
        except httpx.TransportError as error:
            wrong = repr(error)
        with self._lock:
            self.requests += 1
            if wrong:
                self.wrong.append(f"{method} {path}: {wrong}")
                return None
            assert answer is not None
            if method == "POST":
                self.sent.add(answer.json()["run_id"])
        return answer.json()


def replace(port: int, own: ExitStack, home: Path, balancer: Balancer, clients: Clients) -> None:
    """As a rolling update does: no new requests, those under way end, then SIGTERM; back in service once it is ready."""
    before = clients.requests
    balancer.out.add(port)
    until(lambda: balancer.open.get(port, 0) == 0)
    own.close()
    own.enter_context(started(home, ["serve", "--port", str(port)]))
    until(lambda: is_ready(port))
    balancer.out.discard(port)
    until(lambda: clients.requests >= before + 3 * CLIENTS)


def test_o5_no_request_fails_while_one_server_after_the_other_is_replaced(home: Path) -> None:
    balancer = Balancer([free_port(), free_port()])
    clients = Clients(balancer.port)
    with ExitStack() as stack:
        running = {port: stack.enter_context(ExitStack()) for port in balancer.servers}
        for port, own in running.items():
            own.enter_context(started(home, ["serve", "--port", str(port)]))
        until(lambda: all(is_ready(port) for port in balancer.servers))
        stack.enter_context(balancer.running())
        with ThreadPoolExecutor(CLIENTS) as pool:
            stack.callback(clients.stop.set)
            for number in range(CLIENTS):
                pool.submit(clients.one, number)
            until(lambda: len(clients.sent) >= CLIENTS)
            for port, own in running.items():
                replace(port, own, home, balancer, clients)
            clients.stop.set()
        assert clients.wrong == []
        assert clients.requests > 10 * CLIENTS
        with httpx.Client(base_url=clients.base, trust_env=False, timeout=60, headers={"Connection": "close"}) as client:
            assert {ended(client, run)["status"] for run in clients.sent} == {"done"}
