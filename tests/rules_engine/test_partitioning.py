"""Partition arithmetic: named cases, and properties that hold for every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_copilot.rules_engine.partitioning import (
    GIB,
    MIB,
    TIB,
    Column,
    input_partitions,
    layout,
    shuffle_partitions,
    target_file_bytes,
)

DAY, USER, COUNTRY = Column("day", 730), Column("user_id", 40_000_000), Column("country", 60)


@pytest.mark.parametrize(
    ("name", "size", "rows", "columns", "filters", "by", "avoid"),
    [
        ("a day that queries filter on", 2 * TIB, 9_000_000_000, [DAY, USER], ["day >= date'2026-01-01'"], ("day",), ("user_id",)),
        ("nobody filters on the day", 2 * TIB, 9_000_000_000, [DAY, COUNTRY], ["country = 'de'"], ("country",), ()),
        ("the finer of two", 2 * TIB, 9_000_000_000, [DAY, COUNTRY], ["country = 'de' and day = 3"], ("day",), ()),
        ("folders would be small", 40 * GIB, 10**9, [DAY], ["day"], (), ("day",)),
        ("a small table", 500 * MIB, 10**6, [COUNTRY], ["country"], (), ("country",)),
        ("one value", 2 * TIB, 10**9, [Column("tenant", 1)], ["tenant = 'a'"], (), ("tenant",)),
        ("an id", 2 * TIB, 10**9, [Column("id", 10**9)], ["id = 7"], (), ("id",)),
        ("no filters named", 2 * TIB, 10**9, [DAY, USER], [], ("day",), ("user_id",)),
        ("a name inside another", 2 * TIB, 10**9, [DAY], ["birthday = 3"], (), ()),
        ("no columns", 2 * TIB, 10**9, [], [], (), ()),
    ],
)
def test_layouts(
    name: str, size: int, rows: int, columns: list[Column], filters: list[str], by: tuple[str, ...], avoid: tuple[str, ...]
) -> None:
    made = layout(size, rows, columns, filters, slots=80)
    assert made.partition_by == by, name
    assert made.avoid == avoid, name
    assert made.because.endswith(".")


def test_what_cannot_be_a_folder_is_clustered_by() -> None:
    assert "cluster by user_id" in layout(2 * TIB, 10**10, [USER], ["user_id = 7"], 80).because


@pytest.mark.parametrize(
    ("size", "expected"), [(GIB, 128), (64 * GIB, 128), (65 * GIB, 256), (2 * TIB, 256), (10 * TIB, 1024), (90 * TIB, 1024)]
)
def test_file_sizes_grow_with_the_table(size: int, expected: int) -> None:
    assert target_file_bytes(size) == expected * MIB


@pytest.mark.parametrize(
    ("size", "slots", "expected"), [(1, 8, 1), (100 * MIB, 8, 8), (12 * MIB, 8, 3), (10 * GIB, 8, 80), (10 * GIB, 1000, 1001)]
)
def test_a_scan_makes_as_many_splits_as_spark_does(size: int, slots: int, expected: int) -> None:
    assert input_partitions(size, slots) == expected


@given(st.integers(1, 1 << 46), st.integers(1, 100_000), st.integers(1, 5), st.integers(0, 10**12))
def test_shuffle_partitions_fill_the_slots_and_bound_the_task(size: int, slots: int, per_slot: int, rows: int) -> None:
    made = shuffle_partitions(size, slots, 128 * MIB, per_slot)
    assert made % slots == 0
    assert made >= slots * per_slot
    assert size / made <= 128 * MIB
    few = shuffle_partitions(size, slots, 128 * MIB, per_slot, rows)
    assert few <= made


@given(st.integers(1, 1 << 60), st.integers(0, 1 << 60), st.integers(0, 1 << 60), st.integers(1, 1 << 20))
def test_every_table_gets_a_layout(size: int, rows: int, distinct: int, slots: int) -> None:
    made = layout(size, rows, [Column("c", distinct)], ["c"], slots)
    assert made.input_partitions >= 1
    assert made.shuffle_partitions >= 1
    assert set(made.partition_by) | set(made.avoid) <= {"c"}
    assert not set(made.partition_by) & set(made.avoid)
