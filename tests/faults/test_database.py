"""Databases that crash, wait, jump in time, or were restored (J5, J7 to J10, J16)."""

import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.storage import migrate
from spark_copilot.storage.database import Database
from spark_copilot.storage.job_queue import JobQueue
from spark_copilot.storage.metadata_repository import MetadataRepository
from tests import postgres as own_postgres
from tests.faults.long import long
from tests.servers import QUICK, ended, serving, until
from tests.storage.builders import add, finish
from tests.timing import below

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"


class Crashing:
    """A PostgreSQL of one test, to be ended without warning."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        self.data = str(row[0])
        folder = own_postgres.binaries()
        assert folder is not None
        self.control = [*(["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []), str(folder / "pg_ctl"), "-D", self.data, "-w"]
        # The words of the command line that started it, each in quotes.
        self.options = (Path(self.data) / "postmaster.opts").read_text().split(" ", 1)[1].strip()

    def crash(self) -> None:
        self._run("-m", "immediate", "stop")

    def start(self) -> None:
        self._run("-l", str(Path(self.data).parent / "log"), "-o", self.options.replace('"', ""), "start")

    def _run(self, *words: str) -> None:
        with Path(os.devnull).open("r+b") as nothing:  # the server would keep a pipe open
            subprocess.run([*self.control, *words], stdin=nothing, stdout=nothing, stderr=nothing, check=True, cwd="/", timeout=60)


def crashes(home: Path, times: int, away_seconds: float) -> None:
    folder = own_postgres.binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with own_postgres.server(folder) as url:
        database = Crashing(url)
        with serving(home, **QUICK, DATABASE_URL=own_postgres.new_database(url)) as (client, server):
            for number in range(times):
                acknowledged = [
                    client.post("/api/v1/event-logs", content=SAMPLE.read_bytes() + bytes([0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, mark]))
                    for mark in (2 * number, 2 * number + 1)
                ]
                assert [answer.status_code for answer in acknowledged] == [202, 202]
                database.crash()
                assert client.get("/health/ready").status_code == 503
                assert client.get("/health").status_code == 200
                assert client.get("/api/v1/runs").status_code == 503
                time.sleep(away_seconds)
                database.start()
                until(lambda: client.get("/health/ready").status_code == 200, 10)
                for answer in acknowledged:
                    assert ended(client, answer.json()["run_id"])["status"] == "done"
                assert server.poll() is None


def test_j5_the_database_crashes_and_comes_back(home: Path) -> None:
    crashes(home, 1, 1)


@long
def test_j5_the_database_crashes_thirty_times(home: Path) -> None:
    crashes(home, 30, random.uniform(1, 20))


@pytest.mark.xdist_group("postgres")
def test_j7_nothing_is_left_in_a_session(postgres: str, tmp_path: Path) -> None:
    """What a pooler in transaction mode would give to somebody else: prepared statements, locks, temporary tables, settings."""
    database = Database(own_postgres.new_database(postgres), tmp_path)
    migrate.upgrade(database)
    repository, queue = MetadataRepository(database), JobQueue(database)
    for number in range(12):  # psycopg prepares what it has seen five times, where it may
        add(database, str(number))
        repository.runs("local")
        claim = queue.claim("w")
        assert claim is not None
        assert queue.heartbeat(claim)
        assert finish(database, claim)
    prepared = text("SELECT count(*) FROM pg_prepared_statements")
    for _ in range(12):  # a transaction that is rolled back, as reading ends, makes psycopg forget them; these are committed
        assert database.write("local", lambda session: session.execute(prepared).scalar()) == 0
    with database.read("local") as session:
        for what in ("pg_prepared_statements", "pg_listening_channels()", "pg_cursors"):
            assert session.execute(text(f"SELECT count(*) FROM {what}")).scalar() == 0, what
        assert session.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar() == 0
        assert session.execute(text("SELECT count(*) FROM pg_class WHERE relpersistence = 't'")).scalar() == 0
        assert session.execute(text("SELECT count(*) FROM pg_settings WHERE source = 'session'")).scalar() == 0
    database.close()


WRITER = """
import sys
from pathlib import Path
from spark_copilot.storage.database import Database
from spark_copilot.storage.metadata_repository import MetadataRepository
from tests.timing import below
repository = MetadataRepository(Database(None, Path(sys.argv[1])))
for number in range(100_000):
    name = f"{sys.argv[2]} {number}"
    repository.add_run("local", content_hash=name, size_bytes=3, original=name, analyser="1")
    print(number, flush=True)
