"""Block updates -> what executors and caches hold, counted as Spark's own listener (`AppStatusListener`) counts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.connectors.eventlog.build_stages import level_text
from spark_copilot.connectors.eventlog.scala_order import text_order
from spark_copilot.rules_engine.cached_rdds import CachedBlock, CachedRdd, CachedShare, StorageUse

_MOST = 1 << 53
"""Bytes that no block has: a number beyond is noise, and sums of it would leave 64 bits."""


@dataclass(slots=True)
class _Use:
    """A living executor's storage."""

    maximum: int = 0
    on_heap_maximum: int | None = None
    off_heap_maximum: int = 0
    blocks: int = 0
    memory: int = 0
    disk: int = 0
    on_heap: int = 0
    off_heap: int = 0
    remaining: int = 0
    on_heap_remaining: int = 0
    off_heap_remaining: int = 0
    """What was left at the last update of any of its RDD blocks: Spark words it anew then, for all its RDDs, and at no other time."""
    kept: dict[tuple[int, str], None] = field(default_factory=dict)
    """RDDs and names of the blocks that it was ever told to keep."""

    def take(self, memory: int, disk: int, off_heap: bool) -> None:
        if self.on_heap_maximum is not None:
            if off_heap:
                self.off_heap = _plus(self.off_heap, memory)
            else:
                self.on_heap = _plus(self.on_heap, memory)
        self.memory = _plus(self.memory, memory)
        self.disk = _plus(self.disk, disk)


@dataclass(slots=True)
class _Share:
    memory: int = 0
    disk: int = 0
    on_heap: int = 0
    off_heap: int = 0


@dataclass(slots=True)
class _Block:
    executors: list[str]
    level: str = ""
    memory: int = 0
    disk: int = 0


@dataclass(slots=True)
class _Rdd:
    id: int
    name: str
    partitions: int
    level: str
    off_heap: bool
    kept_as: str = ""
    memory: int = 0
    disk: int = 0
    blocks: dict[str, _Block] = field(default_factory=dict)
    shares: dict[str, _Share] = field(default_factory=dict)


