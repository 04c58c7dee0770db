"""Which tasks came too late for Spark's own sums: it drops a stage, a job and an executor from them when it has ended."""

from collections import Counter

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.rules_engine.facts import Late

Key = tuple[int, int]


class Lateness:
    """Follows the order of starts and ends, as Spark's `AppStatusListener` does."""

    def __init__(self) -> None:
        self.active: Counter[Key] = Counter()
        self.completed: set[Key] = set()
        self.closed: set[Key] = set()
        self.stage_tasks: dict[int, None] = {}
        self.executor_tasks: dict[int, None] = {}
        self.job_ends: dict[int, int] = {}

    def task_start(self, event: ev.TaskStart) -> None:
        """A task began; in a stage that is closed it counts nowhere."""
        key = (event.stage, event.stage_attempt)
        if key in self.closed:
            self.stage_tasks[event.info.task_id] = None
        else:
            self.active[key] += 1

    def task_end(self, event: ev.TaskEnd, gone: bool) -> bool:
        """A task ended; `gone`: its executor had been removed. Returns whether that closed its stage: Spark then writes the stage's job again."""
        again = event.reason.reason == "Resubmitted"  # a second end of a task that had ended
        if gone and not again:
            self.executor_tasks[event.info.task_id] = None
        key = (event.stage, event.stage_attempt)
        if event.info.task_id in self.stage_tasks:
            return False
        if key in self.closed:
            if not again:
                self.stage_tasks[event.info.task_id] = None
            return False
        self.active[key] -= 1
        return self._close(key)

    def stage_completed(self, key: Key) -> None:
        """A stage attempt ended; it is closed once none of its tasks runs."""
        self.completed.add(key)
        self._close(key)

    def _close(self, key: Key) -> bool:
        if key in self.completed and self.active[key] == 0:  # below zero after resubmissions, and then Spark keeps it open
            self.closed.add(key)
            return True
        return False

    def seen(self) -> Late:
        """What was late."""
        return Late(tuple(self.stage_tasks), tuple(self.executor_tasks), dict(self.job_ends))
