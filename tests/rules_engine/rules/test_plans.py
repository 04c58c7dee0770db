"""What plans tell, in both directions: windows, Python, joins, rows that multiply, work done again, large results."""

from dataclasses import replace
from typing import Any

import pytest

from spark_copilot.agents.fold import fold
from spark_copilot.rules_engine.catalog import rule_of
from spark_copilot.rules_engine.facts import RddInfo
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


@pytest.mark.parametrize(
    ("parts", "names", "found"),
    [
        pytest.param(8, 1, True, id="a part in each of eight jobs at one place"),
        pytest.param(4, 1, False, id="not much together"),
        pytest.param(8, 8, False, id="eight places"),
    ],
)
def test_results_that_are_large_together(parts: int, names: int, found: bool) -> None:
    jobs = [
        StageSpec(ms=[400], columns={"result_bytes": 15 << 20}, gap_ms=300, name=f"toLocalIterator at job.py:{n % names}")
        for n in range(parts)
    ]
    assert (codes("large-driver-result", run_of(*jobs)) == ["large-driver-result"]) is found


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


@pytest.mark.parametrize(
    ("second", "found"), [(0, True), (7, False)], ids=["the same table of the program", "another table of the program"]
)
def test_what_a_program_made_is_known_by_its_rdd(second: int, found: bool) -> None:
    plan = node("HashAggregate", node("Scan ExistingRDD", text="Scan ExistingRDD[id#0L,name#1]"))
    run = run_of(*(StageSpec(ms=EVEN, sql_row=i) for i in range(2)), sql=[execution(plan, {}, sql_id=i) for i in range(2)])
    rdd = RddInfo(0, "ParallelCollectionRDD", None, "", (), "", 8, 0, 0, 0)
    object.__setattr__(run.stages, "rdds", ((rdd,), (replace(rdd, rdd_id=second),)))
    assert (codes("recomputed-data", run) == ["recomputed-data"]) is found


def test_a_constant_array_is_part_of_the_work() -> None:
    def plan(array: str) -> Any:
        text = f"Project [aggregate(org.apache.spark.sql.catalyst.expressions.UnsafeArrayData@{array}, 0.0, lambda(acc, x)) AS v#3]"
        return node("Project", node("Range", text="Range (0, 10)"), text=text)

    def run(second: str) -> Any:
        return run_of(
            *(StageSpec(ms=EVEN, sql_row=i) for i in range(2)), sql=[execution(plan("ee54a92c"), {}), execution(plan(second), {}, sql_id=1)]
        )

    assert codes("recomputed-data", run("ee54a92c")) == ["recomputed-data"]
    assert codes("recomputed-data", run("bc11f0aa")) == []


@pytest.mark.parametrize(
    ("batches", "found"),
    [
        pytest.param([1, 1, 1], True, id="three times of one batch"),
        pytest.param([1, 2, 3], False, id="once of each batch"),
    ],
)
def test_a_micro_batch_asked_several_times(batches: list[int], found: bool) -> None:
    leaf = node("Scan ExistingRDD", text="Scan ExistingRDD[id#0L]")
    of = "\nid = 42261a7f-109a-48fb-99ea-7ae45db569c0\nrunId = af4bcf59-c918-4e57-b42f-c10c1e0f4d62\nbatch = "
    sql = [
        replace(action(node("Filter", leaf, text=COSTLY.replace("> 0.0", f"> {i}.0")), i), description=f"{of}{batch}")
        for i, batch in enumerate(batches)
    ]
    run = run_of(*(StageSpec(ms=[4_000] * 4, sql_row=i) for i in range(3)), sql=sql)
    assert (codes("recomputed-data", run) == ["recomputed-data"]) is found


@pytest.mark.parametrize(
    ("below", "found"),
    [
        pytest.param(
            "Project [aggregate(sequence(1, 250), 0.0, lambda(acc, x)) AS score#2]", True, id="what is sorted takes long to compute"
        ),
        pytest.param("Project [(id#0L + 1) AS score#2]", False, id="what is sorted costs nothing"),
    ],
)
def test_a_sort_looks_for_its_ranges_first(below: str, found: bool) -> None:
    exchange = node("Exchange", node("Project", node("Range"), text=below), text="Exchange rangepartitioning(score#2 ASC NULLS FIRST, 8)")
    sample = StageSpec(ms=[4_000] * 4, sql_row=0)
    whole = StageSpec(ms=[4_000] * 4, sql_row=0, columns={"shuffle_write_bytes": 1_000})
    run = run_of(sample, whole, StageSpec(ms=[500] * 4, sql_row=0), sql=[execution(node("Sort", exchange), {})])
    assert (codes("recomputed-data", run) == ["recomputed-data"]) is found


def test_totals_of_every_combination() -> None:
    plan = node("Expand", node("Range", metrics={"number of output rows": 1}), metrics={"number of output rows": 2})
    assert codes("row-explosion", planned(plan, {1: 400_000, 2: 51_200_000})) == ["row-explosion"]
    assert codes("row-explosion", planned(plan, {1: 400_000, 2: 1_600_000})) == []


@pytest.mark.parametrize(
    ("rows_in", "rows_out", "found"),
    [
        pytest.param(240_000, 240_000, True, id="something for each row of many groups"),
        pytest.param(240_000, 9_000, False, id="a total of each group"),
        pytest.param(40_000_000, 40_000_000, False, id="many rows in a group"),
    ],
)
def test_a_function_called_for_each_group(rows_in: int, rows_out: int, found: bool) -> None:
    metrics = {"number of output rows": 1, "time to execute Python code": 2}
    sort = node("Sort", metrics={"number of output rows": 3})
    plan = node("FlatMapGroupsInPandas", sort, text="FlatMapGroupsInPandas [k#1], share(id#0)", metrics=metrics)
    run = planned(plan, {1: rows_out, 2: 36_000, 3: rows_in})
    assert (codes("python-udf", run) == ["python-udf"]) is found


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