"""


def test_j8_writers_that_are_killed_leave_a_sound_file(tmp_path: Path) -> None:
    database = Database(None, tmp_path)
    migrate.upgrade(database)
    dice = random.Random(8)
    promised = 0
    for turn in range(2):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"{turn}.{n}"], stdout=subprocess.PIPE, text=True)
            for n in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
        time.sleep(dice.uniform(0.05, 0.4))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            out, _ = writer.communicate()
            promised += 1 + len(out.splitlines())
        with closing(sqlite3.connect(tmp_path / "copilot.db")) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            runs, jobs = (raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "jobs"))
        assert runs == jobs >= promised
    database.close()


def test_j8_eight_writers_at_once(tmp_path: Path) -> None:
    database = Database(None, tmp_path)
    migrate.upgrade(database)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(25):
                add(database, f"{name} {number}")
        except BaseException as error:  # noqa: BLE001 - told by the assertion, whatever it is
            failures.append(error)

    threads = [threading.Thread(target=write, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert JobQueue(database).depth() == {"queued": 200}
    database.close()


@pytest.mark.xdist_group("postgres")
def test_j9_a_transaction_of_somebody_else_stays_open(postgres: str, tmp_path: Path) -> None:
    url = own_postgres.new_database(postgres)
    database = Database(url, tmp_path)
    migrate.upgrade(database)
    queue, taken = JobQueue(database), []
    with psycopg.connect(url) as somebody:
        somebody.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        somebody.execute("SELECT count(*) FROM jobs")
        for number in range(150):  # dead rows pile up, since that transaction might still look at them
            add(database, str(number))
            begun = time.perf_counter()
            claim = queue.claim("w")
            taken.append(1000 * (time.perf_counter() - begun))
            assert claim is not None
            assert queue.fail(claim, {"code": "x", "detail": "y"}, final=True)
        somebody.rollback()
    assert below(statistics.quantiles(taken, n=20)[-1], 100)
    database.close()


@pytest.mark.parametrize("jump_s", [3600, -3600, 86_400])
def test_j10_leases_go_by_the_databases_clock(database: Database, monkeypatch: pytest.MonkeyPatch, jump_s: int) -> None:
    add(database)
    queue = JobQueue(database)
    claim = queue.claim("w")
    assert claim is not None
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + jump_s) * 1e9))
    assert queue.sweep() == 0  # a machine whose clock is wrong takes nothing from others
    assert queue.heartbeat(claim)
    late = JobQueue(database, lease_ms=-1_000)
    assert late.heartbeat(claim)
    assert queue.sweep() == 1  # and gives nobody more time than there is


def test_j16_what_no_row_names_is_not_served_and_swept(home: Path) -> None:
    from starlette.testclient import TestClient

    with TestClient(create_app(Settings(home=home))) as client:
        run = ended(client, client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()["run_id"])
    backup = home.parent / "backup.db"
    with closing(sqlite3.connect(home / "copilot.db")) as raw, closing(sqlite3.connect(backup)) as copy:
        raw.backup(copy)
    with TestClient(create_app(Settings(home=home))) as client:
        later = client.post("/api/v1/event-logs", content=(files("spark_copilot.app") / "samples" / "healthy.zstd").read_bytes()).json()
        assert ended(client, later["run_id"])["status"] == "done"
    for name in ("copilot.db-wal", "copilot.db-shm"):
        (home / name).unlink(missing_ok=True)
    shutil.copy(backup, home / "copilot.db")
    assert (home / "runs" / later["run_id"]).is_dir()
    with TestClient(create_app(Settings(home=home))) as client:
        assert client.get(f"/api/v1/runs/{later['run_id']}").status_code == 404
        assert client.get(f"/api/v1/runs/{later['run_id']}/report").status_code == 404
        assert len(client.get("/api/v1/applications").json()) == 1
        service = client.app.state.service  # type: ignore[attr-defined]
        assert service.files.sweep(service.repository.files_in_use(), older_than_seconds=-1) == 1
        assert client.get(f"/api/v1/runs/{run['run_id']}/report").status_code == 200
    assert not (home / "runs" / later["run_id"]).exists()
