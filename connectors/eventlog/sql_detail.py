"""Plan-node metrics with their spread over tasks, followed and worded as Spark's SQL UI does (`SQLAppStatusListener`, `SQLMetrics.stringValue`).

Kept only when a run is read in detail: values of running executions alone, one integer a task and metric, freed when the execution ends.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.connectors.eventlog.scala_order import scala_order

_LARGEST = (1 << 31) - 1
"""Tasks that a stage can have."""


@dataclass(slots=True)
class _StageValues:
    """Metric values of one stage's running attempt, by task index."""

    stage: int
    attempt: int
    tasks: int
    kinds: Mapping[int, str]
    index_of: dict[int, int] = field(default_factory=dict)
    place: dict[int, int] = field(default_factory=dict)  # of a task index in the arrays, which hold the tasks that reported
    done: set[int] = field(default_factory=set)
    values: dict[int, "array[int]"] = field(default_factory=dict)
    largest: dict[int, tuple[int, int]] = field(default_factory=dict)

    def take(self, task: int, succeeded: bool, updates: Iterable[ev.TaskUpdate]) -> None:
        index = self.index_of.get(task, -1)
        if not 0 <= index < self.tasks or index in self.done:
            return
        if succeeded:
            self.done.add(index)
        at = self.place.setdefault(index, len(self.place))
        for update in updates:
            kind = self.kinds.get(update.id)
            value = _long(update.update)
            if kind is None or value is None:
                continue
            known = self.values.get(update.id)
            if known is None:
                known = self.values[update.id] = array("q")
            if at >= len(known):
                known.frombytes(bytes(8 * (at + 1 - len(known))))
            known[at] = value
            if kind != "sum":
                most = self.largest.get(update.id)
                if most is None or value > most[0]:
                    self.largest[update.id] = (value, task)


@dataclass(slots=True)
class _Execution:
    kinds: dict[int, str] = field(default_factory=dict)
    jobs: dict[int, bool] = field(default_factory=dict)
    stages: dict[int, None] = field(default_factory=dict)
    driver: list[tuple[int, int]] = field(default_factory=list)
    ended: bool = False


class SqlDetail:
    """Follows the executions of one run. `strings` maps execution ids to accumulator id -> Spark's rendering."""

    def __init__(self) -> None:
        self.strings: dict[int, dict[int, str]] = {}
        self._running: dict[int, _Execution] = {}
        self._stages: dict[int, _StageValues] = {}
        self._execution_of_job: dict[int, int] = {}

    def metrics(self, execution: int, metrics: Iterable[tuple[int, str]]) -> None:
        """Accumulators and kinds that a plan or an update names."""
        self._get(execution).kinds.update(metrics)

    def _get(self, execution: int) -> _Execution:
        return self._running.setdefault(execution, _Execution())

    def job_start(self, job: int, execution: int, infos: Iterable[ev.StageInfo], stage_ids: Iterable[int]) -> None:
        """A job of an execution: its stages are followed from now on."""
        one = self._get(execution)
        kinds = dict(one.kinds)
        if kinds:
            for info in infos:
                self._stages[info.stage] = _StageValues(info.stage, info.attempt, min(max(info.tasks, 0), _LARGEST), kinds)
        one.jobs[job] = False
        one.stages.update(dict.fromkeys(stage_ids))
        self._execution_of_job[job] = execution

    def stage_submitted(self, info: ev.StageInfo) -> None:
        """A new attempt starts its values anew."""
        known = self._stages.get(info.stage)
        if known is not None and known.attempt != info.attempt:
            self._stages[info.stage] = _StageValues(info.stage, info.attempt, min(max(info.tasks, 0), _LARGEST), known.kinds)

    def task_start(self, event: ev.TaskStart) -> None:
        """Only tasks whose start was seen count."""
        known = self._stages.get(event.stage)
        if known is not None and known.attempt == event.stage_attempt:
            known.index_of[event.info.task_id] = event.info.index

    def task_end(self, event: ev.DetailedEnd) -> None:
        """A task's own values."""
        known = self._stages.get(event.stage)
        if known is not None and known.attempt == event.stage_attempt:
            succeeded = not event.info.failed and not event.info.killed and event.info.finish > 0
            known.take(event.info.task_id, succeeded, event.info.updates)

    def driver(self, execution: int, updates: Iterable[tuple[int, int]]) -> None:
        """Values that the driver measured."""
        if execution in self._running:
            self._running[execution].driver.extend((metric, value) for metric, value in updates if abs(value) < 1 << 62)

    def job_end(self, job: int) -> None:
        """The last event of an execution may be a job's end."""
        execution = self._execution_of_job.pop(job, None)
        one = self._running.get(execution) if execution is not None else None
        if one is not None and execution is not None:
            one.jobs[job] = True
            self._finish(execution, one)

    def end(self, execution: int) -> None:
        """SparkListenerSQLExecutionEnd."""
        one = self._running.get(execution)
        if one is not None:
            one.ended = True
            self._finish(execution, one)

    def _finish(self, execution: int, one: _Execution) -> None:
        if not one.ended or not all(one.jobs.values()):
            return
        self.strings[execution] = self._rendered(one)
        del self._running[execution]
        kept = {stage for other in self._running.values() for stage in other.stages}
        for stage in one.stages:
            if stage not in kept:
                self._stages.pop(stage, None)

    def close(self) -> None:
        """Word what still runs at the end of the log."""
        for execution, one in self._running.items():
            self.strings[execution] = self._rendered(one)

    def _rendered(self, one: _Execution) -> dict[int, str]:
        values: dict[int, list[array[int]]] = {}
        zeros: Counter[int] = Counter()  # tasks that did not report a metric count as 0
        largest: dict[int, tuple[int, int, int, int]] = {}
        for stage in (self._stages[s] for s in scala_order(one.stages) if s in self._stages):
            for metric, column in stage.values.items():
                if metric in one.kinds:
                    values.setdefault(metric, []).append(column)
                    zeros[metric] += stage.tasks - len(column)
            for metric, (value, task) in stage.largest.items():
                if metric in one.kinds and (metric not in largest or value > largest[metric][0]):
                    largest[metric] = (value, stage.stage, stage.attempt, task)
        for metric, value in one.driver:
            if metric in one.kinds:
                if metric in values and metric in largest and value > largest[metric][0]:
                    del largest[metric]
                values.setdefault(metric, []).append(array("q", [value]))
        return {
            metric: rendered(
                one.kinds[metric],
                np.concatenate([np.array(column, dtype=np.int64) for column in columns]),
                largest.get(metric),
                zeros[metric],
            )
            for metric, columns in values.items()
        }


