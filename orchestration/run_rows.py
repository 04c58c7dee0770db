"""Histories that a command is given: logs, directories of logs, and model files, as rows."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spark_copilot.ml.feature_builder import HistoryRow
from spark_copilot.ml.model_training import RuntimeModel, TooFewRuns, load_rows, model_text, train
from spark_copilot.orchestration.analyse import row_of
from spark_copilot.orchestration.runs import logs_in
from spark_copilot.rules_engine.errors import CopilotError, NotFound, UsageError
from spark_copilot.rules_engine.facts import AppRun

__all__ = ["load_rows", "model_text", "rows_of_logs", "trained"]


def rows_of_logs(paths: Iterable[Path], read: Callable[[str], Iterable[AppRun]], skipped: Callable[[str], object]) -> Iterator[HistoryRow]:
    """A row for each application of these logs; `read` reads one log. In a directory what cannot be read is left out, and `skipped` hears it.

    Raises:
        NotFound: nothing is at a path.
        BadInput: a log that was named itself cannot be read.
    """
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path}: no such file or directory")
        for log in logs_in([path]):
            try:
                yield from map(row_of, read(str(log)))
            except CopilotError as error:
                if log == path:
                    raise
                skipped(str(error))


def trained(rows: Iterable[HistoryRow], job: str | None = None) -> RuntimeModel:
    """The model of one job's rows; each application attempt counts once.

    Raises:
        UsageError: the rows are of several jobs and none is named, or not of this one.
        TooFewRuns: fewer than three complete runs.
    """
    by_job: dict[str, dict[tuple[str, str | None, int], HistoryRow]] = {}
    for row in rows:
        by_job.setdefault(row.job, {})[row.app_id, row.attempt, row.started_ms] = row
    if not by_job:
        raise TooFewRuns("no run in these logs")
    known = ", ".join(f"{name} ({len(found)} runs)" for name, found in sorted(by_job.items(), key=lambda item: -len(item[1]))[:10])
    if job is None and len(by_job) > 1:
        raise UsageError(f"runs of {len(by_job)} jobs: {known}", hint="--job NAME takes one of them")
    if job is not None and job not in by_job:
        raise UsageError(f"no run of the job {job!r}", hint=f"known: {known}")
    return train(list(by_job[job if job is not None else next(iter(by_job))].values()))
