"""What reading and writing tables tells, in both directions: filters, files, streams, Delta."""

from dataclasses import replace
from typing import Any

import pytest

from spark_copilot.rules_engine.catalog import rule_of
from spark_copilot.rules_engine.facts import AppRun, StreamProgress
from tests.builders import START, StageSpec, execution, node, run_of
from tests.rules_engine.rules.seen import EVEN, LIMITS, codes, planned, seen

SCAN = "FileScan parquet [id#0L,at#7,{by}#1,digest#2] Batched: true, DataFilters: [], Format: Parquet, Location: InMemoryFileIndex(1 paths)[file:/t], PartitionFilters: {filters}, PushedFilters: [], ReadSchema: {schema}"

_SCHEMA = "struct<id:bigint,at:timestamp,digest:string>"


def scan_plan(filters: str = "[]", condition: str = "(cast(day#1 as string) = d7)", by: str = "day") -> Any:
    """A filter over a scan of a table partitioned by day, or by another column."""
    metrics = {"number of files read": 1, "size of files read": 2, "number of output rows": 3, "number of partitions read": 4}
    scan = node(
        "Scan parquet ",
        text=SCAN.format(filters=filters, by=by, schema=_SCHEMA),
        metrics=metrics,
        metadata={
            "Location": "InMemoryFileIndex(1 paths)[file:/t]",
            "Format": "Parquet",
            "ReadSchema": _SCHEMA,
            "PartitionFilters": filters,
        },
    )
    return node("Filter", node("ColumnarToRow", scan), text=f"Filter {condition}", metrics={"number of output rows": 5})


@pytest.mark.parametrize(
    ("plan", "kept", "found"),
    [
        pytest.param(scan_plan(), 100_000, True, id="the column inside an expression"),
        pytest.param(scan_plan("[isnotnull(day#1), (day#1 = 7)]"), 100_000, False, id="pruned"),
        pytest.param(scan_plan(), 2_900_000, False, id="most rows are wanted"),
        pytest.param(scan_plan(condition="(digest#2 = x)"), 100_000, False, id="a filter on another column"),
        pytest.param(scan_plan(condition="(at#7 >= 2024-01-04 00:00:00)"), 100_000, True, id="cut by day, filtered by the time of a row"),
        pytest.param(
            scan_plan(condition="(at#7 >= 2024-01-04 00:00:00)", by="country"), 100_000, False, id="cut by country, filtered by time"
        ),
    ],
)
def test_missing_partition_filter(plan: Any, kept: int, found: bool) -> None:
    run = planned(plan, {1: 30, 2: 100 << 20, 3: 3_000_000, 4: 30, 5: kept})
    assert (codes("missing-partition-filter", run) == ["missing-partition-filter"]) is found


@pytest.mark.parametrize(
    ("size", "by", "condition", "found"),
    [
        pytest.param(370 << 20, "loaded", "(sent#1 >= 2024-03-09 18:00:00)", True, id="7 KB are read for each row kept"),
        pytest.param(5 << 20, "loaded", "(sent#1 >= 2024-03-09 18:00:00)", False, id="as many rows are kept as there can be"),
        pytest.param(370 << 20, "country", "(sent#1 >= 2024-03-09 18:00:00)", False, id="cut by something else"),
        pytest.param(370 << 20, "loaded", "(sent#1 >= k77)", False, id="compared with no date"),
    ],
)
def test_text_that_is_filtered_while_it_is_parsed(size: int, by: str, condition: str, found: bool) -> None:
    schema = "struct<id:bigint,sent:string>"
    metrics = {"number of files read": 1, "size of files read": 2, "number of output rows": 3, "number of partitions read": 4}
    text = f"FileScan csv [id#0L,sent#1,{by}#3] Format: CSV, PartitionFilters: [], PushedFilters: [], ReadSchema: {schema}"
    table = node(
        "Scan csv ", text=text, metrics=metrics, metadata={"Location": "InMemoryFileIndex(1 paths)[file:/t]", "ReadSchema": schema}
    )
    plan = node("Filter", table, text=f"Filter {condition}", metrics={"number of output rows": 5})
    run = planned(plan, {1: 20, 2: size, 3: 50_000, 4: 20, 5: 50_000})
    assert (codes("missing-partition-filter", run) == ["missing-partition-filter"]) is found


PRUNING = "spark.sql.optimizer.dynamicPartitionPruning.enabled"


