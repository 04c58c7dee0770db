"""`/stages`: StageData with its tasks, summaries and quantiles."""

import time
from collections.abc import Sequence

import numpy as np

from spark_copilot.app.api.monitoring.totals import Totals, kill_reason
from spark_copilot.app.api.monitoring.values import PEAKS, Json, peaks_json, put_moment, quantile_rows, spread
from spark_copilot.rules_engine.facts import FAILED, KILLED, LOCALITIES, MISSING, PUSH_READ, SUCCESS, AppRun, IntColumn, RunningTask

SUMS = {
    "executorDeserializeTime": "deserialise_ms", "executorDeserializeCpuTime": "deserialise_cpu_ns", "executorRunTime": "run_ms",
    "executorCpuTime": "cpu_ns", "resultSize": "result_bytes", "jvmGcTime": "gc_ms", "resultSerializationTime": "result_serialisation_ms",
    "memoryBytesSpilled": "memory_spilled_bytes", "diskBytesSpilled": "disk_spilled_bytes", "peakExecutionMemory": "peak_execution_memory_bytes",
    "inputBytes": "input_bytes", "inputRecords": "input_records", "outputBytes": "output_bytes", "outputRecords": "output_records",
    "shuffleRemoteBlocksFetched": "shuffle_read_remote_blocks", "shuffleLocalBlocksFetched": "shuffle_read_local_blocks",
    "shuffleFetchWaitTime": "fetch_wait_ms", "shuffleRemoteBytesRead": "shuffle_read_remote_bytes",
    "shuffleRemoteBytesReadToDisk": "shuffle_read_remote_to_disk_bytes", "shuffleLocalBytesRead": "shuffle_read_local_bytes",
    "shuffleReadBytes": "", "shuffleReadRecords": "shuffle_read_records", "shuffleCorruptMergedBlockChunks": "corrupt_merged_block_chunks",
    "shuffleMergedFetchFallbackCount": "merged_fetch_fallback_count", "shuffleMergedRemoteBlocksFetched": "merged_remote_blocks_fetched",
    "shuffleMergedLocalBlocksFetched": "merged_local_blocks_fetched", "shuffleMergedRemoteChunksFetched": "merged_remote_chunks_fetched",
    "shuffleMergedLocalChunksFetched": "merged_local_chunks_fetched", "shuffleMergedRemoteBytesRead": "merged_remote_bytes_read",
    "shuffleMergedLocalBytesRead": "merged_local_bytes_read", "shuffleRemoteReqsDuration": "remote_requests_ms",
    "shuffleMergedRemoteReqsDuration": "merged_remote_requests_ms", "shuffleWriteBytes": "shuffle_write_bytes",
    "shuffleWriteTime": "shuffle_write_ns", "shuffleWriteRecords": "shuffle_write_records",
}  # fmt: skip
"""Fields of StageData that are sums over all attempts of its tasks."""

PUSH_NAMES = (
    "corruptMergedBlockChunks", "mergedFetchFallbackCount", "remoteMergedBlocksFetched", "localMergedBlocksFetched", "remoteMergedChunksFetched",
    "localMergedChunksFetched", "remoteMergedBytesRead", "localMergedBytesRead", "remoteMergedReqsDuration",
)  # fmt: skip
"""The REST names of `PUSH_READ`."""


def stage_status(run: AppRun, row: int) -> str:
    """ACTIVE, COMPLETE, FAILED, PENDING or SKIPPED."""
    stages = run.stages
    if stages.skipped[row]:
        return "SKIPPED"
    if stages.failed[row]:
        return "FAILED"
    if stages.completed_ms[row] != MISSING:
        return "COMPLETE"
    return "ACTIVE" if stages.submitted_ms[row] != MISSING else "PENDING"


