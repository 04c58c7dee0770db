"""Reads while two logs are analysed, beside the same with nothing to do."""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load.servers import READY_SECONDS, ROOT, SAMPLE, Environment, ask, sample_lines, serving, state
from benchmarks.load.size import Size
from benchmarks.parse import repeated
from tests.servers import until

LOOK_SECONDS = 0.1
ENOUGH = 0.5
"""Share of the busy reads that must fall into the time in which both logs are analysed; else it is done again with logs twice as large."""
TRIES = 4

Times = list[tuple[float, float]]


def reads(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Latencies with nothing else going on, then of those requests that began and ended while both logs were being analysed."""
    with serving(home, environment) as (port, _):
        run_id = str(json.loads(ask(port, "POST", "/api/v1/event-logs", SAMPLE.read_bytes())[1])["run_id"])
        until(lambda: state(port, run_id) == "done", READY_SECONDS)
        idle, idle_failed = asked(port, run_id, size)
        megabytes = size.large_log_mb
        for _ in range(TRIES):
            with analysing(port, megabytes) as both:
                times, failed = asked(port, run_id, size)
            inside = both.inside(times)
            if len(inside) >= ENOUGH * len(times):
                break
            megabytes *= 2
        else:
            raise RuntimeError(f"only {len(inside)} of {len(times)} reads fell into the analysis of two logs of {megabytes // 2} MB")
    quiet, busy = spread(idle), spread(inside)
    return {
        "clients": size.read_clients, "requests": len(times), "while_both_are_analysed": len(inside), "both_analysed_s": round(both.seconds, 1),
        "log_mb": megabytes, "failed": idle_failed + failed, "idle_p50_ms": quiet["p50_ms"], "idle_p95_ms": quiet["p95_ms"], **busy,
    }  # fmt: skip


@dataclass
class Both:
    """The time in which both logs were being analysed, as the server said at each look."""

    looks: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.looks[-1] - self.looks[0] if self.looks else 0.0

    def inside(self, times: Times) -> Times:
        """The requests that began and ended within it."""
        return [(at, took) for at, took in times if self.looks and self.looks[0] <= at and at + took <= self.looks[-1]]


@contextmanager
def analysing(port: int, megabytes: int) -> Iterator[Both]:
    """Two large logs under analysis; waits for their end afterwards."""
    lines, large = sample_lines(), []
    for number in range(2):
        named = [line.replace(b"skewed-join", b"large-%d-%d" % (megabytes, number)) for line in lines]
        log = b"\n".join(repeated(named, megabytes * 1_000_000))
        large.append(str(json.loads(ask(port, "POST", "/api/v1/event-logs", log)[1])["run_id"]))
    both, stop = Both(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            began = time.time()
            if [state(port, one) for one in large] == ["running"] * 2:
                both.looks.append(began)
            elif both.looks:
                return
            time.sleep(LOOK_SECONDS)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        until(lambda: both.looks or not watcher.is_alive(), READY_SECONDS)
        yield both
        until(lambda: {state(port, one) for one in large} == {"done"}, 900)
    finally:
        stop.set()
        watcher.join()


def asked(port: int, run_id: str, size: Size) -> tuple[Times, int]:
    """What the clients saw; they are a process of their own."""
    command = [sys.executable, "-m", "benchmarks.load.clients", str(port), run_id, str(size.read_clients), str(size.read_seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    times, failed = json.loads(done.stdout)
    return [(at, took) for at, took in times], int(failed)


def spread(times: Times) -> dict[str, float]:
    """Median, 95th percentile and the longest, in milliseconds."""
    cuts = statistics.quantiles([took for _, took in times], n=20)
    return {
        "p50_ms": round(1000 * cuts[9], 1),
        "p95_ms": round(1000 * cuts[18], 1),
        "max_ms": round(1000 * max(took for _, took in times), 1),
    }