@pytest.mark.parametrize(
    ("beside", "key", "conf", "change"),
    [
        pytest.param("Filter (kind#8 = holiday)", "day#1", {PRUNING: "false"}, PRUNING, id="pruning is switched off"),
        pytest.param("Filter (isnotnull(flag#8) AND flag#8)", "day#1", {PRUNING: "false"}, None, id="Spark does not prune by a plain flag"),
        pytest.param("Filter (kind#8 = holiday)", "day#1", {}, None, id="pruning is on and did not help"),
        pytest.param("Filter isnotnull(day#9)", "day#1", {PRUNING: "false"}, "none", id="the other side is not filtered"),
        pytest.param("Filter (kind#8 = holiday)", "id#0L", {PRUNING: "false"}, "none", id="a join on another column"),
    ],
)
def test_a_join_could_choose_the_folders(beside: str, key: str, conf: dict[str, str], change: str | None) -> None:
    table = scan_plan().children[0]
    other = node("BroadcastExchange", node("Filter", node("Scan parquet "), text=beside))
    plan = node(
        "BroadcastHashJoin",
        table,
        other,
        text=f"BroadcastHashJoin [{key}], [day#9], Inner, BuildRight, false",
        metrics={"number of output rows": 5},
    )
    spec = StageSpec(ms=[5_000] * 8, sql_row=0, accumulables=dict.fromkeys(range(1, 6), ("m", "1")))
    run = run_of(spec, sql=[execution(plan, {1: 30, 2: 100 << 20, 3: 3_000_000, 4: 30, 5: 100_000})], conf=conf)
    keys = [c.key for found in seen("missing-partition-filter", run) for c in found.changes]
    assert keys == ([] if change == "none" else [change or "partition-filter"])


@pytest.mark.parametrize(("files", "size", "found"), [(2_000, 2 << 20, True), (2_000, 200 << 30, False), (20, 2 << 20, False)])
def test_small_files_read(files: int, size: int, found: bool) -> None:
    run = planned(scan_plan("[(day#1 = 7)]"), {1: files, 2: size, 3: 3_000_000, 4: 30, 5: 3_000_000})
    assert (codes("small-files-read", run) == ["small-files-read"]) is found


@pytest.mark.parametrize(("files", "size", "found"), [(1_200, 3 << 20, True), (1_200, 200 << 30, False), (8, 3 << 20, False)])
def test_small_files_written(files: int, size: int, found: bool) -> None:
    plan = node(
        "Execute InsertIntoHadoopFsRelationCommand",
        metrics={"number of written files": 1, "written output": 2, "number of dynamic part": 3},
    )
    assert (codes("small-files-written", planned(plan, {1: files, 2: size, 3: 40}, output_bytes=1_000)) == ["small-files-written"]) is found


@pytest.mark.parametrize(("tasks", "found"), [(1, True), (6, False)])
def test_unsplittable_input(tasks: int, found: bool) -> None:
    run = planned(scan_plan("[(day#1 = 7)]"), {1: 1, 2: 120 << 20, 3: 10, 4: 1, 5: 10}, ms=[12_000] * tasks, input_bytes=120 << 20)
    assert (codes("unsplittable-input", run) == ["unsplittable-input"]) is found
    assert codes("too-few-partitions", run) == []