def listed_rows(run: AppRun) -> list[int]:
    """Stage attempts in the order of the listing: newest first."""
    stages = run.stages
    rows = [row for row in range(len(stages)) if stages.described[row]]
    return sorted(rows, key=lambda row: (int(stages.stage_id[row]), int(stages.attempt[row])), reverse=True)


def stage_json(
    totals: Totals, row: int, *, summaries: Sequence[float] | None = None, details: bool = False, statuses: Sequence[str] = ()
) -> Json:
    """StageData of one attempt; with `summaries`, its distributions at these quantiles; with `details`, its tasks and executors."""
    run, stages = totals.run, totals.run.stages
    counts = totals.stage_status
    out: Json = {
        "status": stage_status(run, row),
        "stageId": int(stages.stage_id[row]),
        "attemptId": int(stages.attempt[row]),
        "numTasks": int(stages.n_tasks[row]),
        "numActiveTasks": int(totals.stage_active[row]),
        "numCompleteTasks": int(counts[SUCCESS][row]),
        "numFailedTasks": int(counts[FAILED][row]),
        "numKilledTasks": int(counts[KILLED][row]),
        "numCompletedIndices": totals.completed_indices([row]),
    }
    put_moment(out, "submissionTime", int(stages.submitted_ms[row]))
    put_moment(out, "firstTaskLaunchedTime", int(totals.stage_first_launch[row]))
    put_moment(out, "completionTime", int(stages.completed_ms[row]))
    if stages.failure_reason[row] is not None:
        out["failureReason"] = stages.failure_reason[row]
    sums = totals.shown_sums
    for name, column in SUMS.items():
        out[name] = sums[column][row] if column else out["shuffleRemoteBytesRead"] + out["shuffleLocalBytesRead"]
    out["name"] = stages.name[row]
    if stages.description[row] is not None:
        out["description"] = stages.description[row]
    out |= {
        "details": stages.details[row],
        "schedulingPool": stages.pool[row],
        "rddIds": [rdd.rdd_id for rdd in stages.rdds[row]],
        "accumulatorUpdates": [
            {"id": key, "name": stages.accumulables[row][key][0], "value": stages.accumulables[row][key][1]}
            for key in stages.shown_accumulables[row]
        ],
    }
    if details:
        rows = run.task_rows(row)
        rows = rows[np.argsort(run.tasks.task_id[rows], kind="stable")]
        found = tasks_json(totals, rows) + [running_json(totals, task) for task in totals.running_of_stage.get(row, ())]
        found.sort(key=lambda task: int(task["taskId"]))
        out["tasks"] = {str(task["taskId"]): task for task in found if not statuses or task["status"] in statuses}
        out["executorSummary"] = {run.executors.executor_id[executor]: one for executor, one in executor_summaries(totals, row).items()}
    out["killedTasksSummary"] = totals.killed_summary(totals.counted_rows(row))
    out["resourceProfileId"] = int(stages.resource_profile[row])
    if row in totals.peak_of_stage:
        out["peakExecutorMetrics"] = totals.peak_of_stage[row]
    if summaries is not None and stages.submitted_ms[row] != MISSING:
        distributions = task_distributions(totals, row, summaries)
        if distributions is not None:
            out["taskMetricsDistributions"] = distributions
        out["executorMetricsDistributions"] = executor_distributions(totals, row, summaries)
    out["isShufflePushEnabled"] = bool(stages.push_enabled[row])
    out["shuffleMergersCount"] = int(stages.push_mergers[row])
    return out


def getting_result(totals: Totals, rows: IntColumn) -> IntColumn:
    """How long the driver fetched each task's result."""
    tasks = totals.run.tasks
    begun = tasks.getting_result_ms[rows]
    return np.where(begun > 0, tasks.finish_ms[rows] - begun, 0)


