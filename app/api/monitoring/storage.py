"""`/storage/rdd`: RDDStorageInfo."""

from spark_copilot.app.api.monitoring.values import Json
from spark_copilot.rules_engine.cached_rdds import CachedRdd, CachedShare
from spark_copilot.rules_engine.facts import AppRun


def rdd_json(run: AppRun, rdd: CachedRdd) -> Json:
    """RDDStorageInfo of one persisted RDD."""
    out: Json = {
        "id": rdd.rdd_id,
        "name": rdd.name,
        "numPartitions": rdd.partitions,
        "numCachedPartitions": len(rdd.blocks),
        "storageLevel": rdd.level,
        "memoryUsed": rdd.memory_bytes,
        "diskUsed": rdd.disk_bytes,
    }
    if rdd.shares:
        out["dataDistribution"] = [_share_json(run, share) for share in rdd.shares]
    out["partitions"] = [
        {
            "blockName": block.name,
            "storageLevel": block.level,
            "memoryUsed": block.memory_bytes,
            "diskUsed": block.disk_bytes,
            "executors": list(block.executors),
        }
        for block in rdd.blocks
    ]
    return out


def _share_json(run: AppRun, share: CachedShare) -> Json:
    row = run.executors.executor_id.index(share.executor)
    out: Json = {
        "address": run.executors.host_port[row],
        "memoryUsed": share.memory_bytes,
        "memoryRemaining": share.memory_remaining_bytes,
        "diskUsed": share.disk_bytes,
    }
    if share.on_heap_bytes is not None:
        out |= {
            "onHeapMemoryUsed": share.on_heap_bytes,
            "offHeapMemoryUsed": share.off_heap_bytes,
            "onHeapMemoryRemaining": share.on_heap_remaining_bytes,
            "offHeapMemoryRemaining": share.off_heap_remaining_bytes,
        }
    return out