class Storage:
    """The caches of a run. Executors are known from the moment they are added until they are removed."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.mask = mask
        self.live: dict[str, _Use] = {}
        self.left: dict[str, _Use] = {}
        self.rdds: dict[int, _Rdd] = {}

    def added(self, executor: str) -> None:
        """An executor, perhaps without a block manager yet."""
        self.live.setdefault(executor, _Use())

    def block_manager(self, event: ev.BlockManagerAdded) -> None:
        """SparkListenerBlockManagerAdded. Once it registers again, it reports all its blocks again."""
        use = self.live.setdefault(event.manager.executor, _Use())
        use.maximum = _sane(event.memory)
        if event.on_heap >= 0:
            use.on_heap_maximum, use.off_heap_maximum = _sane(event.on_heap), _sane(event.off_heap)
            use.on_heap = use.off_heap = 0

    def removed(self, executor: str) -> None:
        """An executor that left with its blocks."""
        use = self.live.pop(executor, None)
        if use is None:
            return
        self.left[executor] = use
        for number, name in use.kept:
            rdd = self.rdds.get(number)
            block = rdd.blocks.get(name) if rdd is not None else None
            if rdd is None or block is None or executor not in block.executors:
                continue
            copies = len(block.executors)
            rdd.memory = _plus(rdd.memory, -(block.memory // copies))
            rdd.disk = _plus(rdd.disk, -(block.disk // copies))
            if copies == 1:
                del rdd.blocks[name]
                continue
            block.executors = [e for e in block.executors if e != executor]
            block.memory, block.disk = _plus(block.memory, -(block.memory // copies)), _plus(block.disk, -(block.disk // copies))
        for number in {number for number, _ in use.kept} & self.rdds.keys():
            self.rdds[number].shares.pop(executor, None)

    def stage_submitted(self, info: ev.StageInfo) -> None:
        """The persisted RDDs of a stage are known from its submission on."""
        for rdd in info.rdds:
            if (rdd.level.memory or rdd.level.disk) and rdd.level.replication > 0 and rdd.rdd_id not in self.rdds:
                self.rdds[rdd.rdd_id] = _Rdd(
                    rdd.rdd_id, self.mask(rdd.name), _sane(rdd.partitions), level_text(rdd.level), rdd.level.off_heap
                )

    def unpersisted(self, event: ev.UnpersistRdd) -> None:
        """SparkListenerUnpersistRDD."""
        rdd = self.rdds.pop(event.rdd, None)
        if rdd is None:
            return
        for block in rdd.blocks.values():
            for executor in block.executors:
                if (use := self.live.get(executor)) is not None:
                    use.blocks -= 1
        for executor, share in rdd.shares.items():
            if (use := self.live.get(executor)) is not None:
                if use.on_heap_maximum is not None:
                    if rdd.off_heap:
                        use.off_heap = _plus(use.off_heap, -share.off_heap)
                    else:
                        use.on_heap = _plus(use.on_heap, -share.on_heap)
                use.memory, use.disk = _plus(use.memory, -share.memory), _plus(use.disk, -share.disk)

    def updated(self, event: ev.BlockUpdated) -> None:
        """SparkListenerBlockUpdated: a block of an RDD or a broadcast that an executor keeps, or no longer keeps."""
        info = event.info
        kind, _, rest = info.block.partition("_")
        if kind not in ("rdd", "broadcast"):
            return
        level = info.level
        memory = _sane(info.memory) * (1 if level.memory else -1)
        disk = _sane(info.disk) * (1 if level.disk else -1)
        use = self.live.get(info.manager.executor)
        if use is not None:
            use.take(memory, disk, level.off_heap)
        number = rest.partition("_")[0]
        rdd = self.rdds.get(int(number)) if kind == "rdd" and number.isascii() and number.isdigit() and len(number) < 19 else None
        if rdd is not None:
            self._of_rdd(rdd, info, memory, disk)

    def _of_rdd(self, rdd: _Rdd, info: ev.BlockUpdatedInfo, memory: int, disk: int) -> None:
        executor, kept = info.manager.executor, info.level.memory or info.level.disk
        if kept:
            rdd.kept_as = level_text(info.level)
        block = rdd.blocks.get(info.block) or _Block([])
        if kept:
            more = int(executor not in block.executors)
            block.executors += [executor] * more
        else:
            more = -1
            block.executors = [e for e in block.executors if e != executor]
        if block.executors:
            block.level, block.memory, block.disk = rdd.kept_as or rdd.level, _plus(block.memory, memory), _plus(block.disk, disk)
            rdd.blocks[info.block] = block
        else:
            rdd.blocks.pop(info.block, None)
        use = self.live.get(executor)
        if use is not None:
            use.kept[rdd.id, info.block] = None
            if use.blocks + more > 0:
                share = rdd.shares.setdefault(executor, _Share())
                share.memory, share.disk = _plus(share.memory, memory), _plus(share.disk, disk)
                if use.on_heap_maximum is not None:
                    if info.level.off_heap:
                        share.off_heap = _plus(share.off_heap, memory)
                    else:
                        share.on_heap = _plus(share.on_heap, memory)
            else:
                rdd.shares.pop(executor, None)
            use.remaining = use.maximum - use.memory
            use.on_heap_remaining = (use.on_heap_maximum or 0) - use.on_heap
            use.off_heap_remaining = use.off_heap_maximum - use.off_heap
            use.blocks += more
        rdd.memory, rdd.disk = _plus(rdd.memory, memory), _plus(rdd.disk, disk)

    def use(self, executor: str) -> StorageUse:
        """What an executor holds, or held when it left."""
        use = self.live.get(executor) or self.left.get(executor)
        return StorageUse() if use is None else StorageUse(use.blocks, use.memory, use.disk, use.on_heap, use.off_heap)

    def table(self) -> tuple[CachedRdd, ...]:
        """RDDs of which a block is kept, by id."""
        return tuple(self._cached(rdd) for _, rdd in sorted(self.rdds.items()) if rdd.blocks)

    def _cached(self, rdd: _Rdd) -> CachedRdd:
        blocks = tuple(CachedBlock(self.mask(name), b.level, b.memory, b.disk, tuple(b.executors)) for name, b in rdd.blocks.items())
        shares = tuple(self._share(name, rdd.shares[name]) for name in text_order(rdd.shares))
        return CachedRdd(rdd.id, rdd.name, rdd.partitions, rdd.level, rdd.memory, rdd.disk, blocks, shares)

    def _share(self, name: str, share: _Share) -> CachedShare:
        use = self.live.get(name) or _Use()
        told = use.on_heap_maximum is not None
        apart = (share.on_heap, share.off_heap, use.on_heap_remaining, use.off_heap_remaining) if told else (None,) * 4
        return CachedShare(name, share.memory, use.remaining, share.disk, *apart)


def _plus(value: int, change: int) -> int:
    return min(max(value + change, 0), _MOST)


def _sane(value: int) -> int:
    return min(max(value, 0), _MOST)