def stream(took: list[int], state: list[int], rate: float = 100.0) -> AppRun:
    """A query whose batches begin on a grid of one second and take these times."""
    run = run_of(StageSpec(ms=EVEN))
    batches = tuple(
        StreamProgress(
            "q", "r", "orders", i, START + 1_000 * i * max(1, -(-ms // 1_000)), {"triggerExecution": ms}, 100, rate, 100.0, rows, rows * 100
        )
        for i, (ms, rows) in enumerate(zip(took, state, strict=True))
    )
    object.__setattr__(run, "streaming", batches)
    return run


@pytest.mark.parametrize(
    ("begun", "found"),
    [
        pytest.param(True, True, id="stopped in a batch"),
        pytest.param(False, False, id="ended by itself between two batches"),
    ],
)
def test_a_stream_without_pauses_is_behind_only_where_it_was_stopped(begun: bool, found: bool) -> None:
    run = stream([2_200] * 6, [0] * 6)
    step = tuple(replace(p, timestamp_ms=START + 137 + 2_210 * p.batch_id, run_id="0f-1") for p in run.streaming)
    object.__setattr__(run, "streaming", step)
    after = START + 137 + 2_210 * 6
    last = replace(execution(node("Range"), {}), description="orders runId = 0f-1 batch = 6", submitted_ms=after)
    object.__setattr__(run, "sql", (last,) if begun else ())
    assert (codes("batch-slower-than-trigger", run) == ["batch-slower-than-trigger"]) is found


def test_streaming_rules() -> None:
    assert codes("batch-slower-than-trigger", stream([2_500] * 8, [0] * 8, rate=250.0)) == ["batch-slower-than-trigger"]
    assert codes("batch-slower-than-trigger", stream([200] * 8, [0] * 8)) == []
    growing = [10_000 * (i + 1) for i in range(9)]
    assert codes("state-growth", stream([200] * 9, growing)) == ["state-growth"]
    assert codes("state-growth", stream([200] * 9, [50_000] * 9)) == []


@pytest.mark.parametrize(
    ("updated", "plan", "found"),
    [
        pytest.param(40_000, "StateStoreSave", True, id="every row stays"),
        pytest.param(90_000, "StateStoreSave", False, id="half of them meet a key that is there"),
        pytest.param(40_000, "EventTimeWatermark", False, id="a watermark will drop them, later than this run lasts"),
    ],
)
def test_state_that_nothing_lets_go_of(updated: int, plan: str, found: bool) -> None:
    """A backlog comes in first, so that rows do not double after it."""
    run = stream([200] * 9, [400_000 + 40_000 * i for i in range(9)])
    batches = tuple(replace(p, state_rows_updated=updated) for p in run.streaming)
    run = replace(run, streaming=batches, sql=(execution(node(plan), {}),))
    assert (codes("state-growth", run) == ["state-growth"]) is found


DELTA_SCAN = "FileScan parquet [id#0L,v#1] Batched: true, DataFilters: [], Format: Parquet, Location: PreparedDeltaFileIndex(1 paths)[file:/d], PartitionFilters: [], PushedFilters: [], ReadSchema: struct<id:bigint,v:int>"


def test_delta_rules() -> None:
    metrics = {"number of files read": 1, "size of files read": 2, "number of output rows": 3}
    scan = node(
        "Scan parquet ",
        text=DELTA_SCAN,
        metrics=metrics,
        metadata={"Location": "PreparedDeltaFileIndex(1 paths)[file:/d]", "Format": "Parquet"},
    )
    plan = node("Filter", scan, text="Filter (v#1 = 7)", metrics={"number of output rows": 4})
    small = planned(plan, {1: 900, 2: 90 << 20, 3: 1_000_000, 4: 900_000})
    assert codes("delta-small-files", small) == ["delta-small-files"]
    assert codes("delta-full-scan", small) == []
    assert codes("delta-full-scan", planned(plan, {1: 900, 2: 90 << 30, 3: 1_000_000, 4: 1_000})) == ["delta-full-scan"]
    merge = node("Execute MergeIntoCommand", metrics={"number of target rows rewritten unmodified": 1, "number of updated rows": 2})
    assert codes("delta-rewrite-amplification", planned(merge, {1: 5_000_000, 2: 100})) == ["delta-rewrite-amplification"]
    assert codes("delta-rewrite-amplification", planned(merge, {1: 5_000, 2: 4_000})) == []


@pytest.mark.parametrize(
    ("names", "copied", "changed", "found"),
    [
        (
            ("number of rows copied.", "number of rows updated.", "number of rows touched (copied + updated)"),
            2_997_000,
            6_000,
            True,
        ),  # UPDATE of Delta 4.4
        (
            ("number of target rows rewritten unmodified", "number of updated rows", "number of source rows"),
            2_900_000,
            3_000,
            True,
        ),  # MERGE
        (("number of copied rows", "number of deleted rows", "number of rows in the table"), 900_000, 10, True),
        (("number of rows copied.", "number of rows deleted.", "number of bytes removed"), 200_000, 150_000, False),  # as many changed
        (("number of rows copied.", "number of rows updated.", "number of files added."), 0, 3_000, False),  # deletion vectors
    ],
)
def test_rewrites_are_known_by_the_names_delta_gives_them(names: tuple[str, ...], copied: int, changed: int, found: bool) -> None:
    command = node("Execute UpdateCommand", metrics={names[0]: 1, names[1]: 2, names[2]: 3})
    written = {"output_records": copied + changed, "output_bytes": 1 << 28}
    run = run_of(
        StageSpec(ms=[20_000, 20_000], columns=written, sql_row=0), sql=[execution(command, {1: copied, 2: changed, 3: copied + changed})]
    )
    said = list(rule_of("delta-rewrite-amplification").check(run, LIMITS.delta))  # type: ignore[union-attr]
    assert bool(said) is found
    if found:
        assert [e.value for e in said[0].evidence[:2]] == [copied, changed]
        assert said[0].remedy is not None


@pytest.mark.parametrize(
    ("copied", "changed", "written", "expected"),
    [
        (5_993_332, 6_668, 3_000_000, [2_996_666, 3_334]),  # both twice
        (2_997_000, 6_000, 3_000_000, [2_997_000, 3_000]),  # the changed ones twice
        (2_997_000, 3_000, 3_000_000, [2_997_000, 3_000]),
    ],
)
def test_rows_that_delta_counts_twice_are_said_once(copied: int, changed: int, written: int, expected: list[int]) -> None:
    command = node("Execute MergeIntoCommand", metrics={"number of target rows rewritten unmodified": 1, "number of updated rows": 2})
    run = run_of(StageSpec(ms=[20_000], columns={"output_records": written}, sql_row=0), sql=[execution(command, {1: copied, 2: changed})])
    (said,) = rule_of("delta-rewrite-amplification").check(run, LIMITS.delta)  # type: ignore[union-attr]
    assert [e.value for e in said.evidence[:2]] == expected
