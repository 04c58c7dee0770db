"""What plans tell, in both directions: windows, Python, joins, rows that multiply, work done again, large results."""

from typing import Any

import pytest

from spark_copilot.agents.fold import fold
from spark_copilot.rules_engine.catalog import rule_of
from tests.builders import StageSpec, execution, node, run_of
from tests.rules_engine.rules.seen import EVEN, LIMITS, codes, planned


def test_single_partition_window() -> None:
    exchange = node("Exchange", node("Range", metrics={"number of output rows": 1}), text="Exchange SinglePartition, ENSURE_REQUIREMENTS")
    window = node("Window", node("Sort", exchange, metrics={"sort time": 2}), metrics={"spill size": 3})
    run = planned(window, {2: 5, 3: 0}, ms=[20_000], shuffle_read_records=2_000_000)
    assert codes("single-partition-window", run) == ["single-partition-window"]
    assert codes("too-few-partitions", run) == []
    keyed = node(
        "Window",
        node("Sort", node("Exchange", text="Exchange hashpartitioning(k#1, 8)"), metrics={"sort time": 2}),
        metrics={"spill size": 3},
    )
    assert codes("single-partition-window", planned(keyed, {2: 5, 3: 0}, ms=[20_000], shuffle_read_records=2_000_000)) == []


@pytest.mark.parametrize(
    ("name", "text", "rows", "found"),
    [
        pytest.param("BatchEvalPython", "BatchEvalPython [f(s#1)#2], [pythonUDF0#3]", 1_000_000, True, id="pickled rows"),
        pytest.param(
            "ArrowEvalPython", "ArrowEvalPython [f(s#1)#2], [pythonUDF0#3], 101", 1_000_000, True, id="a plain function over Arrow"
        ),
        pytest.param("ArrowEvalPython", "ArrowEvalPython [f(s#1)#2], [pythonUDF0#3], 200", 1_000_000, False, id="a pandas function"),
        pytest.param("BatchEvalPython", "BatchEvalPython [f(s#1)#2], [pythonUDF0#3]", 50, False, id="fifty rows"),
    ],
)
def test_python_udf(name: str, text: str, rows: int, found: bool) -> None:
    assert (codes("python-udf", planned(node(name, text=text, metrics={"number of output rows": 1}), {1: rows})) == ["python-udf"]) is found


@pytest.mark.parametrize(("left", "right", "found"), [(100_000, 50_000, True), (100, 50, False)])
def test_nested_loop(left: int, right: int, found: bool) -> None:
    sides = (node("Range", metrics={"number of output rows": 1}), node("BroadcastExchange", metrics={"number of output rows": 2}))
    plan = node("BroadcastNestedLoopJoin", *sides, metrics={"number of output rows": 3})
    run = planned(plan, {1: left, 2: right, 3: 10})
    assert (codes("cartesian-or-nested-loop-join", run) == ["cartesian-or-nested-loop-join"]) is found


@pytest.mark.parametrize(
    ("small", "large", "kind", "found"),
    [
        pytest.param(1 << 20, 4 << 30, "Inner", True, id="one MiB against four GiB"),
        pytest.param(1 << 30, 4 << 30, "Inner", False, id="both large"),
        pytest.param(1 << 20, 4 << 30, "FullOuter", False, id="a full outer join cannot"),
        pytest.param(1 << 20, 4 << 30, "RightOuter", False, id="the small side is the wrong one"),
    ],
)
def test_broadcast_missed(small: int, large: int, kind: str, found: bool) -> None:
    sides = (node("Sort", node("Exchange", metrics={"data size": 1})), node("Sort", node("Exchange", metrics={"data size": 2})))
    plan = node("SortMergeJoin", *sides, text=f"SortMergeJoin [k#1], [k#2], {kind}", metrics={"number of output rows": 3})
    assert (codes("broadcast-missed", planned(plan, {1: large, 2: small, 3: 9})) == ["broadcast-missed"]) is found


@pytest.mark.parametrize(("size", "ms", "found"), [(500 << 20, 9_000, True), (500 << 20, 50, False), (5 << 20, 9_000, False)])
def test_broadcast_too_large(size: int, ms: int, found: bool) -> None:
    plan = node("BroadcastHashJoin", node("BroadcastExchange", metrics={"data size": 1, "time to build": 2}))
    assert (codes("broadcast-too-large", planned(plan, {1: size, 2: ms})) == ["broadcast-too-large"]) is found


@pytest.mark.parametrize(("out", "found"), [(80_000_000, True), (50_000, False)])
def test_row_explosion(out: int, found: bool) -> None:
    sides = (node("Range", metrics={"number of output rows": 1}), node("Range", metrics={"number of output rows": 2}))
    plan = node("SortMergeJoin", *sides, metrics={"number of output rows": 3})
    assert (codes("row-explosion", planned(plan, {1: 40_000, 2: 40_000, 3: out})) == ["row-explosion"]) is found


def test_recomputed_data() -> None:
    def plan(constant: int, name: str = "Filter") -> Any:
        return node("HashAggregate", node(name, node("Range", text="Range (0, 10)"), text=f"{name} (v#12 > {constant})"))

    spec = StageSpec(ms=EVEN)
    twice = [StageSpec(ms=EVEN, sql_row=0), StageSpec(ms=EVEN, sql_row=1), spec]
    same = run_of(*twice, sql=[execution(plan(10), {}), execution(plan(100), {}, sql_id=1)])
    assert codes("recomputed-data", same) == ["recomputed-data"]
    other = run_of(*twice, sql=[execution(plan(10), {}), execution(plan(10, "Sample"), {}, sql_id=1)])
    assert codes("recomputed-data", other) == []
    cached = node("HashAggregate", node("InMemoryTableScan"))
    assert codes("recomputed-data", run_of(*twice, sql=[execution(cached, {}), execution(cached, {}, sql_id=1)])) == []


