"""Which key a misspelt key was meant to be: part by part, so that a short foreign name is not taken for a long known one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

_ALIASES = {
    "spark.shuffle.partitions": "spark.sql.shuffle.partitions",
    "spark.executor.num": "spark.executor.instances",
    "spark.num.executors": "spark.executor.instances",
    "spark.executors.num": "spark.executor.instances",
    "spark.executor.count": "spark.executor.instances",
    "spark.executor.number": "spark.executor.instances",
    "spark.executor.core": "spark.executor.cores",
    "spark.sql.broadcastJoinThreshold": "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.autoBroadcastThreshold": "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.adaptive.skewJoin": "spark.sql.adaptive.skewJoin.enabled",
    "spark.executor.overhead": "spark.executor.memoryOverhead",
    "spark.executor.overheadMemory": "spark.executor.memoryOverhead",
    "spark.driver.overheadMemory": "spark.driver.memoryOverhead",
    "spark.sql.timezone": "spark.sql.session.timeZone",
    "spark.sql.session.timezone": "spark.sql.session.timeZone",
    "spark.kryo.buffer.max": "spark.kryoserializer.buffer.max",
    "spark.dynamicAllocation": "spark.dynamicAllocation.enabled",
    "spark.eventLog.directory": "spark.eventLog.dir",
    "spark.eventlog.dir": "spark.eventLog.dir",
    "spark.sql.ansi": "spark.sql.ansi.enabled",
    "spark.driver.results.maxSize": "spark.driver.maxResultSize",
    "spark.sql.warehouse": "spark.sql.warehouse.dir",
}
_EMPTY: tuple[str, ...] = ()


def distance(a: str, b: str, limit: int) -> int:
    """Edit distance with neighbouring letters swapped counted once; `limit + 1` as soon as it is surely above `limit`."""
    if a == b:
        return 0
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, older[j - 2] + 1)
            row.append(best)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def _allowed(part: str) -> int:
    return 1 if len(part) < 7 else 2 if len(part) < 13 else 3


def _squashed(key: str) -> str:
    return key.replace(".", "").replace("_", "").replace("-", "").lower()


class Speller:
    """Finds the neighbour of a key among the known ones."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._split = {key: tuple(key.split(".")) for key in keys}
        self._squash: dict[str, str] = {}
        self._by_count: dict[int, list[str]] = defaultdict(list)
        for key, parts in self._split.items():
            self._squash.setdefault(_squashed(key), key)
            self._by_count[len(parts)].append(key)

    def nearest(self, key: str, *, own: bool) -> str | None:
        """The nearest key, None when none is near. A missing or extra part is only looked for inside Spark's own name spaces (`own`)."""
        if key in _ALIASES:
            return _ALIASES[key]
        same = self._squash.get(_squashed(key))
        if same is not None:
            return same
        parts = tuple(key.split("."))
        best: tuple[int, str] | None = None
        for other in self._by_count.get(len(parts), _EMPTY):
            cost = self._same_length(parts, self._split[other])
            if cost is not None and (best is None or (cost, other) < best):
                best = (cost, other)
        if best is not None:
            return best[1]
        return self._one_part_off(parts) if own else None

    def _same_length(self, a: Sequence[str], b: Sequence[str]) -> int | None:
        total = 0
        differing = 0
        for x, y in zip(a, b, strict=True):
            if x == y:
                continue
            allowed = _allowed(y)
            cost = distance(x, y, allowed)
            differing += 1
            if cost > allowed or differing > 2:
                return None
            total += cost
        return total if total <= 3 else None

    def _one_part_off(self, parts: tuple[str, ...]) -> str | None:
        found: list[str] = []
        for other in self._by_count.get(len(parts) + 1, _EMPTY):
            whole = self._split[other]
            if parts[-1] == whole[-1] and len(parts) > 2 and any(whole[:i] + whole[i + 1 :] == parts for i in range(1, len(whole) - 1)):
                found.append(other)
        for other in self._by_count.get(len(parts) - 1, _EMPTY):
            whole = self._split[other]
            if len(whole) > 2 and whole in (parts[:1] + parts[2:], parts[:-1]):
                found.append(other)
        return found[0] if len(found) == 1 else None
