"""Logs and archives that are broken, enormous, or meant to do harm (P…), read as the service reads them."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import random
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from spark_copilot.app.api.monitoring import store as store_module
from spark_copilot.app.api.monitoring.store import HistoryStore
from spark_copilot.connectors.eventlog import ReadLimits, read_run, read_runs
from spark_copilot.orchestration.analyse import analyze
from spark_copilot.rules_engine.errors import BadInput, LimitExceeded
from tests.faults.long import long
from tests.timing import PATIENCE, below

DATA = Path(__file__).resolve().parents[1] / "data" / "eventlogs"
PLAIN = (DATA / "codec-sample").read_bytes()
LINES = PLAIN.splitlines(keepends=True)
MIB = 1 << 20

# Not from getrusage: what that says is at least what the process had that started this one.
PEAK_MIB = """
def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
"""
MEASURE = f"""
import sys
{PEAK_MIB}
from spark_copilot.connectors.eventlog import read_runs
from spark_copilot.rules_engine.errors import CopilotError
before = peak_mib()
try:
    runs = sum(1 for _ in read_runs(sys.argv[1]))
    said = f"{{runs}} runs"
except CopilotError as error:
    said = error.code
print(said, peak_mib() - before)
"""


def measured(path: Path, timeout: float = 60) -> tuple[str, int]:
    """What reading it ends with, and how many MiB it took beyond the program's own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=timeout, check=True)
    said, _, grown = done.stdout.strip().rpartition(" ")
    return said, int(grown)


def zipped(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


ZEROS = PLAIN + bytes(256 * MIB)
BOMBS: dict[str, Callable[[], bytes]] = {
    "zstd": lambda: zstd.compress(ZEROS, 3),
    "gz": lambda: gzip.compress(ZEROS, 1),
    "bz2": lambda: bz2.compress(ZEROS),
    "zip": lambda: zipped(("log", ZEROS)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_p1_bombs_end_early_in_little_memory(tmp_path: Path, kind: str) -> None:
    (tmp_path / "bomb").write_bytes(BOMBS[kind]())
    said, grown_mib = measured(tmp_path / "bomb")
    assert said == LimitExceeded.code
    assert grown_mib < 192  # the line that never ends may reach its own cap of 64 MiB, as bytes and as what is joined to them


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(gzip.compress(PLAIN)), id="gz in gz"),
        pytest.param(zipped(("inner.zip", zipped(("log", PLAIN)))), id="zip in zip"),
        pytest.param(lzma.compress(PLAIN), id="xz"),
    ],
)
def test_p1_what_is_packed_twice_or_otherwise_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(BadInput):
        list(read_runs(tmp_path / "log"))


@pytest.mark.parametrize("codec", ["plain", "lz4", "snappy", "lzf", "zstd", "gz", "bz2"])
def test_p2_a_flipped_bit_is_a_partial_run_or_one_refusal(tmp_path: Path, codec: str) -> None:
    own: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gz": gzip.compress, "bz2": bz2.compress}
    whole = own[codec](PLAIN) if codec in own else (DATA / f"codec-sample.{codec}").read_bytes()
    dice = random.Random(codec)
    for _ in range(20):
        data = bytearray(whole)
        at = dice.randrange(len(data))
        data[at] ^= 1 << dice.randrange(8)
        (tmp_path / "log").write_bytes(data)
        with contextlib.suppress(BadInput):
            assert all(run.wall_ms >= 0 for run in read_runs(tmp_path / "log"))


