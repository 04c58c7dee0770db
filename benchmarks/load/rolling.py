"""Servers restarted one after the other under requests."""

import http.client
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load.servers import READY_SECONDS, Environment, ask, engine_of, sample_lines, serving, state
from benchmarks.load.size import Size
from tests.balancer import Balancer
from tests.servers import free_port, until


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
        stack.enter_context(balancer.running())
        with ThreadPoolExecutor(size.rolling_clients) as pool:
            for _ in range(size.rolling_clients):
                pool.submit(client)
            time.sleep(2)
            for port, own in running.items():
                balancer.out.add(port)
                if servers > 1:  # as a rolling update does: no new requests, the old ones end, then SIGTERM
                    until(lambda port=port: balancer.open.get(port, 0) == 0, READY_SECONDS)
                own.close()
                own.enter_context(serving(home, environment, port))
                balancer.out.discard(port)
                time.sleep(1)
            stop.set()
        port = balancer.servers[0]
        until(lambda: {state(port, run_id) for run_id in sent_ids} <= {"done", "failed"}, 600)
        done = sum(state(port, run_id) == "done" for run_id in sent_ids)
    for failure in failures[:3] if servers > 1 else []:
        print("  failed:", failure)
    return {"requests": requests, "failed": len(failures), "sent": len(sent_ids), "done": done}
