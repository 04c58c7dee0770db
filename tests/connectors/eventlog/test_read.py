"""Reading whole logs: every packing, every layout, faults and bounds."""

import bz2
import gzip
import io
import itertools
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_copilot.connectors.eventlog import ReadLimits, newest_log, read_run, read_runs
from spark_copilot.connectors.eventlog.decompress import zstd
from spark_copilot.rules_engine.errors import BadInput, LimitExceeded, NotAnEventLog, NotFound
from spark_copilot.rules_engine.facts import AppRun

DATA = Path(__file__).resolve().parents[2] / "data" / "eventlogs"
PLAIN = (DATA / "codec-sample").read_bytes()
LINES = PLAIN.splitlines(keepends=True)
MAGIC = {"zstd": zstd.compress, "gz": gzip.compress, "bz2": bz2.compress, "plain": bytes}


def same(a: AppRun, b: AppRun) -> None:
    assert a.app == b.app
    assert a.quality == b.quality
    assert a.tasks.require("run_ms").tolist() == b.tasks.require("run_ms").tolist()
    assert a.stages.name == b.stages.name
    assert [s.metrics for s in a.sql] == [s.metrics for s in b.sql]


@pytest.fixture(scope="module")
def plain() -> AppRun:
    return read_run(DATA / "codec-sample")


@pytest.mark.parametrize("codec", ["lz4", "snappy", "lzf", "zstd"])
@pytest.mark.parametrize("name", ["log", "log.txt"])
def test_spark_codecs_are_known_by_content(codec: str, name: str, tmp_path: Path, plain: AppRun) -> None:
    (tmp_path / name).write_bytes((DATA / f"codec-sample.{codec}").read_bytes())
    same(read_run(tmp_path / name), plain)


@pytest.mark.parametrize("pack", MAGIC.values(), ids=MAGIC)
@pytest.mark.parametrize("name", ["log.inprogress", "log"])
def test_packings(pack: Callable[[bytes], bytes], name: str, tmp_path: Path, plain: AppRun) -> None:
    (tmp_path / name).write_bytes(pack(PLAIN))
    same(read_run(tmp_path / name), plain)


@pytest.mark.parametrize("pack", MAGIC.values(), ids=MAGIC)
def test_p2_two_packed_streams_are_one_log(pack: Callable[[bytes], bytes], tmp_path: Path, plain: AppRun) -> None:
    (tmp_path / "log").write_bytes(pack(b"".join(LINES[:20])) + pack(b"".join(LINES[20:])))
    same(read_run(tmp_path / "log"), plain)