def tarred(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(PLAIN) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(PLAIN) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(zipped(("../outside", PLAIN)), id="zip: parent folder"),
        pytest.param(zipped(("/tmp/outside", PLAIN)), id="zip: absolute"),
        pytest.param(tarred("../outside"), id="tar: parent folder"),
        pytest.param(tarred("outside", tarfile.SYMTYPE, "/etc/passwd"), id="tar: link"),
        pytest.param(tarred("outside", tarfile.LNKTYPE, "/etc/passwd"), id="tar: hard link"),
        pytest.param(tarred("outside", tarfile.CHRTYPE), id="tar: device"),
    ],
)
def test_p3_nothing_is_written_outside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "log").write_bytes(content)
    before = set(tmp_path.rglob("*"))
    if content.startswith(b"PK"):
        with pytest.raises(BadInput):
            list(read_runs(tmp_path / "in" / "log"))
    else:
        # A tar is not unpacked: it is text with a broken first line, or no log at all.
        with contextlib.suppress(BadInput):
            assert all(run.quality.bad_lines for run in read_runs(tmp_path / "in" / "log"))
    assert set(tmp_path.rglob("*")) == before
    assert not Path("/tmp/outside").exists()


def test_p3_the_same_name_twice(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile says so when one is made
        (tmp_path / "log").write_bytes(zipped(("log", PLAIN), ("log", b"something else entirely")))
    try:
        runs = list(read_runs(tmp_path / "log"))
    except BadInput:
        return
    assert len(runs) == 1  # never both mixed into one


def test_p4_a_size_that_lies_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(zipped(("log", PLAIN + b"\n" * (8 * MIB))))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (100).to_bytes(4, "little")  # uncompressed size, in the directory
    (tmp_path / "log").write_bytes(content)
    try:
        runs = list(read_runs(tmp_path / "log", limits=ReadLimits(max_bytes=1 * MIB)))
    except BadInput:
        return
    assert sum(len(run.tasks) for run in runs) <= len(read_run(DATA / "codec-sample").tasks)


def test_p5_a_million_empty_lines_and_one_without_an_end(tmp_path: Path) -> None:
    whole = read_run(DATA / "codec-sample")
    (tmp_path / "log").write_bytes(b"".join(LINES[:-1]) + b"\n" * 1_000_000 + b'{"Event":"' + b"x" * (70 * MIB) + b"\n" + LINES[-1])
    run = read_run(tmp_path / "log")
    assert (run.quality.bad_lines, run.app) == (1, whole.app)
    assert len(run.tasks) == len(whole.tasks)


@long
def test_p5_a_line_of_five_gigabytes(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as out:
        out.write(b"".join(LINES[:-1]) + b'{"Event":"')
        for _ in range(5 * 1024):
            out.write(b"x" * MIB)
        out.write(b"\n" + LINES[-1])
    said, grown_mib = measured(tmp_path / "log", timeout=600)
    assert said == "1 runs"
    assert grown_mib < 256


def test_p7_no_name_in_a_log_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_by_a_log.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\nclass Event: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    planted = [
        {"Event": "planted_by_a_log.Event"},
        {"Event": "SparkListenerJobEnd", "Job ID": 0, "Job Result": {"Result": "planted_by_a_log.Event", "@class": "planted_by_a_log.Event"}},
        {"Event": "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart", "__class__": "planted_by_a_log:Event", "executionId": 7},
    ]  # fmt: skip
    (tmp_path / "log").write_bytes(
        b"".join(LINES[:9]) + b"".join(json.dumps(one).encode() + b"\n" for one in planted) + b"".join(LINES[9:])
    )
    analyze(str(tmp_path / "log"))
    assert not (tmp_path / "imported").exists()
    assert "planted_by_a_log" not in sys.modules


def test_p10_what_a_growing_log_had_at_the_start_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES[:-1]))
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab") as out:
            while not stop.is_set():
                out.write(b'{"Event":"com.example.Grown"}\n' * 100)
                out.flush()
                time.sleep(0.001)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(5):
            run = read_run(path)  # ends, although the log does not
            assert len(run.tasks) == len(read_run(DATA / "codec-sample").tasks)
    finally:
        stop.set()
        writer.join()


def test_p10_a_replaced_log_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "RESCAN_SECONDS", 0.0)
    path = tmp_path / "log"
    path.write_bytes(PLAIN)
    history = HistoryStore(tmp_path)
    (app_id,) = history.attempts()
    tasks = len(history.totals(app_id, None).run.tasks)
    other = tmp_path / ".other"
    other.write_bytes(b"".join(line for line in LINES if b"SparkListenerTaskEnd" not in line[:40]))
    other.replace(path)  # another inode under the same name
    assert len(history.totals(app_id, None).run.tasks) < tasks


