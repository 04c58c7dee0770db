"""What commands share when they read a log: the tables kept of large ones, the newest log, a log that grows."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_copilot.app.cli.main import run
from spark_copilot.app.cli.watch import follow
from spark_copilot.connectors.eventlog import raw_lines
from spark_copilot.rules_engine.errors import NotAnEventLog, NotFound
from tests.servers import started, until
from tests.timing import WAIT_SECONDS

DATA = Path(__file__).resolve().parents[2] / "data"
SAMPLE = DATA / "eventlogs" / "codec-sample"
LINES = [*raw_lines(SAMPLE)]


@pytest.mark.parametrize("name", ["hot-key", "lost-executor", "late-batches", "big-closure"])
def test_the_report_from_kept_tables_is_the_same_to_the_byte(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(DATA / "laboratory" / f"{name}.zstd")
    said = []
    for size in ("1000000000", "0", "0"):
        monkeypatch.setenv("SPARK_COPILOT_RUN_CACHE_FROM_BYTES", size)
        for output in ("json", "html"):
            assert run(["analyze", log, "--format", output]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    kept = [folder for folder in (home / "read-logs").iterdir() if folder.name != "seen"]
    assert len(kept) == 1
    for table in kept[0].rglob("*.parquet"):
        table.write_bytes(table.read_bytes()[:100])
    assert run(["analyze", log, "--format", "json"]) == 0
    assert capsys.readouterr().out in said[0]


def test_kept_tables_are_used_and_a_changed_log_is_read_again(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARK_COPILOT_RUN_CACHE_FROM_BYTES", "0")
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(LINES) + b"\n")
    assert run(["whatif", str(log), "--executors", "1"]) == 0
    with monkeypatch.context() as patched:
        patched.setattr("spark_copilot.connectors.run_tables.read_runs", None)  # a second reading would fail
        assert run(["whatif", str(log), "--executors", "1"]) == 0
        assert run(["compare", str(log), str(log)]) == 0
    log.write_bytes(b"\n".join(line for line in LINES if b"TaskEnd" not in line[:40]) + b"\n")
    capsys.readouterr()
    assert run(["analyze", str(log)]) == 0
    assert "no task ran" in capsys.readouterr().out


def test_the_newest_of_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for age, name in enumerate(("third", "second", "first")):
        log = tmp_path / name
        log.write_bytes(b"\n".join(LINES).replace(b'"App Name":"', f'"App Name":"{name} '.encode()) + b"\n")
        os.utime(log, (time.time() + age, time.time() + age))
    assert run(["analyze", str(tmp_path), "--latest", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert '"name":"first' in out


def test_watch_ends_with_the_application(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    growing, final = tmp_path / "app.inprogress", tmp_path / "app"
    growing.write_bytes(b"")

    def write() -> None:
        with growing.open("ab") as out:
            for part in (LINES[:25], LINES[25:-1], LINES[-1:]):
                time.sleep(0.3)
                out.write(b"\n".join(part) + b"\n")
                out.flush()
        growing.rename(final)

    writer = threading.Thread(target=write)
    writer.start()
    assert follow(str(growing), poll_s=0.05) in (growing, final)
    writer.join()
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 4
    assert "3 tasks ended" in lines[-1]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes started meanwhile hear Ctrl-C, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_watch_ends_at_ctrl_c(tmp_path: Path) -> None:
    growing = tmp_path / "app.inprogress"
    growing.write_bytes(b"\n".join(LINES[:25]) + b"\n")
    with started(tmp_path / "home", ["analyze", str(growing), "--watch"]) as process:
        said = tmp_path / "home" / "analyze.log"
        until(lambda: b"tasks ended" in said.read_bytes())
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_SECONDS) == 130
    assert b"Traceback" not in said.read_bytes()


def test_watch_refuses_what_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"<html>" * 20_000)
    with pytest.raises(NotAnEventLog):
        follow(str(tmp_path / "page"))
    with pytest.raises(NotFound):
        follow(str(tmp_path / "nothing"))
    assert run(["analyze", str(tmp_path / "page"), str(tmp_path / "page"), "--watch"]) == 2