def scheduler_delay(totals: Totals, rows: IntColumn) -> IntColumn:
    """Time of each task that belongs to nobody: Spark's formula."""
    used = sum(totals.metric(name)[rows] for name in ("run_ms", "deserialise_ms", "result_serialisation_ms"))
    tasks = totals.run.tasks
    held = np.maximum(tasks.finish_ms[rows] - tasks.launch_ms[rows], 0)
    delay: IntColumn = np.maximum(held - used - getting_result(totals, rows), 0)
    return delay


def task_distributions(totals: Totals, row: int, quantiles: Sequence[float]) -> Json | None:
    """TaskMetricDistributions over the tasks that succeeded, None without one."""
    tasks = totals.run.tasks
    every = totals.run.task_rows(row)
    rows = every[tasks.status[every] == SUCCESS]  # an end without metrics is read as one with zeros
    if not len(rows):
        return None

    def of(name: str) -> list[float]:
        return spread(totals.metric(name)[rows], quantiles)

    def both(first: str, second: str) -> list[float]:
        return spread(totals.metric(first)[rows] + totals.metric(second)[rows], quantiles)

    return {
        "quantiles": list(quantiles),
        # Spark leaves failed tasks out of its metrics and keeps them in what it derives from times; the count is that of the successful.
        "duration": spread(totals.duration_ms[every], quantiles, len(rows)),
        "executorDeserializeTime": of("deserialise_ms"),
        "executorDeserializeCpuTime": of("deserialise_cpu_ns"),
        "executorRunTime": of("run_ms"),
        "executorCpuTime": of("cpu_ns"),
        "resultSize": of("result_bytes"),
        "jvmGcTime": of("gc_ms"),
        "resultSerializationTime": of("result_serialisation_ms"),
        "gettingResultTime": spread(getting_result(totals, every), quantiles, len(rows)),
        "schedulerDelay": spread(scheduler_delay(totals, every), quantiles, len(rows)),
        "peakExecutionMemory": of("peak_execution_memory_bytes"),
        "memoryBytesSpilled": of("memory_spilled_bytes"),
        "diskBytesSpilled": of("disk_spilled_bytes"),
        "inputMetrics": {"bytesRead": of("input_bytes"), "recordsRead": of("input_records")},
        "outputMetrics": {"bytesWritten": of("output_bytes"), "recordsWritten": of("output_records")},
        "shuffleReadMetrics": {
            "readBytes": both("shuffle_read_local_bytes", "shuffle_read_remote_bytes"),
            "readRecords": of("shuffle_read_records"),
            "remoteBlocksFetched": of("shuffle_read_remote_blocks"),
            "localBlocksFetched": of("shuffle_read_local_blocks"),
            "fetchWaitTime": of("fetch_wait_ms"),
            "remoteBytesRead": of("shuffle_read_remote_bytes"),
            "remoteBytesReadToDisk": of("shuffle_read_remote_to_disk_bytes"),
            "totalBlocksFetched": both("shuffle_read_remote_blocks", "shuffle_read_local_blocks"),
            "remoteReqsDuration": of("remote_requests_ms"),
            "shufflePushReadMetricsDist": {
                rest: spread(totals.push(name)[rows], quantiles) for rest, name in zip(PUSH_NAMES, PUSH_READ, strict=True)
            },
        },
        "shuffleWriteMetrics": {
            "writeBytes": of("shuffle_write_bytes"),
            "writeRecords": of("shuffle_write_records"),
            "writeTime": of("shuffle_write_ns"),
        },
    }


_EXECUTOR_SUMS = {
    "inputBytes": ("input_bytes",), "inputRecords": ("input_records",), "outputBytes": ("output_bytes",), "outputRecords": ("output_records",),
    "shuffleRead": ("shuffle_read_local_bytes", "shuffle_read_remote_bytes"), "shuffleReadRecords": ("shuffle_read_records",),
    "shuffleWrite": ("shuffle_write_bytes",), "shuffleWriteRecords": ("shuffle_write_records",),
    "memoryBytesSpilled": ("memory_spilled_bytes",), "diskBytesSpilled": ("disk_spilled_bytes",),
}  # fmt: skip


