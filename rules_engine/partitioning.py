"""The arithmetic of partitions: how many tasks, how large files, and which columns to partition a table by. Pure functions of sizes and counts.

The rules use them for what they propose, the partition endpoint for a table that was only described.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spark_copilot.rules_engine.units import show_bytes, show_count

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40

SPLIT_BYTES = 128 * MIB
"""`spark.sql.files.maxPartitionBytes`: the most Spark reads in one task of a scan."""

OPEN_COST_BYTES = 4 * MIB
"""`spark.sql.files.openCostInBytes`: what Spark counts for opening a file, and the least it makes of a split."""

PARTITION_MIN_BYTES = GIB
"""A folder below this is mostly its own overhead: listing, a footer a file, an entry in the table's log (Delta's own advice)."""

PARTITIONS_MAX = 10_000
"""More folders slow every listing and every catalog call."""

PARTITIONS_MOST = 1_000_000
"""More than any stage is asked to have; a hostile log may claim any number of slots or bytes."""

ROWS_PER_TASK_MIN = 100
"""Some dozens of rows are not faster in more tasks."""


def shuffle_partitions(read_bytes: int, slots: int, target_bytes: int, per_slot: int, rows: int | None = None) -> int:
    """Tasks for a stage: by size, at least `per_slot` waves over the slots, a multiple of the slots; no more than its rows carry."""
    slots = min(max(slots, 1), PARTITIONS_MOST)
    by_size = -(-read_bytes // target_bytes) if read_bytes > 0 else 0
    wanted = -(-min(max(by_size, slots * per_slot), PARTITIONS_MOST) // slots) * slots
    return int(wanted if not rows else min(wanted, max(rows // ROWS_PER_TASK_MIN, slots)))


def input_partitions(size_bytes: int, slots: int) -> int:
    """Tasks that Spark makes of a scan of splittable files: splits of size / cores, between the open cost and 128 MiB."""
    split = min(SPLIT_BYTES, max(OPEN_COST_BYTES, size_bytes // max(slots, 1)))
    return max(-(-size_bytes // split), 1)


def target_file_bytes(size_bytes: int) -> int:
    """Size to write files in: 128 MiB for tables up to 64 GiB, 256 MiB up to 2.5 TiB, then growing to 1 GiB at 10 TiB, so that the count of files stays bounded."""
    if size_bytes <= 64 * GIB:
        return SPLIT_BYTES
    if size_bytes <= 2.5 * TIB:
        return 256 * MIB
    grown = 256 * MIB + (GIB - 256 * MIB) * (size_bytes - 2.5 * TIB) / (7.5 * TIB)
    return min(int(grown) // MIB * MIB, GIB)


@dataclass(frozen=True, slots=True)
class Column:
    """A column with the number of its distinct values."""

    name: str
    distinct: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How to lay a table out for a cluster. `because` gives a sentence for each decision."""

    partition_by: tuple[str, ...]
    avoid: tuple[str, ...]
    target_file_bytes: int
    input_partitions: int
    shuffle_partitions: int
    because: str


def layout(size_bytes: int, rows: int, columns: Sequence[Column], filters: Sequence[str], slots: int) -> Layout:
    """Partition columns, file size and task counts for a table of this size on this many cores.

    A column is worth partitioning by when queries filter on it and its folders still hold `PARTITION_MIN_BYTES` each, evenly spread. Among those the
    one with most folders skips most. `filters` are column names or conditions in which they stand.
    """
    said: list[str] = []
    filtered = [c for c in columns if any(_names(text, c.name) for text in filters)]
    chosen: Column | None = None
    avoid: list[str] = []
    for column in columns:
        reason = _against(column, size_bytes, rows)
        if reason is not None:
            avoid.append(column.name)
            said.append(f"{column.name}: {reason}")
    candidates = [c for c in (filtered if filters else columns) if c.name not in avoid]
    if candidates:
        chosen = max(candidates, key=lambda c: c.distinct)
        each = size_bytes // chosen.distinct
        used = "queries filter on it" if chosen in filtered else "no filters were named, so this rests on its size alone"
        said.append(f"partition by {chosen.name}: {used}, and its {show_count(chosen.distinct)} folders hold {show_bytes(each)} each")
    elif columns:
        said.append(_no_column(size_bytes, filtered, avoid))
    unused = [c.name for c in columns if filters and c not in filtered and c.name not in avoid]
    if unused:
        said.append(
            f"{', '.join(unused)}: no query filters on {'it' if len(unused) == 1 else 'them'}, so {'it' if len(unused) == 1 else 'they'} would skip nothing"
        )
    file_bytes = target_file_bytes(size_bytes)
    reads = input_partitions(size_bytes, slots)
    shuffles = shuffle_partitions(size_bytes, slots, SPLIT_BYTES, 1, rows or None)
    said.append(
        f"{show_bytes(size_bytes)} are read in {show_count(reads)} splits of {show_bytes(-(-size_bytes // reads))}; a shuffle of all of it takes "
        f"{show_count(shuffles)} partitions of {show_bytes(-(-size_bytes // shuffles))} on {slots} cores"
    )
    return Layout(
        partition_by=(chosen.name,) if chosen is not None else (),
        avoid=tuple(avoid),
        target_file_bytes=file_bytes,
        input_partitions=reads,
        shuffle_partitions=shuffles,
        because="; ".join(said) + ".",
    )


def _against(column: Column, size_bytes: int, rows: int) -> str | None:
    """Why not to partition by this column, None when nothing speaks against it."""
    if column.distinct <= 1:
        return "one value, so one folder"
    if rows and column.distinct > rows // 2:
        return f"almost every row has its own value ({show_count(column.distinct)}): a folder a row"
    if column.distinct > PARTITIONS_MAX:
        return f"{show_count(column.distinct)} folders, more than a listing bears"
    each = size_bytes // column.distinct
    if each < PARTITION_MIN_BYTES:
        return f"{show_count(column.distinct)} folders of {show_bytes(each)}, under {show_bytes(PARTITION_MIN_BYTES)}"
    return None


def _no_column(size_bytes: int, filtered: Sequence[Column], avoid: Sequence[str]) -> str:
    if size_bytes < 2 * PARTITION_MIN_BYTES:
        return f"do not partition: a table of {show_bytes(size_bytes)} is read whole in no time"
    clustered = [c.name for c in filtered if c.name in avoid and c.distinct > 1]
    if clustered:
        return f"do not partition; cluster by {', '.join(clustered[:4])} instead (CLUSTER BY, ZORDER or sorted files), so that statistics skip files"
    return "do not partition: no column that queries filter on makes folders of a good size"


def _names(text: str, column: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(column)}(?!\w)", text, re.IGNORECASE) is not None