@pytest.mark.parametrize(("mib", "tail", "found"), [(300, 8_000, True), (1, 8_000, False), (300, 10, True), (40, 10, False)])
def test_large_driver_result(mib: int, tail: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[3_000] * 4, columns={"result_bytes": (mib << 20) // 4}), tail_ms=tail)
    assert (codes("large-driver-result", run) == ["large-driver-result"]) is found


COSTLY = "Filter (aggregate(sequence(1, 400), 0.0, lambda(acc, x)) > 0.0)"


def action(plan: Any, sql_id: int) -> Any:
    """An aggregate over a plan."""
    return execution(node("HashAggregate", plan, text=f"HashAggregate(keys=[], functions=[f{sql_id}(v#1)])"), {}, sql_id=sql_id)


@pytest.mark.parametrize(
    ("plans", "found"),
    [
        pytest.param([COSTLY] * 3, True, id="three actions on one costly DataFrame"),
        pytest.param(["Filter (id#0L > 5)"] * 3, False, id="three actions on cheap rows"),
        pytest.param([COSTLY, COSTLY.replace("400", "500"), COSTLY.replace("400", "600")], False, id="other work each time"),
    ],
)
def test_actions_that_begin_with_the_same_work(plans: list[str], found: bool) -> None:
    leaf = node("Scan parquet ", metadata={"Location": "InMemoryFileIndex(1 paths)[file:/t]"})
    sql = [action(node("Filter", leaf, text=text), i) for i, text in enumerate(plans)]
    run = run_of(*(StageSpec(ms=[4_000] * 4, sql_row=i) for i in range(3)), sql=sql)
    assert (codes("recomputed-data", run) == ["recomputed-data"]) is found


@pytest.mark.parametrize(
    ("read", "found"),
    [
        pytest.param(["", "", ""], True, id="one costly frame, split over three outputs"),
        pytest.param(["[(day#2 = 1)]", "[(day#2 = 2)]", "[(day#2 = 3)]"], False, id="a day at a time"),
    ],
)
def test_the_same_rows_written_to_several_places(read: list[str], found: bool) -> None:
    def output(n: int) -> Any:
        leaf = node("Scan parquet ", metadata={"Location": "InMemoryFileIndex(1 paths)[file:/t]", "PartitionFilters": read[n]})
        kept = node("Filter", leaf, text=f"Filter ((f(x#1) % 3) = {n})")
        command = "Execute InsertIntoHadoopFsRelationCommand"
        return execution(node(command, kept, text=f"{command} file:/out{n}, false, Parquet"), {}, sql_id=n)

    run = run_of(*(StageSpec(ms=[4_000] * 4, sql_row=i) for i in range(3)), sql=[output(i) for i in range(3)])
    assert (codes("recomputed-data", run) == ["recomputed-data"]) is found


def test_reading_other_partitions_of_a_table_is_other_work() -> None:
    def day(n: int) -> Any:
        metadata = {"Location": "InMemoryFileIndex(1 paths)[file:/t]", "PartitionFilters": f"[(day#2 = {n})]"}
        return action(node("Filter", node("Scan parquet ", metadata=metadata), text=COSTLY), n)

    run = run_of(*(StageSpec(ms=[4_000] * 4, sql_row=i) for i in range(3)), sql=[day(i) for i in range(3)])
    assert codes("recomputed-data", run) == []


@pytest.mark.parametrize(
    ("name", "rows", "python_ms", "found"),
    [
        pytest.param("MapInPandas", 500_000, 75_000, True, id="batches walked through row by row"),
        pytest.param("ArrowEvalPython", 500_000, 75_000, True, id="a pandas function that does the same"),
        pytest.param("MapInPandas", 50_000_000, 75_000, False, id="whole columns at a time"),
        pytest.param("FlatMapGroupsInPandas", 500_000, 75_000, False, id="work by group is expected to be heavy"),
        pytest.param("MapInPandas", 50_000, 6_000, False, id="too short to matter"),
    ],
)
def test_functions_over_batches(name: str, rows: int, python_ms: int, found: bool) -> None:
    plan = node(name, node("Range"), metrics={"number of output rows": 1, "time to execute Python code": 2})
    assert (codes("python-udf", planned(plan, {1: rows, 2: python_ms}, ms=[10_000] * 8)) == ["python-udf"]) is found


def _exploded(inner: str) -> list[str]:
    """Codes that are left of a stage with one long task, whose rows an explode or a join multiplied."""
    inputs = [node("Range", metrics={"number of output rows": 1})] * (1 if inner == "Generate" else 2)
    plan = node(inner, *inputs, metrics={"number of output rows": 2})
    run = planned(plan, {1: 16_000, 2: 4_000_000}, ms=[1_000] * 7 + [30_000])
    found = [o for code in ("row-explosion", "straggler-tasks") if (r := rule_of(code)) for o in r.check(run, LIMITS.of(r.limits))]
    return [o.code for o in fold(found)]


def test_an_explode_does_not_explain_the_one_long_task_but_a_join_does() -> None:
    assert _exploded("Generate") == ["row-explosion", "straggler-tasks"]
    assert _exploded("SortMergeJoin") == ["row-explosion"]