def executor_summaries(totals: Totals, row: int) -> dict[int, Json]:
    """ExecutorStageSummary by executor row, for those that ran tasks of the stage."""
    tasks = totals.run.tasks
    mine = totals.counted_rows(row)
    again = totals.resubmitted_of_stage.get(row, [])
    known = totals.peaks_of_stage.get(row, {})
    excluded = _excluded_rows(totals, row)
    executors = sorted({int(e) for e in tasks.executor_row[mine]} | {r.executor_row for r in again} | set(known) | excluded)
    out: dict[int, Json] = {}
    for executor in executors:
        rows = mine[tasks.executor_row[mine] == executor]
        status = tasks.status[rows]
        lost = [r for r in again if r.executor_row == executor]
        one: Json = {
            "taskTime": int(totals.duration_ms[rows].sum()),
            "failedTasks": int((status == FAILED).sum()) + len(lost),
            "succeededTasks": int((status == SUCCESS).sum()),
            "killedTasks": int((status == KILLED).sum()),
        }
        one |= {name: int(sum(totals.metric(column)[rows].sum() for column in columns)) for name, columns in _EXECUTOR_SUMS.items()}
        one["isBlacklistedForStage"] = executor in excluded
        peaks = known.get(executor)
        if peaks is not None:
            one["peakMemoryMetrics"] = peaks_json(peaks)
        one["isExcludedForStage"] = executor in excluded
        out[executor] = one
    return out


def _excluded_rows(totals: Totals, row: int) -> set[int]:
    """Rows of the executors that got no more tasks of the stage."""
    named = totals.run.stages.excluded_executors
    every = totals.run.executors.executor_id
    return {every.index(name) for name in named[row] if name in every} if named else set()


def executor_distributions(totals: Totals, row: int, quantiles: Sequence[float]) -> Json:
    """ExecutorMetricsDistributions: the quantiles over the stage's executors."""
    every = list(executor_summaries(totals, row).values())
    names = ("taskTime", "failedTasks", "succeededTasks", "killedTasks", *_EXECUTOR_SUMS)
    out: Json = {"quantiles": list(quantiles)}
    out |= {name: spread(np.array([one[name] for one in every], dtype=np.int64), quantiles) for name in names}
    peaks = [one["peakMemoryMetrics"] for one in every if "peakMemoryMetrics" in one]
    rows = quantile_rows(len(peaks), quantiles).tolist() if peaks else []
    out["peakMemoryMetrics"] = {name: [float(sorted(one[name] for one in peaks)[at]) for at in rows] for name in PEAKS}
    return out


_TASK_METRICS = {
    "executorDeserializeTime": "deserialise_ms", "executorDeserializeCpuTime": "deserialise_cpu_ns", "executorRunTime": "run_ms",
    "executorCpuTime": "cpu_ns", "resultSize": "result_bytes", "jvmGcTime": "gc_ms", "resultSerializationTime": "result_serialisation_ms",
    "memoryBytesSpilled": "memory_spilled_bytes", "diskBytesSpilled": "disk_spilled_bytes", "peakExecutionMemory": "peak_execution_memory_bytes",
}  # fmt: skip


_PARTS = {
    "inputMetrics": {"bytesRead": "input_bytes", "recordsRead": "input_records"},
    "outputMetrics": {"bytesWritten": "output_bytes", "recordsWritten": "output_records"},
    "shuffleReadMetrics": {
        "remoteBlocksFetched": "shuffle_read_remote_blocks", "localBlocksFetched": "shuffle_read_local_blocks", "fetchWaitTime": "fetch_wait_ms",
        "remoteBytesRead": "shuffle_read_remote_bytes", "remoteBytesReadToDisk": "shuffle_read_remote_to_disk_bytes",
        "localBytesRead": "shuffle_read_local_bytes", "recordsRead": "shuffle_read_records", "remoteReqsDuration": "remote_requests_ms",
    },
    "shuffleWriteMetrics": {"bytesWritten": "shuffle_write_bytes", "writeTime": "shuffle_write_ns", "recordsWritten": "shuffle_write_records"},
}  # fmt: skip
_PLAIN = (
    "task_id",
    "index",
    "attempt",
    "partition_id",
    "launch_ms",
    "getting_result_ms",
    "executor_row",
    "locality",
    "status",
    "speculative",
    "error_row",
)


