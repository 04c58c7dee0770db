"""Seeded mutations of event logs: of bytes, of lines, of fields, of packings and of directories.

Each takes the lines of a real log and a random generator and puts one broken log (a file or a directory) at a path.
"""

import bz2
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spark_copilot.connectors.eventlog.decompress import zstd

Mutation = Callable[[list[bytes], random.Random, Path], None]

HOSTILE: tuple[Any, ...] = (
    -1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, -(1 << 63), 1 << 64, 10**12, 10**30, 10**400, 1.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", " ", "x", "NaN", "-1", "9" * 400, "1e9", "driver", "<driver>", "\u0000", "\u202e\u2066",
    "\ud83d\ude00", "a\nb\r\nc", "\x1b[31mred\x1b[0m", "x" * 100_000, "<script>alert(1)</script>", "../../etc/passwd", "{{7*7}}", "%s%n", "| a | b |", None,
    True, False, [], {}, [[]], [None], {"a": {"b": []}}, [1, "x", None], {"": ""}, "2026-13-45T99:99:99Z", "local[*]", "local[999999999999]", "0x10",
)  # fmt: skip
TIMES = (0, -1, 1, -(10**15), 10**10, 10**13, 10**15, 10**18, (1 << 43) - 1, 1 << 43, (1 << 63) - 1, 253402300799999, 1e18)
IDS = (1 << 31, (1 << 31) - 1, -1, -(1 << 31), 1 << 40, 1 << 62, (1 << 63) - 1, 10**12, 0)
COUNTS = (10**9, 10**12, (1 << 31) - 1, (1 << 63) - 1, -1, 1 << 24, 0, 10**6)
GARBAGE = (b"", b"{", b"}", b"null", b"[]", b"0", b'"x"', b"{}", b'{"Event":1}', b'{"Event":null}', b'{"Event":"SparkListenerTaskEnd"}', b"\x00" * 64,
           b'{"Event":"SparkListenerJobStart"', b'{"Event":"SparkListener\xff"}', b"\xef\xbb\xbf", b"\xff\xfe{\x00", b"24/11/24 INFO Executor: x", b" ", b"\t")  # fmt: skip


