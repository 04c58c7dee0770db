"""How the History Server writes times, peaks and quantiles."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

PEAKS = (
    "JVMHeapMemory", "JVMOffHeapMemory", "OnHeapExecutionMemory", "OffHeapExecutionMemory", "OnHeapStorageMemory", "OffHeapStorageMemory",
    "OnHeapUnifiedMemory", "OffHeapUnifiedMemory", "DirectPoolMemory", "MappedPoolMemory", "ProcessTreeJVMVMemory", "ProcessTreeJVMRSSMemory",
    "ProcessTreePythonVMemory", "ProcessTreePythonRSSMemory", "ProcessTreeOtherVMemory", "ProcessTreeOtherRSSMemory", "MinorGCCount", "MinorGCTime",
    "MajorGCCount", "MajorGCTime", "TotalGCTime", "ConcurrentGCCount", "ConcurrentGCTime",
)  # fmt: skip
"""Executor metrics of Spark 4.3, all of which it prints, zero where an older log has none."""

Json = dict[str, Any]
DAY_MS = 86_400_000


def moment(ms: int) -> str:
    """ "2026-04-15T20:59:46.231GMT"; before the epoch too (an attempt that runs ends at -1)."""
    days, rest = divmod(ms, DAY_MS)
    day = _day(days)
    if day is None:
        return f"9999-12-31T23:59:59.{ms % 1000:03d}GMT"
    minutes, rest = divmod(rest, 60_000)
    return f"{day}T{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}GMT"


@lru_cache(1024)
def _day(days: int) -> str | None:
    """A day since 1970 as ISO writes it, None beyond the calendar. A run has tens of thousands of times on few days."""
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return None


def put_moment(target: Json, name: str, ms: int) -> None:
    """The time, left out when it is unknown."""
    if ms >= 0:
        target[name] = moment(ms)


def peaks_json(peaks: Mapping[str, int]) -> Json:
    """All metrics in Spark's order."""
    return {name: peaks.get(name, 0) for name in PEAKS}


def quantile_rows(count: int, quantiles: Sequence[float]) -> npt.NDArray[np.int64]:
    """Indices into sorted values of this many: no interpolation, as Spark does it."""
    return _quantile_rows(count, tuple(quantiles))


@lru_cache(1024)
def _quantile_rows(count: int, quantiles: tuple[float, ...]) -> npt.NDArray[np.int64]:
    return np.array([min(int(q * count), count - 1) for q in quantiles], dtype=np.int64)


def spread(values: npt.NDArray[Any], quantiles: Sequence[float], count: int | None = None) -> list[float]:
    """The values at the quantiles (of the first `count` of them), as the doubles that Spark prints."""
    if not len(values):
        return [0.0 for _ in quantiles]
    rows = quantile_rows(len(values) if count is None else count, quantiles)
    found: list[float] = np.sort(values)[rows].astype(np.float64).tolist()
    return found