def tasks_json(totals: Totals, rows: IntColumn) -> list[Json]:
    """TaskData of ended attempts, in the order of their rows. Columns are taken out once: a stage may have many thousands of tasks."""
    run, tasks = totals.run, totals.run.tasks
    plain = {name: getattr(tasks, name)[rows].tolist() for name in _PLAIN}
    held = np.maximum(tasks.finish_ms[rows] - tasks.launch_ms[rows], 0).tolist()
    delays, fetched = scheduler_delay(totals, rows).tolist(), getting_result(totals, rows).tolist()
    metrics = _records({rest: totals.metric(name)[rows] for rest, name in _TASK_METRICS.items()})
    parts = {part: _records({rest: totals.metric(name)[rows] for rest, name in names.items()}) for part, names in _PARTS.items()}
    push = _records({rest: totals.push(name)[rows] for rest, name in zip(PUSH_NAMES, PUSH_READ, strict=True)})
    out: list[Json] = []
    for i in range(len(rows)):
        executor, locality, error = plain["executor_row"][i], plain["locality"][i], plain["error_row"][i]
        one: Json = {
            "taskId": plain["task_id"][i],
            "index": plain["index"][i],
            "attempt": plain["attempt"][i],
            "partitionId": plain["partition_id"][i],
        }
        put_moment(one, "launchTime", plain["launch_ms"][i])
        if plain["getting_result_ms"][i] > 0:
            put_moment(one, "resultFetchStart", plain["getting_result_ms"][i])
        one |= {
            "duration": held[i],
            "executorId": run.executors.executor_id[executor],
            "host": run.executors.host[executor],
            "status": ("SUCCESS", "FAILED", "KILLED")[plain["status"][i]],
            "taskLocality": LOCALITIES[locality] if locality != MISSING else "ANY",
            "speculative": plain["speculative"][i],
            "accumulatorUpdates": [],
        }
        if error != MISSING:
            one["errorMessage"] = kill_reason(run.errors[error])
        of_task = metrics[i]
        of_task |= {part: records[i] for part, records in parts.items()}
        of_task["shuffleReadMetrics"]["shufflePushReadMetrics"] = push[i]
        one["taskMetrics"] = of_task
        one["executorLogs"] = dict(run.executors.log_urls[executor])
        one["schedulerDelay"] = delays[i]
        one["gettingResultTime"] = fetched[i]
        out.append(one)
    return out


def _records(columns: dict[str, IntColumn]) -> list[Json]:
    """A dictionary a row."""
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*(column.tolist() for column in columns.values()), strict=True)]


def running_json(totals: Totals, task: RunningTask) -> Json:
    """TaskData of an attempt that began and did not end."""
    executors = totals.run.executors
    out: Json = {"taskId": task.task_id, "index": task.index, "attempt": task.attempt, "partitionId": task.partition_id}
    put_moment(out, "launchTime", task.launch_ms)
    return out | {
        "duration": max(int(time.time() * 1000) - task.launch_ms, 0),
        "executorId": executors.executor_id[task.executor_row],
        "host": executors.host[task.executor_row],
        "status": "RUNNING",
        "taskLocality": LOCALITIES[task.locality] if task.locality != MISSING else "ANY",
        "speculative": task.speculative,
        "accumulatorUpdates": [],
        "executorLogs": dict(executors.log_urls[task.executor_row]),
        "schedulerDelay": 0,
        "gettingResultTime": 0,
    }
