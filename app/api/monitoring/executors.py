"""`/executors` and `/allexecutors`: ExecutorSummary."""

import time

from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.app.api.monitoring.values import Json, peaks_json, put_moment
from spark_copilot.connectors.eventlog.scala_order import scala_order
from spark_copilot.rules_engine.cached_rdds import StorageUse
from spark_copilot.rules_engine.facts import DRIVERS, FAILED, KILLED, MISSING, SUCCESS, AppRun, Process


def listed_rows(run: AppRun) -> list[int]:
    """Executors in the order of the listing: by id, as text."""
    return sorted(
        (row for row in range(len(run.executors)) if run.executors.added_ms[row] != MISSING), key=lambda row: run.executors.executor_id[row]
    )


def task_cpus(run: AppRun, profile: int) -> int:
    """Cores a task of this resource profile takes."""
    asked = (run.resource_profiles.get(profile) or {}).get("task", {}).get("cpus", {})
    amount = asked.get("Amount") if isinstance(asked, dict) else None
    return max(int(amount), 1) if isinstance(amount, int | float) else run.task_cpus


def process_json(process: Process) -> Json:
    """ProcessSummary of a process that is no executor; no event tells that one has ended."""
    out: Json = {"id": process.process_id, "hostPort": process.host_port, "isActive": True, "totalCores": process.cores}
    put_moment(out, "addTime", process.added_ms)
    return out | {"processLogs": dict(process.log_urls)}


def executor_json(totals: Totals, row: int) -> Json:
    """ExecutorSummary of one executor or the driver."""
    run, executors = totals.run, totals.run.executors
    lost, active = totals.executor_lost[row], totals.executor_active[row]
    driver = executors.executor_id[row] in DRIVERS
    removed = int(executors.removed_ms[row])
    peaks = executors.peaks[row]
    use = executors.storage[row] if executors.storage else StorageUse()
    done, failed, killed = (int(totals.executor_status[code][row]) for code in (SUCCESS, FAILED, KILLED))

    def total(*names: str) -> int:
        return sum(int(totals.by_executor(name)[row]) for name in names)

    held = run.wall_ms if run.complete else max(int(time.time() * 1000) - run.started_ms, 0)  # their clock may be ahead of ours
    out: Json = {"id": executors.executor_id[row]}
    if executors.host_port[row]:
        out["hostPort"] = executors.host_port[row]
    out |= {
        "isActive": removed == MISSING,
        "rddBlocks": use.rdd_blocks,
        "memoryUsed": use.memory_bytes,
        "diskUsed": use.disk_bytes,
        "totalCores": int(executors.cores[row]),
        "maxTasks": int(executors.cores[row]) // task_cpus(run, int(executors.resource_profile[row])),
        "activeTasks": active,
        "failedTasks": failed + lost,
        "completedTasks": done,
        "totalTasks": done + failed + killed + active,
        "totalDuration": held if driver else total("duration_ms"),
        "totalGCTime": peaks.get("TotalGCTime", 0) if driver else total("gc_ms"),
        "totalInputBytes": total("input_bytes"),
        "totalShuffleRead": total("shuffle_read_local_bytes", "shuffle_read_remote_bytes"),
        "totalShuffleWrite": total("shuffle_write_bytes"),
        "isBlacklisted": bool(executors.excluded[row]),
        "maxMemory": int(executors.max_memory_bytes[row]),
    }
    put_moment(out, "addTime", int(executors.added_ms[row]))
    if removed != MISSING:
        put_moment(out, "removeTime", removed)
        out["removeReason"] = executors.removed_reason[row] or ""
    out["executorLogs"] = dict(executors.log_urls[row])
    out["memoryMetrics"] = {
        "usedOnHeapStorageMemory": use.on_heap_bytes,
        "usedOffHeapStorageMemory": use.off_heap_bytes,
        "totalOnHeapStorageMemory": int(executors.max_on_heap_bytes[row]),
        "totalOffHeapStorageMemory": int(executors.max_off_heap_bytes[row]),
    }
    excluded_in = scala_order(executors.excluded_in[row]) if executors.excluded_in else []
    out["blacklistedInStages"] = excluded_in
    if peaks or done + failed + killed:
        out["peakMemoryMetrics"] = peaks_json(peaks)
    out["attributes"] = dict(executors.attributes[row])
    out["resources"] = dict(executors.resources[row])
    out["resourceProfileId"] = int(executors.resource_profile[row])
    out["isExcluded"] = bool(executors.excluded[row])
    out["excludedInStages"] = excluded_in
    return out
