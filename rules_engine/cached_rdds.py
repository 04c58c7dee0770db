"""What the run kept in its caches, block by block; only in logs written with `spark.eventLog.logBlockUpdates.enabled`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorageUse:
    """What one executor held when the log ended or the executor left: blocks of RDDs, and bytes of RDDs and broadcasts."""

    rdd_blocks: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    on_heap_bytes: int = 0
    off_heap_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CachedBlock:
    """One partition of an RDD that is kept by at least one executor; sizes are of all its copies."""

    name: str
    level: str
    memory_bytes: int
    disk_bytes: int
    executors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachedShare:
    """What one executor keeps of an RDD; `None` where the log does not tell on and off heap apart.

    The remaining bytes are of the executor's storage memory at the last update of any of its RDD blocks.
    """

    executor: str
    memory_bytes: int
    memory_remaining_bytes: int
    disk_bytes: int
    on_heap_bytes: int | None
    off_heap_bytes: int | None
    on_heap_remaining_bytes: int | None
    off_heap_remaining_bytes: int | None


@dataclass(frozen=True, slots=True)
class CachedRdd:
    """One RDD that was still persisted when the log ended."""

    rdd_id: int
    name: str
    partitions: int
    level: str
    memory_bytes: int
    disk_bytes: int
    blocks: tuple[CachedBlock, ...] = ()
    shares: tuple[CachedShare, ...] = ()
