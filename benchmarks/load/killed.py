"""Many small logs while the worker is killed again and again."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.load.servers import Environment, ask, engine_of, sample_lines, serving, state
from benchmarks.load.size import Size
from benchmarks.parse import repeated
from spark_copilot.storage.database import EVERYONE, Database
from tests.servers import started, until


def killed(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Small logs with kills, and without."""
    base = drained(home.with_name(f"{home.name}-whole"), environment | engine_of(environment), size, kill=False)
    found = drained(home, environment, size, kill=True)
    return found | {"seconds_without_kills": base["seconds"]}


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
        until(lambda: {state(port, run_id) for run_id in sent_ids} <= {"done", "failed", "cancelled"}, 900)
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
    with database.read(EVERYONE) as session:
        jobs = [int(row[0]) for row in session.execute(text("SELECT attempts FROM jobs"))]
        counted = session.execute(text("SELECT run_id, count(*) FROM run_events WHERE name = 'done' GROUP BY run_id"))
        ends = {str(run): int(n) for run, n in counted}
    database.close()
    return jobs, ends