def rendered(
    kind: str, values: np.ndarray[tuple[int], np.dtype[np.int64]], largest: tuple[int, int, int, int] | None, zeros: int = 0
) -> str:
    """A metric as the SQL page prints it; `zeros` further values are 0."""
    place = "(driver)" if largest is None else f"(stage {largest[1]}.{largest[2]}: task {largest[3]})"
    if kind == "sum":
        return f"{int(values.sum()):,}"
    if kind == "average":
        valid = np.sort(values[values > 0])
        if len(valid) <= 1:
            return _average(int(valid[0]) if len(valid) else 0)
        low, middle, high = (_average(int(valid[i])) for i in (0, len(valid) // 2, -1))
        return f"(min, med, max (stageId: taskId)):\n({low}, {middle}, {high} {place})"
    words = _FORMATS.get(kind)
    if words is None:  # a metric of a connector: Spark would ask its class, which is not loaded here
        return f"{int(values.sum()):,}"
    valid = np.sort(values[values >= 0])
    count = len(valid) + zeros
    if count <= 1:
        return words(int(valid[0]) if len(valid) else 0)
    low, middle, high = (words(int(valid[at - zeros]) if at >= zeros else 0) for at in (0, count // 2, count - 1))
    return f"total (min, med, max (stageId: taskId))\n{words(int(valid.sum()))} ({low}, {middle}, {high} {place})"


def _average(value: int) -> str:
    number = Decimal(value) / 10
    return f"{number.quantize(Decimal('0.1'), ROUND_HALF_EVEN):,}".removesuffix(".0")


_SIZES = (("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))


def size_text(size: int) -> str:
    """`Utils.bytesToString`: a unit is used from twice its size on."""
    unit, shift = next(((unit, shift) for unit, shift in _SIZES if size >= 2 << shift), ("B", 0))
    return f"{(Decimal(size) / (1 << shift)).quantize(Decimal('0.1'), ROUND_HALF_UP)} {unit}"


def duration_text(ms: int) -> str:
    """`Utils.msDurationToString`, which divides in 32-bit floats."""
    if ms < 1000:
        return f"{ms} ms"
    for unit, size, limit, places in (("s", 1000, 60_000, "0.1"), ("m", 60_000, 3_600_000, "0.1"), ("h", 3_600_000, 0, "0.01")):
        if ms < limit or not limit:
            return f"{Decimal(repr(float(np.float32(ms) / np.float32(size)))).quantize(Decimal(places), ROUND_HALF_UP)} {unit}"
    raise AssertionError(ms)


_FORMATS: dict[str, Callable[[int], str]] = {
    "size": size_text,
    "timing": duration_text,
    "nsTiming": lambda ns: duration_text(ns // 1_000_000),
}


def _long(value: object) -> int | None:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return None
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None
