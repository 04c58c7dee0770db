"""`analyze --watch`: a line each time a growing log changed, until the application ends."""

import sys
import time
from datetime import datetime
from pathlib import Path

from spark_copilot.app.report.plain import shown
from spark_copilot.connectors.eventlog import ReadLimits, read_run
from spark_copilot.orchestration.analyse import analyse_run
from spark_copilot.rules_engine.errors import NotAnEventLog, NotFound, UsageError

POLL_SECONDS = 1.0
SHARE = 0.2
"""Part of the time that reading may take: a log that takes 2 s to read is read every 10 s at most."""


def follow(log: str, *, poll_s: float = POLL_SECONDS, limits: ReadLimits | None = None) -> Path:
    """Print the verdict at each change; return where the finished log lies (Spark drops `.inprogress` at the end).

    Raises:
        UsageError: standard input cannot be read again.
        NotFound: no such log, or it was taken away.
        NotAnEventLog: what is in it is none.
    """
    if log == "-":
        raise UsageError("standard input cannot be watched", hint="name the log's file")
    path, seen, spent = Path(log), None, 0.0
    while True:
        path = _moved(path)
        try:
            now = _size(path)
            if now != seen:
                begun = time.perf_counter()
                if now and _said(path, limits):
                    return path
                seen, spent = now, time.perf_counter() - begun
        except NotFound:
            if _moved(path) == path:
                raise
            continue  # it was finished and renamed this moment
        time.sleep(max(poll_s, spent / SHARE))


def _said(path: Path, limits: ReadLimits | None) -> bool:
    try:
        run = read_run(path, limits=limits)
    except NotAnEventLog:
        if _size(path) > 1 << 16:  # the first block of a packed log may not be out yet
            raise
        return False
    report = analyse_run(run)
    print(f"{datetime.now().astimezone():%H:%M:%S}  {len(run.tasks):,} tasks ended  {shown(report.verdict)}", flush=True, file=sys.stderr)  # noqa: T201
    return run.complete


def _moved(path: Path) -> Path:
    if not path.exists() and path.name.endswith(".inprogress"):
        return path.with_name(path.name.removesuffix(".inprogress"))
    return path


def _size(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
