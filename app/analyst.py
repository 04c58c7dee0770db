"""A process that analyses logs, seen from the worker: hand it a task, hear what it says, end it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from spark_copilot.app.analysis_process import Task
from spark_copilot.app.threads import ONE_THREAD

MAX_TASKS = 50
"""A process is replaced after this many tasks, so that nothing piles up in it."""


class Analyst:
    """One process; it starts at once and takes one task at a time. It ends with this process, however that ends."""

    def __init__(self) -> None:
        self.tasks = 0
        self._said: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spark_copilot.app.analysis_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
            env={**os.environ, **ONE_THREAD},
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def usable(self) -> bool:
        """Whether it can take another task."""
        return self.tasks < MAX_TASKS and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Its exit status; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def said(self) -> str:
        """The last lines of its standard error."""
        return "".join(self._said)

    def ask(self, task: Task) -> Iterator[dict[str, Any]]:
        """Its messages, the last one `done` or `error`; they just stop when the process ends before that."""
        self.tasks += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(task.model_dump_json() + "\n")
            self._process.stdin.flush()
        except OSError:
            return
        for line in self._process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            yield message
            if "done" in message or "error" in message:
                return
        self._process.wait()
        self._listener.join(timeout=2)

    def answer(self, value: Any) -> None:
        """Give it what it asked for in a message."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which the messages tell
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of what belongs to it."""
        self._process.kill()
        self._process.wait()
        self._listener.join(timeout=2)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stderr:
                self._said.append(line)