@pytest.mark.parametrize("codec", ["lz4", "snappy", "lzf"])
def test_p2_a_packed_log_that_breaks_off_is_partial(codec: str, tmp_path: Path) -> None:
    whole = (DATA / f"codec-sample.{codec}").read_bytes()
    (tmp_path / "log").write_bytes(whole[: len(whole) * 4 // 5])
    run = read_run(tmp_path / "log")
    assert run.quality.truncated
    assert any("breaks off" in issue for issue in run.quality.issues)


def rolled(folder: Path, cuts: list[int], *, drop: tuple[int, ...] = ()) -> Path:
    """The sample as a rolled directory; part 10 comes after part 9."""
    log = folder / "eventlog_v2_app"
    log.mkdir()
    (log / "appstatus_app").touch()
    (log / ".appstatus_app.crc").write_bytes(b"crc")
    bounds = [0, *cuts, len(LINES)]
    for index, (low, high) in enumerate(itertools.pairwise(bounds), 1):
        if index not in drop:
            (log / f"events_{index}_app.zstd").write_bytes(zstd.compress(b"".join(LINES[low:high])))
    return log


def test_p9_rolled_parts_are_read_in_index_order(tmp_path: Path, plain: AppRun) -> None:
    same(read_run(rolled(tmp_path, [3, 6, 9, 12, 15, 18, 20, 22, 24, 26, 28])), plain)


def test_p9_a_missing_part_is_reported(tmp_path: Path) -> None:
    run = read_run(rolled(tmp_path, [10, 20, 30], drop=(2,)))
    assert "part 2 of the rolled log is missing" in run.quality.issues


def test_p9_a_compact_part_covers_those_before_it(tmp_path: Path) -> None:
    log = rolled(tmp_path, [10, 20])
    (log / "events_2_app.zstd").rename(log / "events_2_app.zstd.compact")
    run = read_run(log)
    assert run.quality.compacted
    assert run.app.started_ms >= 0


def test_databricks_directory(tmp_path: Path, plain: AppRun) -> None:
    folder = tmp_path / "dbx"
    folder.mkdir()
    (folder / "eventlog-2026-01-01--10-00.gz").write_bytes(gzip.compress(b"".join(LINES[:9])))
    (folder / "eventlog-2026-01-01--11-00.gz").write_bytes(gzip.compress(b"".join(LINES[9:30])))
    (folder / "eventlog").write_bytes(b"".join(LINES[30:]))
    same(read_run(folder), plain)


def test_a_zip_as_the_history_server_sends_it(tmp_path: Path, plain: AppRun) -> None:
    with zipfile.ZipFile(tmp_path / "download.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eventlog_v2_app/events_2_app.zstd", zstd.compress(b"".join(LINES[20:])))
        archive.writestr("eventlog_v2_app/events_1_app.zstd", zstd.compress(b"".join(LINES[:20])))
        archive.writestr("eventlog_v2_app/appstatus_app", b"")
        archive.writestr("one/app_2", PLAIN)
    runs = list(read_runs(tmp_path / "download.zip"))
    assert len(runs) == 2
    for run in runs:
        same(run, plain)


def test_a_directory_of_many(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PLAIN)
    (tmp_path / "b.lz4").write_bytes((DATA / "codec-sample.lz4").read_bytes())
    (tmp_path / "driver.log").write_text("26/01/01 INFO SparkContext: Running\n" * 4000)
    rolled(tmp_path, [10])
    assert len(list(read_runs(tmp_path))) == 3


def test_two_applications_in_one_file(tmp_path: Path, plain: AppRun) -> None:
    other = PLAIN.replace(plain.app.id.encode(), b"local-2")
    (tmp_path / "log").write_bytes(PLAIN + other)
    runs = list(read_runs(tmp_path / "log"))
    assert [run.app.id for run in runs] == [plain.app.id, "local-2"]
    assert [len(run.tasks) for run in runs] == [len(plain.tasks)] * 2
    assert all(run.complete for run in runs)


def test_a_later_part_alone(tmp_path: Path, plain: AppRun) -> None:
    start = next(i for i, line in enumerate(LINES) if b"SparkListenerJobStart" in line)
    (tmp_path / "events_7").write_bytes(b"".join(LINES[start:]))
    run = read_run(tmp_path / "events_7")
    assert run.app.id == plain.app.id
    assert len(run.tasks) == len(plain.tasks)
    assert any("no application start" in issue for issue in run.quality.issues)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain: AppRun) -> None:
    packed = tmp_path / "in"
    packed.write_bytes(gzip.compress(PLAIN))
    with packed.open("rb") as handle:
        monkeypatch.setattr(sys, "stdin", handle)
        same(read_run("-"), plain)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"<html><body>404</body></html>\n", "no line", id="html page"),
        pytest.param(b"26/01/01 INFO SparkContext: started\n" * 10_000, "64 KiB", id="driver log"),
        pytest.param(b"\x00\x01\xff" * 100_000, "64 KiB", id="binary"),
        pytest.param(b'{"Event":"LoginSucceeded"}\n' * 10_000, "64 KiB", id="json of something else"),
        pytest.param(b"\x1f\x8b\x08junk", "breaks off", id="not even gzip"),
        pytest.param(gzip.compress(gzip.compress(PLAIN)), "no line", id="packed twice"),
        pytest.param(b"PK\x03\x04junk", "archive is broken", id="broken zip"),
        pytest.param(b"LZ4Block" + b"\x20" + b"\xff" * 12, "claims", id="lz4 with an absurd length"),
    ],
)
def test_what_is_no_log_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(NotAnEventLog, match=reason):
        list(read_runs(tmp_path / "x"))


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_run(tmp_path / "nothing")