def enormous(stages: int, tasks: int, executors: int, plan_bytes: int) -> bytes:
    """A log of few kinds of lines and very many of them."""
    known = {json.loads(line)["Event"]: json.loads(line) for line in LINES}
    out = [line for line in LINES if b"ApplicationEnd" not in line[:60]]

    def put(event: dict[str, Any]) -> None:
        out.append(json.dumps(event, separators=(",", ":")).encode() + b"\n")

    added = known["SparkListenerExecutorAdded"]
    for number in range(executors):
        put({**added, "Executor ID": str(1000 + number)})
    begun, submitted, completed = known["SparkListenerTaskEnd"], known["SparkListenerStageSubmitted"], known["SparkListenerStageCompleted"]
    for stage in range(1000, 1000 + stages):
        for event in (submitted, completed):
            info = {**event["Stage Info"], "Stage ID": stage, "Number of Tasks": tasks // stages}
            put({**event, "Stage Info": info})
    sql = known.get("org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart")
    if sql is not None:
        put({**sql, "executionId": 999, "physicalPlanDescription": "Scan x " * (plan_bytes // 7)})
    end = json.dumps(begun, separators=(",", ":"))
    identity = begun["Task Info"]["Task ID"]
    for number in range(tasks):
        line = end.replace(f'"Task ID":{identity}', f'"Task ID":{10_000_000 + number}', 1)
        line = line.replace(f'"Stage ID":{begun["Stage ID"]}', f'"Stage ID":{1000 + number % stages}', 1)
        out.append(line.encode() + b"\n")
    return b"".join([*out, LINES[-1]])


def held(tmp_path: Path, log: bytes, seconds: float, memory_mib: int) -> None:
    (tmp_path / "log").write_bytes(log)
    begun = time.monotonic()
    command = f"import sys\n{PEAK_MIB}\nfrom spark_copilot.orchestration.analyse import analyze\nprint(len(analyze(sys.argv[1]).findings), peak_mib())"
    done = subprocess.run(
        [sys.executable, "-c", command, str(tmp_path / "log")], capture_output=True, text=True, timeout=PATIENCE * seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) < memory_mib
    assert below(time.monotonic() - begun, seconds)


def test_p11_thousands_of_everything(tmp_path: Path) -> None:
    held(tmp_path, enormous(stages=1_000, tasks=20_000, executors=500, plan_bytes=5 * MIB), seconds=120, memory_mib=1024)


@long
def test_p11_a_million_tasks(tmp_path: Path) -> None:
    held(tmp_path, enormous(stages=10_000, tasks=1_000_000, executors=5_000, plan_bytes=50 * MIB), seconds=900, memory_mib=3072)


@pytest.mark.parametrize("where", ["plan", "setting", "error"])
def test_p14_text_made_to_slow_patterns_down(tmp_path: Path, where: str) -> None:
    bad = "a" * (2 * MIB) + "jdbc:" * 50_000 + "://a:b@" * 50_000
    events = [json.loads(line) for line in LINES]
    for event in events:
        if where == "plan" and "physicalPlanDescription" in event:
            event["physicalPlanDescription"] = bad
        if where == "setting" and event["Event"] == "SparkListenerEnvironmentUpdate":
            event["Spark Properties"]["spark.some.url"] = bad
        if where == "error" and event["Event"] == "SparkListenerTaskEnd":
            event["Task End Reason"] = {"Reason": "ExceptionFailure", "Class Name": "E", "Description": bad[: 1 << 18], "Stack Trace": [], "Full Stack Trace": ""}  # fmt: skip
    (tmp_path / "log").write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events))
    begun = time.process_time()
    analyze(str(tmp_path / "log"))
    assert below(time.process_time() - begun, 20)  # quadratic time would be hours