def _json(event: Any) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _event(lines: list[bytes], rng: random.Random, name: str = "") -> tuple[int, Any] | None:
    """A line that parses, of this event's name if there is one, as (index, object)."""
    found = [i for i, line in enumerate(lines) if name.encode() in line[:120] and len(line) < 400_000]
    while found:
        at = found.pop(rng.randrange(len(found)))
        try:
            event = json.loads(lines[at])
        except ValueError:
            continue
        if isinstance(event, dict):
            return at, event
    return None


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key below a value."""
    todo = [value]
    while todo:
        one = todo.pop()
        for key in one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            yield one, key
            todo.append(one[key])


def _put(lines: list[bytes], path: Path, end: bytes = b"\n") -> None:
    path.write_bytes(end.join(lines) + end)


# ---- bytes


def bit_flips(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Single bits anywhere."""
    data = bytearray(b"\n".join(lines) + b"\n")
    for _ in range(rng.choice((1, 5, 50, 500))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def bytes_swapped(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Stretches of bytes cut out, doubled, overwritten with noise or zeros."""
    data = bytearray(b"\n".join(lines) + b"\n")
    for _ in range(rng.randint(1, 8)):
        low = rng.randrange(len(data))
        high = min(low + rng.choice((1, 10, 1000, 20_000)), len(data))
        piece = bytes(data[low:high])
        data[low:high] = rng.choice((b"", piece * 2, rng.randbytes(len(piece)), bytes(len(piece)), piece[::-1]))
    path.write_bytes(data)


def cut(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """The front or the back missing, in the middle of a line."""
    data = b"\n".join(lines) + b"\n"
    at = rng.randrange(len(data))
    path.write_bytes(data[:at] if rng.random() < 0.7 else data[at:])


def encodings(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """A byte order mark, UTF-16, UTF-32, Latin-1, or two encodings in one file."""
    text = b"\n".join(lines) + b"\n"
    kind = rng.randrange(6)
    if kind == 0:
        path.write_bytes(b"\xef\xbb\xbf" + text)
    elif kind == 1:
        path.write_bytes(text.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-32"))))
    elif kind == 2:
        path.write_bytes(text.replace(b"a", b"\xe4"))
    elif kind == 3:
        half = len(lines) // 2
        path.write_bytes(b"\n".join(lines[:half]) + b"\n" + b"\n".join(lines[half:]).decode("utf-8", "replace").encode("utf-16-le"))
    elif kind == 4:
        _put([b"\xef\xbb\xbf" + line for line in lines], path)
    else:
        _put([line.replace(b"e", b"\\ud800", 3) if rng.random() < 0.3 else line for line in lines], path)


def line_ends(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """CRLF, CR, NUL, form feeds and vertical space between or in lines."""
    end = rng.choice((b"\r\n", b"\r", b"\n\n\n", b"\x00\n", b"\n\r", b"\x0b", b"\x0c\n", b" \n\t"))
    _put(lines, path, end)


def not_a_log(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Something else under the name of a log."""
    page = b"<!DOCTYPE html><html><body>" + b"<p>404</p>" * rng.choice((1, 20_000)) + b"</body></html>"
    driver = b"\n".join(b"24/11/24 10:00:00 INFO SparkContext: Running Spark version 3.5.1 %d" % i for i in range(rng.choice((1, 5000))))
    path.write_bytes(
        rng.choice(
            (b"", b"\n" * 5000, b"{}\n" * 5000, b"[" * 100_000, b"\x00" * 200_000, rng.randbytes(300_000), page, driver, b"null", b"PK\x03\x04" + rng.randbytes(5000),
             b"\x1f\x8b" + rng.randbytes(5000), b"BZh9" + rng.randbytes(5000), b"\x28\xb5\x2f\xfd" + rng.randbytes(5000), b"LZ4Block" + rng.randbytes(5000),
             b"\x82SNAPPY\x00" + rng.randbytes(5000), b"ZV\x01" + rng.randbytes(5000), b"{" * 70_000, b'{"a":' * 50_000, b"PAR1" + rng.randbytes(500),
             b"\x7fELF" + bytes(5000), b'{"Event":"' + b"x" * 200_000, b"a" * 300_000)
        )
    )  # fmt: skip


# ---- lines


def lines_lost(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Lines dropped, doubled, moved and replaced by garbage."""
    share = rng.choice((0.01, 0.1, 0.5, 0.95))
    out: list[bytes] = []
    for line in lines:
        if rng.random() >= share:
            out.append(line)
            continue
        out += rng.choice(
            ([], [line, line], [rng.choice(GARBAGE)], [line[: rng.randrange(len(line) + 1)]], [line + line], [rng.choice(lines)])
        )
    _put(out, path)


def shuffled(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Events in another order: a few moved, all shuffled, or the log backwards."""
    out = list(lines)
    kind = rng.randrange(3)
    if kind == 0:
        rng.shuffle(out)
    elif kind == 1:
        out.reverse()
    else:
        for _ in range(10):
            out.insert(rng.randrange(len(out)), out.pop(rng.randrange(len(out))))
    _put(out, path)


def one_kind_lost(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """All events of one or two kinds missing: task ends without starts, stages without jobs, no application."""
    kinds = sorted({line[10:80].partition(b'"')[0] for line in lines})
    gone = set(rng.sample(kinds, min(len(kinds), rng.randint(1, 3))))
    only = rng.random() < 0.2
    _put([line for line in lines if (line[10:80].partition(b'"')[0] in gone) == only], path)


def repeated(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """The whole log twice: duplicated ids; or two applications in one file."""
    again = list(lines)
    if rng.random() < 0.5:
        again = [line.replace(b'"App ID":"', b'"App ID":"other-') for line in again]
    _put(lines + again, path)


def huge_line(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """One very long line, broken or whole."""
    size = rng.choice((1 << 20, 5 << 20))
    long = rng.choice(
        (
            b"x" * size,
            b'{"Event":"SparkListenerTaskEnd","x":"' + b"y" * size + b'"}',
            b'{"Event":"SparkListenerLogStart","Spark Version":"' + b"3" * size + b'"}',
            b'{"Event":"SparkListenerJobStart","Job ID":77,"Stage IDs":[' + b"1," * (size // 2) + b"2]}",
            b'{"Event":"' + b"SparkListener" * (size // 13) + b'"}',
            b'{"Event":"SparkListenerApplicationStart","App Name":"'
            + b"\\u0000" * (size // 6)
            + b'","App ID":"a","Timestamp":1,"User":"u"}',
        )
    )
    _put([*lines[:3], long, *lines[3:]], path)


def deep(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Nesting beyond any real event: arrays, objects and plans."""
    depth = rng.choice((50, 250, 300, 1_000, 10_000, 100_000))
    made: bytes = b'{"nodeName":"Project","simpleString":"Project","children":[' * depth
    plan = made + b"]}" * depth
    start = b'{"Event":"org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart","executionId":%d,"description":"d","details":"","physicalPlanDescription":"","sparkPlanInfo":'
    nested = b"[" * depth + b"]" * depth if rng.random() < 0.5 else b'{"a":' * depth + b"1" + b"}" * depth
    added = rng.choice(
        (
            start % rng.randrange(5) + plan + b',"time":1}',
            b'{"Event":"SparkListenerEnvironmentUpdate","Spark Properties":{"a":' + nested + b"}}",
            b'{"Event":"SparkListenerTaskEnd","Stage ID":0,"unread":' + nested + b',"Task Info":{"Task ID":1}}',
            b'{"Event":"SparkListenerResourceProfileAdded","Resource Profile Id":1,"Executor Resource Requests":' + nested + b"}",
            b'{"Event":"SomethingNew","x":' + nested + b"}",
            b'{"x":' + nested + b',"Event":"SparkListenerJobEnd","Job ID":0}',
            nested,
        )
    )
    at = rng.randrange(len(lines))
    _put([*lines[:at], added, *lines[at:]], path)


def many(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Very many small things: executors, unknown events, jobs, broken lines, metrics of one plan."""
    n = rng.choice((1_000, 20_000))
    kind = rng.randrange(6)
    extra = {
        0: [b'{"Event":"SparkListenerExecutorAdded","Timestamp":%d,"Executor ID":"e%d","Executor Info":{"Host":"h","Total Cores":4}}' % (1700000000000 + i, i) for i in range(n)],
        1: [b'{"Event":"Unknown%d"}' % i for i in range(n)],
        2: [b'{"Event":"SparkListenerJobStart","Job ID":%d,"Submission Time":1,"Stage Infos":[],"Stage IDs":[%d]}' % (i, i) for i in range(min(n, 5_000))],
        3: [b"{broken"] * n,
        4: [b'{"Event":"SparkListenerTaskEnd","Stage ID":%d,"Task Info":{"Task ID":%d,"Executor ID":"%d"}}' % (i, i, i) for i in range(min(n, 5_000))],
        5: [b'{"Event":"org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd","executionId":%d,"time":1}' % i for i in range(min(n, 5_000))],
    }[kind]  # fmt: skip
    at = rng.randrange(1, len(lines))
    _put([*lines[:at], *extra, *lines[at:]], path)


# ---- fields


def type_swaps(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Values of other types, hostile numbers and texts, at any place of some events."""
    out = list(lines)
    for _ in range(rng.choice((1, 5, 40))):
        found = _event(out, rng)
        if found is None:
            break
        at, event = found
        found_places = list(places(event))
        if not found_places:
            continue
        container, key = rng.choice(found_places)
        container[key] = rng.choice(HOSTILE)
        out[at] = _json(event)
    _put(out, path)


def keys_changed(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Keys missing, renamed, doubled."""
    out = list(lines)
    for _ in range(rng.choice((1, 10, 60))):
        found = _event(out, rng)
        if found is None:
            break
        at, event = found
        found_places = list(places(event))
        if not found_places:
            continue
        container, key = rng.choice(found_places)
        kind = rng.randrange(3)
        if kind == 0 or isinstance(container, list):
            del container[key]
        elif kind == 1:
            container[str(key).lower()] = container.pop(key)
        else:
            doubled = _json({key: rng.choice(HOSTILE)})[1:-1]
            out[at] = _json(event)[:-1] + b"," + doubled + b"}"
            continue
        out[at] = _json(event)
    _put(out, path)


def _everywhere(words: tuple[str, ...], values: tuple[Any, ...], share: tuple[float, ...]) -> Mutation:
    def mutation(lines: list[bytes], rng: random.Random, path: Path) -> None:
        low = rng.choice(share)
        value = rng.choice(values)
        one = rng.random() < 0.5
        wanted = set(rng.sample(words, rng.randint(1, len(words))))
        out = []
        for line in lines:
            if rng.random() < low and any(word.encode() in line for word in wanted) and len(line) < 400_000:
                try:
                    event = json.loads(line)
                except ValueError:
                    out.append(line)
                    continue
                for container, key in list(places(event)):
                    if isinstance(key, str) and any(word in key for word in wanted) and not isinstance(container[key], dict | list):
                        container[key] = value if one else rng.choice(values)
                out.append(_json(event))
            else:
                out.append(line)
        _put(out, path)

    return mutation


times = _everywhere(("Time", "Timestamp", "time"), TIMES, (0.02, 0.3, 1.0))
times.__doc__ = "Absurd, negative, missing and backward times."
ids = _everywhere(
    ("Stage ID", "Job ID", "Task ID", "executionId", "Stage Attempt ID", "Attempt", "Index", "Partition ID"), IDS, (0.05, 1.0)
)
ids.__doc__ = "Ids at the borders of 32 and 64 bits."
counts = _everywhere(
    ("Number of Tasks", "Total Cores", "Number of Partitions", "Maximum Memory", "Port", "Resource Profile Id"), COUNTS, (0.2, 1.0)
)
counts.__doc__ = "Tasks, cores, partitions and memory beyond any machine."
metrics = _everywhere(
    ("Bytes", "Records", "Run Time", "CPU Time", "GC", "Size", "Blocks", "Memory", "Spilled"), (*IDS, *TIMES, 1.5, "1", None), (0.05, 1.0)
)
metrics.__doc__ = "Task metrics of any size and type."
accumulables = _everywhere(("Value", "Update", "accumulatorId", "ID"), (*IDS, 1 << 63, -(1 << 63), 10**30, "x", 1.5, "9" * 30), (0.2, 1.0))
accumulables.__doc__ = "Accumulators beyond 64 bits."


def settings(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """Hostile settings in the environment."""
    keys = ("spark.executor.cores", "spark.executor.memory", "spark.task.cpus", "spark.master", "spark.executor.instances", "spark.sql.shuffle.partitions",
            "spark.executor.memoryOverhead", "spark.default.parallelism", "spark.dynamicAllocation.maxExecutors", "spark.memory.fraction", "spark.driver.memory",
            "spark.sql.files.maxPartitionBytes", "spark.sql.autoBroadcastJoinThreshold", "spark.locality.wait", "spark.sql.adaptive.enabled",
            "spark.sql.adaptive.advisoryPartitionSizeInBytes", "spark.executor.memoryOverheadFactor", "spark.speculation.multiplier")  # fmt: skip
    values = (
        *HOSTILE,
        "0",
        "-5",
        "1e400",
        "9" * 30 + "g",
        "-1g",
        "0b",
        "infg",
        "nan",
        "1.5.2",
        "１２",
        "local-cluster[9999999,999999,1]",
        "local[0]",
        "local[-3]",
        "10000000000000t",
    )
    out = []
    for line in lines:
        if b"EnvironmentUpdate" in line[:60]:
            event = json.loads(line)
            for key in rng.sample(keys, rng.randint(1, len(keys))):
                event.setdefault("Spark Properties", {})[key] = rng.choice(values)
            line = _json(event)
        out.append(line)
    _put(out, path)


# ---- packings and places


def packed_wrong(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """A packed log cut, spoilt, with a wrong suffix, or packed twice."""
    data = b"\n".join(lines) + b"\n"
    packed = rng.choice((zstd.compress, gzip.compress, bz2.compress))(data)
    kind = rng.randrange(5)
    if kind == 0:
        packed = packed[: rng.randrange(len(packed))]
    elif kind == 1:
        spoilt = bytearray(packed)
        for _ in range(rng.randint(1, 20)):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        packed = bytes(spoilt)
    elif kind == 2:
        packed = gzip.compress(packed)
    elif kind == 3:
        packed += rng.randbytes(1000)
    path.with_name(path.name + rng.choice(("", ".zstd", ".gz", ".lz4", ".snappy", ".zip", ".inprogress"))).write_bytes(packed)


def archive(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """A zip cut, spoilt, with names outside itself, doubled or empty entries."""
    data = b"\n".join(lines) + b"\n"
    out = io.BytesIO()
    kind = rng.randrange(7)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        names = {
            0: ["log"],
            1: ["../log"],
            2: ["/etc/log"],
            3: ["log", "readme.txt"],
            4: ["eventlog_v2_a/events_1_a", "eventlog_v2_a/events_3_a"],
        }
        for name in names.get(kind, ["log"]):
            zipped.writestr(name, data if name != "readme.txt" else b"hello")
        if kind == 5:
            zipped.writestr("empty", b"")
    packed = bytearray(out.getvalue())
    if kind in (0, 6):
        for _ in range(rng.randint(0, 30)):
            packed[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
    path.write_bytes(packed[: rng.randrange(len(packed))] if kind == 6 else packed)


def directory(lines: list[bytes], rng: random.Random, path: Path) -> None:
    """A rolled directory with parts missing, empty, doubled, out of order or broken."""
    path.mkdir()
    folder = path / "eventlog_v2_app" if rng.random() < 0.5 else path
    folder.mkdir(exist_ok=True)
    step = max(len(lines) // 4, 1)
    for number in range(4):
        data = b"\n".join(lines[number * step : (number + 1) * step]) + b"\n"
        if rng.random() < 0.2:
            continue
        if rng.random() < 0.3:
            data = rng.choice((b"", rng.randbytes(500), zstd.compress(data)[:-20], data[: len(data) // 2]))
        index = rng.choice((number + 1, number + 1, number + 1, 0, 10**8))
        (folder / f"events_{index}_app{rng.choice(('', '.zstd', '.compact', '.inprogress'))}").write_bytes(data)
    (folder / "appstatus_app").touch()
    if rng.random() < 0.3:
        (folder / "events_2_app").unlink(missing_ok=True)
        (folder / "events_2_app").mkdir()


MUTATIONS: tuple[Mutation, ...] = (
    bit_flips, bytes_swapped, cut, encodings, line_ends, not_a_log, lines_lost, shuffled, one_kind_lost, repeated, huge_line, deep, many,
    type_swaps, keys_changed, times, ids, counts, metrics, accumulables, settings, packed_wrong, archive, directory,
)  # fmt: skip


def name_of(mutation: Mutation) -> str:
    """Its name, for a report."""
    return (
        getattr(mutation, "__name__", "mutation")
        if mutation.__name__ != "mutation"
        else next(k for k, v in globals().items() if v is mutation)
    )
