"""How a command reads its logs: within the configured limits, with a progress line, and large ones only once."""

import re
from collections.abc import Sequence
from pathlib import Path

from spark_copilot.app.cli.progress import reading
from spark_copilot.app.config import Settings, load
from spark_copilot.connectors.eventlog import ReadLimits, read_runs
from spark_copilot.orchestration.runs import LogRuns
from spark_copilot.rules_engine.errors import BadInput, NotFound, UsageError
from spark_copilot.rules_engine.facts import AppRun

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def runs_of(log: str, settings: Settings | None = None) -> list[AppRun]:
    """Every application of a log, a directory, standard input ("-"), or an address that the settings allow.

    Raises:
        NotFound: no such log.
        BadInput: not an event log, or beyond the limits.
        CopilotError: it cannot be fetched.
    """
    settings = settings or load()
    limits = ReadLimits(max_bytes=settings.max_decompressed_bytes)
    if is_address(log):
        from spark_copilot.app.cli.fetched import fetched

        with fetched(log, settings) as brought, reading(brought.name) as heard:
            return list(read_runs(brought, limits=limits, progress=heard))
    with reading(log) as heard:
        if log != "-" and worth_keeping(Path(log), settings):
            from spark_copilot.app.wiring import cache_of

            return list(cache_of(settings).runs(Path(log), limits=limits, progress=heard))
        return list(read_runs(log, limits=limits, progress=heard))


def is_address(log: str) -> bool:
    """Whether a log lies elsewhere: `s3://…`, `https://…`."""
    return _ADDRESS.match(log) is not None


def run_of(log: str) -> AppRun:
    """The only application of a log.

    Raises:
        UsageError: it holds several.
    """
    runs = runs_of(log)
    if len(runs) > 1:
        names = ", ".join(run.app.id for run in runs[:5])
        raise UsageError(f"{log} holds {len(runs)} applications ({names}); name one log")
    return runs[0]


def worth_keeping(path: Path, settings: Settings) -> bool:
    """Whether reading it takes so long that tables of it pay: smaller logs are read faster than the library for tables is loaded."""
    if not settings.run_cache_bytes:
        return False
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
        return sum(file.stat().st_size for file in files) >= settings.run_cache_from_bytes
    except OSError:
        return False


def log_runs(names: Sequence[str]) -> LogRuns:
    """The runs of these logs and directories.

    Raises:
        NotFound: there is nothing at a path.
        BadInput: no event log is among them.
    """
    paths = [Path(name).expanduser() for name in names]
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path}: no such file or directory")
    runs = LogRuns(paths, load().pricing)
    if not runs.known() and not all(path.is_dir() for path in paths):
        raise BadInput(f"{', '.join(map(str, paths))}: no event log", hint="spark-copilot analyze LOG says what is wrong with one")
    return runs
