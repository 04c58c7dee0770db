"""Task ends -> columns. Ends are gathered as decoded structs and packed into rows of 64-bit numbers some hundreds at a time.

One `struct.pack` a task is several times faster than appending to 34 arrays; numpy turns the rows into columns once, at the end.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import repeat, starmap
from operator import attrgetter
from struct import Struct, error
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.rules_engine.facts import FAILED, KILLED, LOCALITIES, MISSING, PUSH_READ, SUCCESS, IntColumn, TaskTable

CHUNK = 512
_IN_CACHE = 2048
"""Rows of a table that are turned into columns together."""
HORIZON_MS = 1 << 43
"""Times beyond the year 2248 are noise."""
_MOST = 1 << 53
_MOST_IN_ALL = 1 << 61
"""A task metric, and the sum of one over a run: two exabytes, 73 years of nanoseconds."""

_INFO = {
    "task_id": "info.task_id",
    "index": "info.index",
    "attempt": "info.attempt",
    "partition_id": "info.partition",
    "launch_ms": "info.launch",
    "finish_ms": "info.finish",
    "getting_result_ms": "info.getting_result",
    "stage": "stage",
    "stage_attempt": "stage_attempt",
}
_METRICS = {
    "run_ms": "run",
    "cpu_ns": "cpu",
    "deserialise_ms": "deserialise",
    "deserialise_cpu_ns": "deserialise_cpu",
    "result_serialisation_ms": "serialisation",
    "result_bytes": "result_size",
    "gc_ms": "gc",
    "peak_execution_memory_bytes": "peak",
    "memory_spilled_bytes": "memory_spilled",
    "disk_spilled_bytes": "disk_spilled",
    "input_bytes": "input.bytes",
    "input_records": "input.records",
    "output_bytes": "output.bytes",
    "output_records": "output.records",
    "shuffle_read_local_blocks": "read.local_blocks",
    "shuffle_read_remote_blocks": "read.remote_blocks",
    "shuffle_read_local_bytes": "read.local_bytes",
    "shuffle_read_remote_bytes": "read.remote_bytes",
    "shuffle_read_remote_to_disk_bytes": "read.to_disk",
    "shuffle_read_records": "read.records",
    "fetch_wait_ms": "read.fetch_wait",
    "remote_requests_ms": "read.requests",
    "shuffle_write_bytes": "write.bytes",
    "shuffle_write_records": "write.records",
    "shuffle_write_ns": "write.time",
}
_pack_info = Struct(f"{len(_INFO)}q").pack
_pack_metrics = Struct(f"{len(_METRICS)}q").pack
_info_of = attrgetter(*_INFO.values())
_metrics_of = attrgetter(*_METRICS.values())
_push_of = attrgetter(*PUSH_READ)
_rest_of = attrgetter(
    "info.executor",
    "info.host",
    "info.locality",
    "info.speculative",
    "info.failed",
    "info.killed",
    "reason.reason",
    "executor_metrics",
    "metrics",
)
_push_in = attrgetter("read.push")
_NO_METRICS = ev.TaskMetrics(cpu=0, deserialise_cpu=0, peak=0)
_MISSING_IN = ("cpu_ns", "deserialise_cpu_ns", "peak_execution_memory_bytes", "shuffle_read_remote_to_disk_bytes", "remote_requests_ms")
_LOCALITY = {name: code for code, name in enumerate(LOCALITIES)}


class Tasks:
    """Gathers task ends; `table` makes the columns once stage and executor rows are known."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.mask = mask
        self.pending: list[ev.TaskEnd] = []
        self.started = 0
        self.info, self.metrics = bytearray(), bytearray()
        self.executor, self.status, self.locality, self.error = array("q"), array("b"), array("b"), array("q")
        self.speculative, self.has_metrics = array("b"), array("b")
        self.push: dict[int, tuple[int, ...]] = {}
        self.executors: dict[str, int] = {}
        self.hosts: dict[str, str] = {}
        self.errors: dict[str, int] = {}
        self.peaks: dict[str, dict[str, int]] = {}
        self._raw_peaks: dict[str, msgspec.Raw] = {}
        self.clamped = 0
        self.detail = False
        self.resubmitted: list[tuple[ev.TaskEnd, bool]] = []
        self.gone: set[str] = set()
        self.stage_peaks: dict[tuple[int, int, str], dict[str, int]] = {}
        self._raw_stage_peaks: dict[tuple[int, int, str], msgspec.Raw] = {}

    def __len__(self) -> int:
        return len(self.executor) + len(self.pending)

    def flush(self) -> None:
        """Empty the pending ends into the columns."""
        ends = self.pending[:]
        self.pending.clear()
        if not ends:
            return
        executors, hosts, localities, speculative, failed, killed, reasons, peaks, bare = zip(*map(_rest_of, ends), strict=True)
        if "Resubmitted" in reasons:
            self.resubmitted.extend((end, end.info.executor not in self.gone) for end in ends if end.reason.reason == "Resubmitted")
            self.pending.extend(end for end in ends if end.reason.reason != "Resubmitted")
            self.flush()
            return
        metrics = bare if None not in bare else tuple(_NO_METRICS if m is None else m for m in bare)
        start = len(self.executor)
        self.info += self._packed(_pack_info, map(_info_of, ends), lambda: map(_info_of, ends))
        self.metrics += self._packed(_pack_metrics, map(_metrics_of, metrics), lambda: map(_metrics_of, metrics))
        self.has_metrics.extend([m is not None for m in bare])
        for name, host in set(zip(executors, hosts, strict=True)):
            self.executors.setdefault(name, len(self.executors))
            self.hosts.setdefault(name, host)
        self.executor.extend(map(self.executors.__getitem__, executors))
        self.locality.extend(map(_LOCALITY.get, localities, repeat(MISSING)))
        self.speculative.extend(speculative)
        if reasons.count("Success") == len(reasons) and True not in failed and True not in killed:
            self.status.extend(repeat(SUCCESS, len(ends)))
            self.error.extend(repeat(MISSING, len(ends)))
        else:
            for end in ends:
                self._outcome(end)
        for row, push in enumerate(map(_push_in, metrics), start):
            if push is not None and push != ev.NO_PUSH:
                self.push[row] = _push_of(push)
        known = self._raw_peaks
        for name, raw in zip(executors, peaks, strict=True):
            if known.get(name) != raw and (text := bytes(raw)):
                known[name] = raw.copy()
                keep_peaks(self.peaks.setdefault(name, {}), decode_peaks(text))
        if self.detail:
            self._keep_stage_peaks(ends)

    def _packed(self, pack: Callable[..., bytes], rows: Iterable[tuple[int, ...]], again: Callable[[], Iterable[tuple[int, ...]]]) -> bytes:
        try:
            return b"".join(starmap(pack, rows))
        except error:  # a number beyond 64 bits
            self.clamped += 1
            return b"".join(pack(*map(_clamp, row)) for row in again())

    def _outcome(self, end: ev.TaskEnd) -> None:
        reason = end.reason.reason
        if reason in ("Success", ""):
            self.status.append(FAILED if end.info.failed else KILLED if end.info.killed else SUCCESS)
            self.error.append(MISSING)
            return
        self.status.append(KILLED if reason in ("TaskKilled", "TaskCommitDenied") else FAILED)
        text = self.mask(error_text(end.reason))
        self.error.append(self.errors.setdefault(text, len(self.errors)))

    def _keep_stage_peaks(self, ends: list[ev.TaskEnd]) -> None:
        for end in ends:
            raw, key = end.executor_metrics, (end.stage, end.stage_attempt, end.info.executor)
            self.stage_peaks.setdefault(key, {})
            if self._raw_stage_peaks.get(key) != raw and (text := bytes(raw)):
                self._raw_stage_peaks[key] = raw.copy()
                keep_peaks(self.stage_peaks.setdefault(key, {}), decode_peaks(text))

    def stages(self) -> IntColumn:
        """Stage id and attempt of each task, shape (n_tasks, 2)."""
        names = tuple(_INFO)
        at = names.index("stage")
        return np.frombuffer(self.info, dtype=np.int64).reshape(-1, len(names))[:, at : at + 2].copy()

    def table(self, stage_rows: IntColumn, executor_rows: IntColumn, errors: int) -> tuple[TaskTable, Counter[str]]:
        """The columns, cleaned, with counts of what had to be cleaned. Duplicate ends are dropped: the first one counts."""
        wrong: Counter[str] = Counter()
        n = len(self.executor)
        columns = _columns(self.info, tuple(_INFO))
        del columns["stage"], columns["stage_attempt"]
        measured = _columns(self.metrics, tuple(_METRICS))
        self.info, self.metrics = bytearray(), bytearray()
        has = _taken(self.has_metrics).astype(np.bool_)
        present: dict[str, IntColumn | None] = {}
        for name in _METRICS:
            present[name] = self._metric(measured.pop(name), has, name, wrong) if has.any() or not n else None
        columns["partition_id"] = np.maximum(columns["partition_id"], MISSING)
        _mend_times(columns, present["run_ms"], wrong)
        push = None
        if self.push:
            push = np.zeros((n, len(PUSH_READ)), dtype=np.int64)
            for row, values in self.push.items():
                push[row] = [max(_clamp(value), 0) for value in values]
        table = TaskTable(
            **columns, **present,  # type: ignore[arg-type]
            push_read=push, stage_row=stage_rows, executor_row=executor_rows,
            status=_taken(self.status).astype(np.int64), locality=_taken(self.locality).astype(np.int64),
            speculative=_taken(self.speculative).astype(np.bool_), has_metrics=has, error_row=_taken(self.error),
        )  # fmt: skip
        first = np.unique(table.task_id, return_index=True)[1]
        if len(first) < n:
            wrong["duplicate task ends, of which the first counts"] = n - len(first)
            table = table.take(np.sort(first))
        if self.clamped:
            wrong["task columns with numbers beyond 64 bits, cut to the largest"] = self.clamped
        return table, wrong

    @staticmethod
    def _metric(column: IntColumn, has: npt.NDArray[np.bool_], name: str, wrong: Counter[str]) -> IntColumn | None:
        if name in _MISSING_IN and not (column[has] != MISSING).any() and has.any():
            return None
        negative = column < 0
        if negative.any():
            if name not in _MISSING_IN:
                wrong["negative task metrics, read as 0"] += int(negative.sum())
            column[negative] = 0
        if float(column.sum(dtype=np.float64)) > _MOST_IN_ALL:  # sums of them would leave 64 bits
            beyond = column > min(_MOST, _MOST_IN_ALL // len(column))
            wrong["task metrics beyond any machine, read as 0"] += int(beyond.sum())
            column[beyond] = 0
        return column


def _mend_times(columns: dict[str, IntColumn], run: IntColumn | None, wrong: Counter[str]) -> None:
    launch, finish = columns["launch_ms"], columns["finish_ms"]
    bad_launch, bad_finish = _absurd(launch), _absurd(finish)
    held = np.zeros_like(launch) if run is None else np.minimum(run, HORIZON_MS >> 8)
    both = bad_launch & bad_finish
    if both.any():
        known = launch[~bad_launch]
        launch[both] = known.min() if len(known) else 0
        finish[both] = launch[both]
    only = bad_launch & ~both
    launch[only] = np.maximum(finish[only] - held[only], 0)
    only = bad_finish & ~both
    finish[only] = launch[only] + held[only]
    count = int((bad_launch | bad_finish).sum())
    if count:
        wrong["task times missing or out of any range"] = count
    backwards = finish < launch
    if backwards.any():
        wrong["tasks that finish before they start, read as instant"] = int(backwards.sum())
        finish[backwards] = launch[backwards]
    result = columns["getting_result_ms"]
    result[_absurd(result)] = 0


def _absurd(times: IntColumn) -> npt.NDArray[np.bool_]:
    wrong: npt.NDArray[np.bool_] = (times <= 0) | (times > HORIZON_MS)
    return wrong


def _taken(column: "array[int]") -> npt.NDArray[Any]:
    return (
        np.frombuffer(column, dtype=np.int64 if column.typecode == "q" else np.int8).copy() if len(column) else np.zeros(0, dtype=np.int64)
    )


def _columns(rows: bytearray, names: tuple[str, ...]) -> dict[str, IntColumn]:
    matrix = np.frombuffer(rows, dtype=np.int64).reshape(-1, len(names))
    columns = np.empty(matrix.shape[::-1], dtype=np.int64)
    for begin in range(0, len(matrix), _IN_CACHE):  # turned in one go, each number would be fetched from memory by itself
        columns[:, begin : begin + _IN_CACHE] = matrix[begin : begin + _IN_CACHE].T
    return dict(zip(names, columns, strict=True))


def _clamp(value: int) -> int:
    return max(min(value, (1 << 63) - 1), -1)


def sane_ms(time: int) -> int:
    """The time, or MISSING where no clock can have shown it."""
    return time if 0 < time < HORIZON_MS else MISSING


def decode_peaks(raw: bytes) -> dict[str, int]:
    """Executor metrics of a task end; anything that is not a whole number is left out."""
    try:
        found = ev.decode_mapping(raw)
    except ValueError:
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, int)} if isinstance(found, dict) else {}


