"""How fast Spark's monitoring API answers: ours, and a real History Server beside it when there is one.

    python -m benchmarks.monitoring LOG [--size-mb 600] [--history-server PYTHON of an environment with pyspark 4.3.0]

LOG is repeated with shifted ids to the size. The first answer (its stages) of a log that nobody has read, beside `analyze` of the same file in the same run;
then the usual calls again, each twenty times; then a folder of a thousand small logs, listed by a server that starts there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.parse import repeated
from benchmarks.servers import Server, history_server, ours
from spark_copilot.connectors.eventlog import ReadLimits
from spark_copilot.connectors.eventlog.decompress import Snapshot, blocks

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "monitoring.json"
TIMES = 20
LOGS = 1_000


def analysed(log: Path, home: Path) -> tuple[float, float]:
    """Wall and CPU seconds of `analyze`, its home empty."""
    before, begun = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "spark_copilot", "analyze", str(log), "--format", "json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SPARK_COPILOT_HOME": str(home)})
    after = os.times()
    return time.perf_counter() - begun, after.children_user + after.children_system - before.children_user - before.children_system


def listed(server: Server, count: int, until_s: float = 180) -> float:
    """Seconds until the listing holds so many applications."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < until_s:
        if len(json.loads(server.get("/applications?limit=100000"))) >= count:
            return time.perf_counter() - begun
        time.sleep(0.05)
    return float("inf")


def calls(app: str, last_stage: int) -> dict[str, str]:
    """The usual questions about one application."""
    base = f"/applications/{app}"
    return {
        "application": base,
        "jobs": f"{base}/jobs",
        "executors": f"{base}/allexecutors",
        "environment": f"{base}/environment",
        "one stage": f"{base}/stages/{last_stage}",
        "task summary": f"{base}/stages/{last_stage}/0/taskSummary",
        "task list, a page": f"{base}/stages/{last_stage}/0/taskList?offset=0&length=20&sortBy=-runtime",
        "sql, a page": f"{base}/sql?offset=0&length=20&details=false",
        "stages": f"{base}/stages",
    }


def one_log(server: Server, app: str, stage: int) -> dict[str, float]:
    """First answer and the median of each call after it, in seconds."""
    listed(server, 1)
    found = {"first answer": server.timed(f"/applications/{app}/stages")}
    for name, path in calls(app, stage).items():
        try:
            server.get(path)
        except OSError as error:
            raise SystemExit(f"{path}: {error}") from error
        found[name] = statistics.median(server.timed(path) for _ in range(TIMES))
    return found


def many(folder: Path, sample: bytes) -> None:
    """A thousand logs, each of an application of its own."""
    app = sample.split(b'"App ID":"', 1)[1].split(b'"', 1)[0]
    for n in range(LOGS):
        (folder / f"log-{n}").write_bytes(sample.replace(app, b"app-20260101000000-%04d" % n))


def main() -> None:
    """Make the file, ask, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--size-mb", type=int, default=600)
    parser.add_argument("--history-server", type=Path)
    asked = parser.parse_args()
    lines = b"".join(blocks(asked.log.name, Snapshot(asked.log), ReadLimits())).splitlines()
    app = b"".join(lines).split(b'"App ID":"', 1)[1].split(b'"', 1)[0].decode()
    sizes = [line for line in lines if line.startswith(b'{"Event":"SparkListenerStageCompleted')]
    stage = int(
        max(sizes, key=lambda line: int(line.split(b'"Number of Tasks":')[1].split(b",")[0])).split(b'"Stage ID":')[1].split(b",")[0]
    )
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "logs")
        home.mkdir()
        log = home / "log"
        with log.open("wb") as out:
            for line in repeated(lines, asked.size_mb * 1_000_000):
                out.write(line + b"\n")
        figures["bytes"] = log.stat().st_size
        figures["analyze.wall_s"], figures["analyze.cpu_s"] = analysed(log, Path(scratch, "home-a"))
        sample = b"\n".join(blocks_of(ROOT / "app" / "samples" / "healthy.zstd")) + b"\n"
        crowd = Path(scratch, "many")
        crowd.mkdir()
        many(crowd, sample)

        def measure(name: str, large: AbstractContextManager[Server], small: AbstractContextManager[Server]) -> None:
            with large as server:
                for what, seconds in one_log(server, app, stage).items():
                    figures[f"{name}.{what}_ms"] = round(seconds * 1000, 1)
                figures[f"{name}.rss_mb"] = round(server.rss_mb())
            with small as server:
                figures[f"{name}.thousand logs first listed_ms"] = round(listed(server, LOGS) * 1000, 1)
                figures[f"{name}.thousand logs listed again_ms"] = round(server.timed("/applications?limit=100000") * 1000, 1)

        measure("ours", ours(home, Path(scratch, "home-b")), ours(crowd, Path(scratch, "home-c")))
        if asked.history_server:
            measure("history server", history_server(asked.history_server, home), history_server(asked.history_server, crowd))
    figures["first answer / analyze"] = round(figures["ours.first answer_ms"] / 1000 / figures["analyze.wall_s"], 2)
    for name, value in figures.items():
        print(f"{name:42} {value:,.2f}")
    RESULTS.write_text(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=1) + "\n")


def blocks_of(path: Path) -> list[bytes]:
    """The lines of a small log."""
    return b"".join(blocks(path.name, Snapshot(path), ReadLimits())).splitlines()


if __name__ == "__main__":
    main()