def entry(name: str, *, link: bool = False) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    if link:
        info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([entry("../log")], id="parent folder"),
        pytest.param([entry("/etc/log")], id="absolute"),
        pytest.param([entry("a/../../log")], id="parent in the middle"),
        pytest.param([entry("C:\\log")], id="drive"),
        pytest.param([entry("log", link=True)], id="link"),
    ],
)
def test_p3_archives_that_name_other_places_are_refused_whole(entries: list[zipfile.ZipInfo], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("good", PLAIN)
        for one in entries:
            archive.writestr(one, PLAIN)
    with pytest.raises(NotAnEventLog, match="outside itself"):
        list(read_runs(tmp_path / "z"))


def test_p4_archive_with_too_many_entries(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        for index in range(20):
            archive.writestr(f"{index}", b"")
    with pytest.raises(LimitExceeded, match="entries"):
        list(read_runs(tmp_path / "z", limits=ReadLimits(max_members=10)))


ZEROS = PLAIN + b"\n" * (4 << 20)


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log", content)
    return out.getvalue()


@pytest.mark.parametrize("pack", [zstd.compress, gzip.compress, bz2.compress, zipped], ids=["zstd", "gz", "bz2", "zip"])
def test_p1_bombs_are_stopped_by_their_ratio(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(pack(ZEROS))
    with pytest.raises(LimitExceeded):
        list(read_runs(tmp_path / "bomb", limits=ReadLimits(max_ratio=20, ratio_from_bytes=1 << 20)))


def test_p1_absolute_cap(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(PLAIN)
    with pytest.raises(LimitExceeded):
        list(read_runs(tmp_path / "log", limits=ReadLimits(max_bytes=1000)))


def test_p2_a_zstd_window_beyond_the_cap_is_refused(tmp_path: Path) -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 24, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    (tmp_path / "log").write_bytes(packer.compress(PLAIN) + packer.flush())
    with pytest.raises(LimitExceeded, match="window"):
        list(read_runs(tmp_path / "log", limits=ReadLimits(max_window_log=20)))


def test_p5_a_line_beyond_the_cap_is_skipped_and_counted(tmp_path: Path, plain: AppRun) -> None:
    long = b'{"Event":"SparkListenerJobStart","Job ID":9,"x":"' + b"y" * 2_000_000 + b'"}\n'
    (tmp_path / "log").write_bytes(b"".join(LINES[:20]) + long + b"".join(LINES[20:]))
    run = read_run(tmp_path / "log", limits=ReadLimits(max_line_bytes=1 << 19))
    assert run.quality.bad_lines == 1
    assert "line 21: longer than" in run.quality.issues[0]
    assert len(run.tasks) == len(plain.tasks)


DEEP = b'{"Event":"SparkListenerJobEnd","Job ID":' + b"[" * 200_000 + b"\n"


def changed(name: str, edit: Callable[[Any], None]) -> Callable[[list[bytes]], list[bytes]]:
    """Edit the first event of this name."""

    def apply(lines: list[bytes]) -> list[bytes]:
        at = next(i for i, line in enumerate(lines) if line.startswith(f'{{"Event":"{name}"'.encode()))
        event = json.loads(lines[at])
        edit(event)
        return [*lines[:at], json.dumps(event, separators=(",", ":")).encode() + b"\n", *lines[at + 1 :]]

    return apply


def task(key: str, value: object) -> Callable[[list[bytes]], list[bytes]]:
    return changed("SparkListenerTaskEnd", lambda event: event["Task Info"].update({key: value}))


FAULTS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "broken line": (lambda lines: [*lines[:9], b'{"Event":"SparkListenerJobEnd",\n', *lines[9:]], 1, "line 10, byte"),
    "cut last line": (lambda lines: [*lines[:-1], lines[-1][:20]], 1, "the last line is cut"),
    "deep nesting": (lambda lines: [*lines[:9], DEEP, *lines[9:]], 1, "line 10, byte"),
    "bad utf-8": (lambda lines: [*lines[:9], b'{"Event":"SparkListenerJobEnd\xff"}\n', *lines[9:]], 1, "line 10"),
    "wrong type": (task("Task ID", "seven"), 1, "Expected `int`"),
    "negative time": (task("Launch Time", -5), 0, "task times missing or out of any range"),
    "absurd time": (task("Finish Time", 1 << 62), 0, "task times missing or out of any range"),
    "beyond 64 bits": (task("Finish Time", 1 << 70), 0, "beyond 64 bits"),
    "clock goes back": (task("Finish Time", 1_000_000_000_000), 0, "finish before they start"),
    "duplicate end": (lambda lines: lines + [line for line in lines if b"SparkListenerTaskEnd" in line][:1], 0, "duplicate task end"),
    "lost end": (lambda lines: [line for line in lines if b"SparkListenerTaskEnd" not in line], 0, "ends are not in the log"),
    "no application end": (lambda lines: lines[:-1], 0, "no application end"),
    "application ends before it starts": (
        changed("SparkListenerApplicationEnd", lambda event: event.update({"Timestamp": 5})), 0, "ends before it starts"),
    "more cores than any machine": (
        changed("SparkListenerExecutorAdded", lambda event: event["Executor Info"].update({"Total Cores": (1 << 63) - 1})),
        0,
        "claim more cores than any machine has",
    ),
    "negative metric": (
        changed("SparkListenerTaskEnd", lambda event: event["Task Metrics"].update({"Executor Run Time": -9})), 0, "negative task metrics"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "bad", "issue"), FAULTS.values(), ids=FAULTS)
def test_p6_p7_p8_faults_are_counted_placed_and_never_fatal(
    fault: Callable[[list[bytes]], list[bytes]], bad: int, issue: str, tmp_path: Path
) -> None:
    (tmp_path / "log").write_bytes(b"".join(fault(list(LINES))))
    run = read_run(tmp_path / "log")
    assert run.quality.bad_lines == bad
    assert any(issue in known for known in run.quality.issues), run.quality.issues
    assert (run.tasks.duration_ms >= 0).all()
    assert (run.stages.duration_ms >= 0).all()
    assert run.wall_ms >= 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data.replace(b"\n", b"\r\n"), id="carriage returns"),
        pytest.param(lambda data: b"\xef\xbb\xbf" + data, id="byte order mark"),
        pytest.param(lambda data: data.rstrip(b"\n"), id="no final newline"),
        pytest.param(lambda data: data.replace(b"\n", b"\n\n\n"), id="empty lines"),
        pytest.param(lambda data: data.replace(b'{"Event":"', b'{ "Event" : "'), id="spaced"),
    ],
)
def test_p5_harmless_spellings(change: Callable[[bytes], bytes], tmp_path: Path, plain: AppRun) -> None:
    (tmp_path / "log").write_bytes(change(PLAIN))
    run = read_run(tmp_path / "log")
    assert run.quality == plain.quality
    assert len(run.tasks) == len(plain.tasks)