def keep_peaks(known: dict[str, int], new: dict[str, int]) -> None:
    """Raise the peaks in place."""
    for name, value in new.items():
        if value > known.get(name, -1):
            known[name] = _clamp(value)


def error_text(reason: ev.EndReason) -> str:
    """The failure as the Spark UI prints it (`TaskEndReason.toErrorString`)."""
    kind = reason.reason
    if kind == "ExceptionFailure":
        return reason.stack_trace or f"{reason.class_name} ({reason.description})"
    if kind == "FetchFailed":
        at = reason.address
        place = "null" if at is None else f"BlockManagerId({at.executor}, {at.host}, {at.port}, None)"
        return (
            f"FetchFailed({place}, shuffleId={reason.shuffle}, mapIndex={reason.map_index}, mapId={reason.map_id}, "
            f"reduceId={reason.reduce_id}, message=\n{reason.message}\n)"
        )
    if kind == "TaskKilled":
        return f"TaskKilled ({reason.kill_reason or 'unknown reason'})"
    if kind == "TaskCommitDenied":
        return (
            "TaskCommitDenied (Driver denied task commit) for job: "
            f"{reason.job}, partition: {reason.partition}, attemptNumber: {reason.attempt}"
        )
    if kind == "ExecutorLostFailure":
        cause = "caused by one of the running tasks" if reason.exit_by_app is not False else "unrelated to the running tasks"
        tail = f" Reason: {reason.loss_reason}" if reason.loss_reason else ""
        return f"ExecutorLostFailure (executor {reason.executor} exited {cause}){tail}"
    return {
        "TaskResultLost": "TaskResultLost (result lost from block manager)",
        "Resubmitted": "Resubmitted (resubmitted due to lost executor)",
    }.get(kind, kind)
