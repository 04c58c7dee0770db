"""`python -m tests.parity SPARK_PYTHON [LOGS] [--show N]`: a real History Server beside ours over the same logs, field by field.

SPARK_PYTHON is the interpreter of an environment with pyspark 4.3.0 (`make parity` makes one; needs Java 17). LOGS is a directory of event logs; without
one the project's own are used. Both servers get every log under its own directory, since many hold the same application id. Fields that count up to
"now" and the place of a log are left out. Prints what differs and the counts; exit 1 when anything does.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.servers import Server, history_server, ours
from spark_copilot.connectors.eventlog import headlines
from spark_copilot.rules_engine.errors import CopilotError

DATA = Path(__file__).resolve().parent.parent / "data"
IGNORED = {"lastUpdated", "lastUpdatedEpoch", "logSourceName", "logSourceFullPath"}
TO_NOW = {"duration", "endTime", "endTimeEpoch", "totalDuration"}
CALLS = (
    "", "/jobs", "/stages?withSummaries=true&quantiles=0.0,0.25,0.5,0.75,1.0", "/stages?details=true", "/executors", "/allexecutors",
    "/sql?length=10000", "/sql?details=false&offset=1&length=3", "/storage/rdd", "/environment", "/allmiscellaneousprocess",
)  # fmt: skip


def leaves(want: Any, got: Any, place: str = "") -> Iterator[tuple[str, bool, Any, Any]]:
    """Place, whether it is equal, and both values, for every leaf of what is wanted."""
    if isinstance(want, dict):
        for key, value in want.items():
            if key not in IGNORED:
                there = isinstance(got, dict) and key in got
                yield from leaves(value, got[key], f"{place}.{key}") if there else [(f"{place}.{key}", value is None, value, "(absent)")]
    elif isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            yield f"{place}[]", False, f"{len(want)} items", f"{len(got)} items" if isinstance(got, list) else str(got)
        for at, value in enumerate(want):
            if isinstance(got, list) and at < len(got):
                yield from leaves(value, got[at], f"{place}[]")
    else:
        near = isinstance(want, float) and isinstance(got, int | float) and abs(want - got) <= 1e-9 * max(1, abs(want))
        yield place, want == got or near, want, got


def ask(url: str) -> Any:
    """The answer as JSON, or its status as text."""
    try:
        with urllib.request.urlopen(url, timeout=180) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return f"status {error.code}"


def settled(server: Server) -> None:
    """Wait until a History Server has read its directory: its listing stands still."""
    last = -1
    while (count := len(ask(f"{server.url}/applications?limit=10000"))) != last or not count:
        last = count
        time.sleep(4)


def groups(logs: list[Path]) -> list[list[Path]]:
    """Logs that may lie in one directory: no two with the same application."""
    found: list[tuple[set[str], list[Path]]] = []
    for log in logs:
        try:
            ids = {app.id for app in headlines(log)}
        except CopilotError:
            continue
        place = next((group for group in found if not group[0] & ids), None)
        if place is None:
            found.append(place := (set(), []))
        place[0].update(ids)
        place[1].append(log)
    return [logs for _, logs in found]


def compare(real: str, ours: str, differing: Counter[str], show: int) -> tuple[int, int]:
    """Fields equal and fields in all, over every application that the real one lists."""
    equal = every = 0
    for application in ask(f"{real}/applications?limit=10000"):
        for attempt in application["attempts"]:
            name = application["id"] + (f"/{attempt['attemptId']}" if "attemptId" in attempt else "")
            for call in CALLS:
                want, got = ask(f"{real}/applications/{name}{call}"), ask(f"{ours}/applications/{name}{call}")
                for place, same, wanted, given in leaves(want, got):
                    if not attempt["completed"] and place.rpartition(".")[2] in TO_NOW:
                        continue
                    every += 1
                    equal += same
                    if not same:
                        what = re.sub(r"\.\d+", ".*", f"{call.partition('?')[0]}{place}")
                        differing[what] += 1
                        if differing[what] <= show:
                            print(f"{name} {what}: History Server {str(wanted)[:90]!r}, here {str(given)[:90]!r}", flush=True)
    return equal, every


def main() -> int:
    """Start both, compare, count."""
    parser = argparse.ArgumentParser(prog="tests.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spark_python", type=Path)
    parser.add_argument("logs", type=Path, nargs="?")
    parser.add_argument("--show", type=int, default=2)
    asked = parser.parse_args()
    folder = asked.logs or DATA / "laboratory"
    logs = sorted(log for log in folder.iterdir() if not log.name.startswith((".", "_")) and log.suffix not in (".json", ".md", ".py"))
    differing: Counter[str] = Counter()
    equal = every = 0
    for group in groups(logs):
        with tempfile.TemporaryDirectory() as place:
            served = Path(place, "logs")
            served.mkdir()
            for log in group:
                (shutil.copytree if log.is_dir() else shutil.copy)(log, served / log.name)
            with history_server(asked.spark_python, served, memory="1g") as real, ours(served, Path(place, "home")) as here:
                settled(real)
                done = compare(real.url, here.url, differing, asked.show)
            equal, every = equal + done[0], every + done[1]
    for what, count in differing.most_common(30):
        print(f"{count:>8,}  {what}")
    print(f"{equal:,} of {every:,} fields equal ({100 * equal / max(every, 1):.3f} %)")
    return 0 if equal == every else 1


if __name__ == "__main__":
    sys.exit(main())