def test_p7_unknown_events_are_counted(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(PLAIN + b'{"Event":"com.example.MyListenerEvent","x":1}\n' * 3)
    assert read_run(tmp_path / "log").quality.unknown_events == {"com.example.MyListenerEvent": 3}


def test_the_order_of_blocks_does_not_matter(tmp_path: Path, plain: AppRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_copilot.connectors.eventlog.decompress.BLOCK_BYTES", 1000)
    same(read_run(DATA / "codec-sample"), plain)


def test_p13_mutations_end_in_a_run_or_a_declared_error(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    packed = [PLAIN, *((DATA / f"codec-sample.{codec}").read_bytes() for codec in ("lz4", "snappy", "lzf", "zstd"))]
    for round_ in range(150):
        data = bytearray(packed[round_ % len(packed)])
        for at in random.integers(0, len(data), size=int(random.integers(1, 20))):
            data[at] = int(random.integers(0, 256))
        (tmp_path / "log").write_bytes(data)
        try:
            for run in read_runs(tmp_path / "log"):
                assert run.wall_ms >= 0
                assert (run.tasks.duration_ms >= 0).all()
        except BadInput:
            pass


def test_newest_log(tmp_path: Path) -> None:
    logs = tmp_path / "my logs"
    logs.mkdir()
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text(f"# comment\nspark.eventLog.dir  file://{tmp_path}/my%20logs\n")
    (logs / "old").touch()
    os.utime(logs / "old", (1, 1))
    (logs / "new").touch()
    assert newest_log({"SPARK_HOME": str(tmp_path)}) == logs / "new"
    with pytest.raises(NotFound, match="neither SPARK_CONF_DIR"):
        newest_log({})
    (conf / "spark-defaults.conf").write_text("spark.eventLog.dir=s3a://bucket/x")
    with pytest.raises(NotFound, match="not on this machine"):
        newest_log({"SPARK_CONF_DIR": str(conf)})
