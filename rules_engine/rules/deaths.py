"""Why executors went: for want of memory, for another reason, or in good order."""

import re
from dataclasses import dataclass

import numpy as np

from spark_copilot.rules_engine.facts import FAILED, MISSING, SUCCESS, AppRun, IntColumn

# 52 is the code with which Spark's own handler ends a JVM after an OutOfMemoryError (SparkExitCode.OOM).
_HEAP = re.compile(
    r"OutOfMemoryError|Java heap space|GC overhead limit exceeded|UNABLE_TO_ACQUIRE_MEMORY|(exited with code|exit code:?|exit status:?) 52\b",
    re.IGNORECASE,
)
_KILL = re.compile(
    r"exceeding memory limits|exceeding physical memory limits|(exit code:?|exit status:?) 137\b|OOMKilled|Container killed by YARN",
    re.IGNORECASE,
)
_PYTHON = re.compile(r"(?<![A-Za-z])_?(?:Array)?MemoryError\b")
_PREEMPTED = ("preempt", "spot", "decommission")
_ORDERLY = (
    "idle",
    "decommission",
    "scale",
    "requested",
    "dynamic allocation",
    "driver commanded",
    "killed by driver",
    "finished state removed",
    "command exited with code 0",
    "shutdown",
    "stopped",
)


def memory_cause(text: str | None) -> str | None:
    """ "heap", "container", "python" or None for a failure or removal reason."""
    if not text or any(w in text.lower() for w in _PREEMPTED):
        return None
    if _KILL.search(text):
        return "container"
    if _HEAP.search(text):
        return "heap"
    return "python" if _PYTHON.search(text) else None


def reason_of(run: AppRun, task_row: int) -> str:
    """The error of a task attempt; empty for none."""
    error = int(run.tasks.error_row[task_row])
    return run.errors[error] if error != MISSING else ""


@dataclass(frozen=True, slots=True)
class Deaths:
    """Rows of executors that left unasked, and the rows of the task attempts that went with any of them."""

    of_memory: tuple[int, ...]
    otherwise: tuple[int, ...]
    tasks: tuple[int, ...]

    @property
    def only_memory(self) -> bool:
        """Whether executors died, and all of them for want of memory."""
        return bool(self.of_memory) and not self.otherwise


def deaths(run: AppRun) -> Deaths:
    """Every executor that was not sent away. One that goes in the last moments without taking a task along is sent home."""
    died = [r for r in np.flatnonzero(run.tasks.status == FAILED).tolist() if "ExecutorLost" in reason_of(run, r)]
    owners = {int(run.tasks.executor_row[r]) for r in died}
    of_memory, otherwise = [], []
    for row, (when, reason, driver) in enumerate(
        zip(run.executors.removed_ms.tolist(), run.executors.removed_reason, run.executors.is_driver.tolist(), strict=True)
    ):
        if when == MISSING or driver or (when >= run.ended_ms - 500 and run.complete and row not in owners):
            continue
        if memory_cause(reason) is not None:
            of_memory.append(row)
        elif not any(w in (reason or "").lower() for w in _ORDERLY):
            otherwise.append(row)
    return Deaths(tuple(of_memory), tuple(otherwise), tuple(died))


def retried(run: AppRun) -> list[int]:
    """Rows of stage attempts beyond the first that ran tasks."""
    return [row for row in range(len(run.stages)) if int(run.stages.attempt[row]) > 0 and len(run.task_rows(row))]


def repeated(run: AppRun) -> list[int]:
    """Of those attempts the ones that mostly did again what an earlier attempt had done; the others went on where it had stopped.

    One whose earlier attempts are not in the log counts as repeated.
    """
    found = []
    for row in retried(run):
        own, done = run.task_rows(row), _partitions_done_before(run, row)
        again = np.ones(len(own), dtype=np.bool_) if done is None else np.isin(_partitions(run, own), done)
        spent = run.tasks.duration_ms[own]
        if 2 * int(spent[again].sum()) >= int(spent.sum()):
            found.append(row)
    return found


def _partitions(run: AppRun, rows: IntColumn) -> IntColumn:
    """A later attempt counts its tasks anew, so `index` is only for logs that name no partition."""
    named = run.tasks.partition_id[rows]
    return np.where(named == MISSING, run.tasks.index[rows], named)


def _partitions_done_before(run: AppRun, row: int) -> IntColumn | None:
    stage, attempt = int(run.stages.stage_id[row]), int(run.stages.attempt[row])
    earlier = np.flatnonzero((run.stages.stage_id == stage) & (run.stages.attempt < attempt))
    if not len(earlier):
        return None
    tasks = np.concatenate([run.task_rows(int(other)) for other in earlier])
    return _partitions(run, tasks[run.tasks.status[tasks] == SUCCESS])
