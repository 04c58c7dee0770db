"""One analysis in a process of its own: `python -m spark_copilot.app.analysis_process`, started by the worker.

Each task comes as one line of JSON on standard input, progress and outcome go as lines of JSON to standard output. A log that exhausts the
process's limits, or that finds a way to crash it, ends this process and nothing else. When standard input closes, the worker is gone and so is
this process.
"""

import contextlib
import json
import os
import queue
import resource
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from spark_copilot.ml.feature_builder import HistoryRow

PROGRESS_SECONDS = 0.3
NICENESS = 5
"""Whoever asks the server something on the same machine comes first."""


class Task(BaseModel):
    """What to analyse: `log`, into `out` (run tables in a folder and the report in a file, each by the application's number)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: Path
    name: str
    out: Path
    detail: bool
    keep_redacted: bool
    max_decompressed_bytes: int
    memory_bytes: int
    cpu_seconds: int
    pricing: str | None = None
    history: bool = False
    """Whether whoever hands out the task answers `earlier` {job, before_ms} with a line of rows: JSON, a list."""


class Channel:
    """The way to the worker and back: one line a message. Whatever else prints goes to standard error."""

    def __init__(self, out: IO[str], lines: "queue.Queue[str] | None" = None) -> None:
        self._out, self._last, self._lines = out, 0.0, lines
        self._lock = threading.Lock()

    def earlier(self, row: "HistoryRow") -> "list[HistoryRow]":
        """Runs of the same job that the worker knows; none where it does not answer as it should."""
        import msgspec

        from spark_copilot.ml.feature_builder import HistoryRow

        if self._lines is None:
            return []
        self.say(earlier={"job": row.job, "before_ms": row.started_ms})
        found = []
        for item in json.loads(self._lines.get()):
            with contextlib.suppress(msgspec.ValidationError):  # of another version of the program
                found.append(msgspec.convert(item, HistoryRow))
        return found

    def say(self, **message: Any) -> None:
        """One message."""
        with self._lock:  # agents run side by side
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()

    def share(self, share: float) -> None:
        """How much of the log is read; often asked, seldom said."""
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS:
            self._last = now
            self.say(stage="parsing", share=round(min(share, 1.0), 3))


def main() -> NoReturn:
    """Do the tasks that come on standard input, one after the other, until it closes."""
    os.nice(NICENESS)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.Queue[str] = queue.Queue()
    channel = Channel(out, tasks)
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    from spark_copilot.connectors import tracing
    from spark_copilot.orchestration import analyse as _  # loaded while nothing is asked yet

    del _
    while True:
        task = Task.model_validate_json(tasks.get())
        limit(task)
        with tracing.reporting(lambda span: channel.say(span=span)):
            last = outcome(task, channel)
        channel.say(**last, mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def outcome(task: Task, channel: Channel) -> dict[str, Any]:
    """Do one task; the last message about it. `final`: another attempt would end the same way."""
    from spark_copilot.rules_engine.errors import CopilotError

    try:
        return {"done": analyse(task, channel)}
    except CopilotError as error:
        return {"error": {"code": error.code, "detail": str(error), "hint": error.hint}, "final": True}
    except MemoryError:
        error_ = {
            "code": "analysis-out-of-memory",
            "detail": "the analysis needs more memory than it may have",
            "hint": "SPARK_COPILOT_ANALYSIS_MEMORY_BYTES raises the limit",
        }
        return {"error": error_, "final": False}
    except OSError as error:
        return {
            "error": {"code": "storage-failed", "detail": f"the results cannot be written: {error.strerror}", "hint": ""},
            "final": False,
        }


def limit(task: Task) -> None:
    """Bound what this process may take; beyond the processor time it is killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = task.memory_bytes if hard == resource.RLIM_INFINITY else min(task.memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = task.cpu_seconds + int(usage.ru_utime + usage.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def analyse(task: Task, channel: Channel) -> int:
    """Read, analyse and write; how many applications the log held."""
    from spark_copilot.connectors import tracing
    from spark_copilot.connectors.eventlog import ReadLimits, read_runs
    from spark_copilot.connectors.run_tables import write_tables
    from spark_copilot.orchestration.analyse import Options, analyse_run, row_of, usable

    size = max(task.log.stat().st_size, 1)
    log = task.out / "in" / task.name  # under the client's name, since messages about the log name it
    log.parent.mkdir()
    log.symlink_to(task.log)
    limits = ReadLimits(max_bytes=task.max_decompressed_bytes)
    number = 0
    runs = read_runs(log, limits=limits, progress=lambda taken: channel.share(taken / size), detail=task.detail)
    while True:
        with tracing.span("read"):
            run = next(runs, None)
        if run is None:
            break
        channel.say(stage="parsed", application=number, tasks=len(run.tasks))
        row = row_of(run)
        options = Options(
            progress=lambda agent: channel.say(stage="analysing", agent=agent),
            pricing=usable(task.pricing, run),
            history=channel.earlier(row) if task.history else (),
        )
        with tracing.span("analyse", application=number, tasks=len(run.tasks)):
            text = analyse_run(run, options).model_dump_json(by_alias=True)
        write_tables(run, task.out / str(number))
        (task.out / f"{number}.json").write_text(text, encoding="utf-8")
        (task.out / f"{number}.row.json").write_text(json.dumps(asdict(row)), encoding="ascii")
        number += 1
    if task.keep_redacted:
        from spark_copilot.orchestration.redacted_log import write_redacted

        write_redacted(log, task.out / "original.zstd", limits)
    log.unlink()
    log.parent.rmdir()
    return number


def _listen(tasks: "queue.Queue[str]") -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin:
            tasks.put(line)
    os._exit(0)  # not the long way: what is under way is of no use to anybody


if __name__ == "__main__":
    main()
