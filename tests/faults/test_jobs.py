"""Workers that are killed, hang, crash, or are stopped (J…)."""

import os
import random
import signal
import time
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from spark_copilot.app.config import Settings
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.units import show_ms
from spark_copilot.storage.database import Database
from spark_copilot.storage.metadata_repository import MetadataRepository
from spark_copilot.storage.models import LOCAL_TENANT
from tests.faults.long import long
from tests.servers import QUICK, ended, serving, started, until
from tests.timing import PATIENCE, below

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"


def slow_log(seconds: int, mark: str = "") -> bytes:
    """A log that takes some seconds to read, since most of its lines say nothing that is known."""
    from backports import zstd

    unknown = b'{"Event":"SparkListenerOfAnotherWorld%s"}\n' % mark.encode()
    return zstd.decompress(SAMPLE.read_bytes()) + unknown * (400_000 * seconds)


def processes(parent: int) -> list[int]:
    """Processes that this one started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def send(client: httpx.Client, body: bytes) -> str:
    answer = client.post("/api/v1/event-logs", content=body)
    assert answer.status_code == 202
    return str(answer.json()["run_id"])


def is_running(client: httpx.Client, run_id: str) -> bool:
    return bool(client.get(f"/api/v1/runs/{run_id}").json()["status"] == "running")


def test_j1_a_killed_server_loses_nothing(home: Path) -> None:
    with serving(home) as (client, process):  # with the usual lease of half a minute
        run = send(client, slow_log(2))
        until(lambda: is_running(client, run))
        analysts = until(lambda: processes(process.pid))
        process.kill()
        process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in analysts), 10)  # nobody works on for a dead worker
    with serving(home) as (client, _):
        done = ended(client, run)
        assert done["status"] == "done"
        names = [line[7:] for line in client.get(f"/api/v1/runs/{run}/events").text.splitlines() if line.startswith("event: ")]
        assert names.count("running") == 2
        assert names.count("done") == 1
        assert client.get(f"/api/v1/runs/{run}/report").status_code == 200


def test_j1_a_killed_workers_job_is_finished_elsewhere(home: Path) -> None:
    with serving(home, **QUICK, SPARK_COPILOT_ANALYSIS_CONCURRENCY="1") as (client, server):
        busy = send(client, slow_log(2, "A"))
        until(lambda: is_running(client, busy))
        with started(home, ["worker"], **QUICK) as worker:
            run = send(client, slow_log(2, "B"))
            until(lambda: is_running(client, run))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert ended(client, run)["status"] == "done"
            assert ended(client, busy)["status"] == "done"
        assert server.poll() is None


def test_j1_more_workers_killed_than_a_log_has_attempts(home: Path) -> None:
    with serving(home, **QUICK, SPARK_COPILOT_WORKER_INSIDE="0") as (client, _):
        run = send(client, slow_log(2, "A"))
        database = Database(None, home)
        events = MetadataRepository(database).events

        def begun(times: int) -> bool:
            return [event.name for event in events("local", run)].count("running") == times

        for turn in range(4):
            with started(home, ["worker"], **QUICK) as worker:
                until(partial(begun, turn + 1))
                worker.kill()
                worker.wait()
        with started(home, ["worker"], **QUICK):
            assert ended(client, run)["status"] == "done"
        assert begun(5)
        database.close()


@long
def test_j1_workers_killed_and_stopped_at_random(home: Path) -> None:
    dice = random.Random(1)
    with serving(home, **QUICK, SPARK_COPILOT_ANALYSIS_CONCURRENCY="1") as (client, _):
        for turn in range(40):
            with started(home, ["worker"], **QUICK) as worker:
                runs = [send(client, slow_log(1, f"{turn}.{n}")) for n in range(3)]
                time.sleep(dice.uniform(0, 4))
                if turn % 4:
                    worker.kill()
                    worker.wait()
                else:  # taken for dead, and back later
                    worker.send_signal(signal.SIGSTOP)
                    time.sleep(4)
                    worker.send_signal(signal.SIGCONT)
                for run in runs:
                    assert ended(client, run)["status"] == "done"
                    names = [line[7:] for line in client.get(f"/api/v1/runs/{run}/events").text.splitlines() if line.startswith("event: ")]
                    assert names.count("done") == 1


@pytest.fixture
def service(home: Path) -> Any:
    settings = Settings(home=home, job_lease_seconds=1.0, job_heartbeat_seconds=0.2, job_sweep_seconds=0.2, job_attempts=2)
    made = Service(settings)
    yield made
    made.stop()


def queued(service: Service, body: bytes) -> str:
    part = service.files.new_upload()
    part.write_bytes(body)
    added = service.repository.add_run(
        LOCAL_TENANT, content_hash=os.urandom(8).hex(), size_bytes=len(body), original=service.files.keep(part), analyser=service.analyser
    )
    return added.run.id


def status(service: Service, run_id: str) -> str:
    return service.repository.run(LOCAL_TENANT, run_id).status


def test_j4_a_poison_log_ends_and_the_queue_moves_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # The process that analyses may take less memory than it needs to begin with.
    monkeypatch.setattr(service, "settings", service.settings.model_copy(update={"analysis_memory_bytes": 1 << 20}))
    poison = queued(service, SAMPLE.read_bytes())
    service.start()
    until(lambda: status(service, poison) == "failed")
    run = service.repository.run(LOCAL_TENANT, poison)
    assert run.error is not None
    assert run.error["code"] in ("analysis-out-of-memory", "analysis-crashed")
    assert run.original is None
    assert service.queue.depth() == {"dead": 1}


def test_j4_an_analysis_that_is_killed_is_tried_again(service: Service) -> None:
    run = queued(service, slow_log(2))
    service.start()
    first = until(lambda: [p for p in processes(os.getpid()) if b"analysis_process" in Path(f"/proc/{p}/cmdline").read_bytes()])
    until(lambda: status(service, run) == "running")
    os.kill(first[0], signal.SIGKILL)
    until(lambda: status(service, run) == "done")
    assert [e.name for e in service.repository.events(LOCAL_TENANT, run)].count("running") == 2


def test_j12_cancel_ends_the_process(service: Service) -> None:
    run = queued(service, slow_log(6))
    service.start()
    until(lambda: status(service, run) == "running")
    service.queue.cancel(LOCAL_TENANT, run)
    until(lambda: not [p for p in processes(os.getpid()) if b"analysis_process" in Path(f"/proc/{p}/cmdline").read_bytes()], 5)
    assert status(service, run) == "cancelled"


def test_j13_a_stopped_server_gives_its_jobs_back(home: Path) -> None:
    with serving(home) as (client, process):  # with the usual lease of half a minute, which nobody waits for
        run = send(client, slow_log(6))
        until(lambda: is_running(client, run))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE * 15)
        assert below(time.monotonic() - began, 10), show_ms(1000 * (time.monotonic() - began))
    service = Service(Settings(home=home), work=False)
    assert status(service, run) == "queued"
    assert service.queue.claim("w") is not None
    service.stop()


def test_analyses_that_take_too_long_end(home: Path) -> None:
    service = Service(Settings(home=home, analysis_wall_seconds=1))
    run = queued(service, slow_log(6))
    service.start()
    until(lambda: status(service, run) == "failed")
    error = service.repository.run(LOCAL_TENANT, run).error
    service.stop()
    assert error is not None
    assert error["code"] == "analysis-timeout"
