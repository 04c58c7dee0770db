"""Logs named on a command line, as runs by handle."""

from collections.abc import Sequence
from pathlib import Path

from spark_copilot.orchestration.runs import LogRuns
from spark_copilot.rules_engine.errors import BadInput, NotFound


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
    runs = LogRuns(paths)
    if not runs.known() and not all(path.is_dir() for path in paths):
        raise BadInput(f"{', '.join(map(str, paths))}: no event log", hint="spark-copilot analyze LOG says what is wrong with one")
    return runs
