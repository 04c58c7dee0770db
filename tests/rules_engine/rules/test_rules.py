"""Every rule in both directions: a small run it must name, and its neighbours that it must not."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from spark_copilot.rules_engine.catalog import RULES, rule_of
from spark_copilot.rules_engine.errors import MissingFact
from spark_copilot.rules_engine.facts import FAILED, KILLED, MISSING, SUCCESS, AppRun, RddInfo, StreamProgress
from spark_copilot.rules_engine.findings import CODES, FAMILIES, Severity
from spark_copilot.rules_engine.limits import Limits
from spark_copilot.rules_engine.rule import PAGE_HEADINGS
from tests.builders import START, StageSpec, execution, node, run_of

LIMITS = Limits()


def codes(code: str, run: AppRun) -> list[str]:
    """What one rule says of a run."""
    rule = rule_of(code)
    assert rule is not None
    return [seen.code for seen in rule.check(run, LIMITS.of(rule.limits))]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
def test_the_catalogue_keeps_its_form(rule: Any) -> None:
    assert rule.code in CODES
    assert rule.code in FAMILIES[rule.family]
    assert all(heading in rule.page for heading in PAGE_HEADINGS)
    assert [r.code for r in RULES].count(rule.code) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
@pytest.mark.parametrize(
    "run", [run_of(), run_of(StageSpec(ms=[0])), run_of(StageSpec(ms=[5, 5]), executors=2)], ids=["no task", "a task of no time", "tiny"]
)
def test_no_rule_speaks_or_breaks_on_nothing(rule: Any, run: AppRun) -> None:
    with contextlib.suppress(MissingFact):
        assert list(rule.check(run, LIMITS.of(rule.limits))) == []


EVEN = [2_000] * 8


@pytest.mark.parametrize(
    ("ms", "rows", "skew", "straggler"),
    [
        pytest.param([1_000] * 7 + [20_000], [10_000] * 7 + [200_000], True, False, id="the slow task has twenty times the rows"),
        pytest.param([1_000] * 7 + [20_000], [10_000] * 8, False, True, id="the slow task has no more rows"),
        pytest.param([1_000] * 7 + [20_000], [10] * 7 + [200], False, True, id="more rows, but a handful"),
        pytest.param([1_000] * 7 + [1_900], [10_000] * 7 + [19_000], False, False, id="just under twice"),
        pytest.param([20_000] + [1_000] * 60, [10_000] * 61, False, False, id="slow first task that leaves no tail"),
        pytest.param([10] * 7 + [900], [10_000] * 8, False, False, id="large ratio, too short to matter"),
        pytest.param([1_000, 20_000], [10_000, 200_000], True, False, id="two tasks, one with twenty times the rows"),
        pytest.param([1_000, 20_000], [10_000, 10_000], False, False, id="two tasks with as many rows are no distribution"),
        pytest.param([600] * 5 + [8_000] + [600] * 20, [10_000] * 26, False, True, id="slow in the middle: its slot is kept from others"),
        pytest.param([6_000, 6_000] + [600] * 20, [10_000] * 22, False, False, id="a slow first wave is warm-up"),
        pytest.param(EVEN, [10_000] * 8, False, False, id="even"),
    ],
)
def test_skew_and_stragglers_are_told_apart(ms: list[int], rows: list[int], skew: bool, straggler: bool) -> None:
    run = run_of(StageSpec(ms=ms, columns={"shuffle_read_records": rows, "shuffle_read_local_bytes": [r * 100 for r in rows]}))
    assert (codes("data-skew", run) != [], codes("straggler-tasks", run) != []) == (skew, straggler)


def test_a_long_collection_is_no_straggler() -> None:
    run = run_of(StageSpec(ms=[1_000] * 7 + [12_000], columns={"gc_ms": [0] * 7 + [9_000]}))
    assert codes("straggler-tasks", run) == []


@pytest.mark.parametrize(
    ("slow", "rows", "found"),
    [
        pytest.param(4_000, 1_000, True, id="four times slower on the same rows"),
        pytest.param(1_200, 1_000, False, id="a fifth slower"),
        pytest.param(4_000, 4_000, False, id="slower because it has more rows"),
    ],
)
def test_slow_node(slow: int, rows: int, found: bool) -> None:
    owner = [0, 1, 2] * 8
    spec = StageSpec(
        ms=[slow if e == 1 else 1_000 for e in owner],
        executors=owner,
        columns={"input_records": [rows if e == 1 else 1_000 for e in owner]},
    )
    assert (codes("slow-node", run_of(spec, spec, executors=3, cores=1)) == ["slow-node"]) is found


@pytest.mark.parametrize(
    ("tasks", "cores", "rows", "found"),
    [
        pytest.param(1, 2, 50_000, True, id="one task, two cores"),
        pytest.param(3, 8, 50_000, True, id="three tasks, eight cores"),
        pytest.param(2, 2, 50_000, False, id="a task a core"),
        pytest.param(1, 2, 40, False, id="forty rows gain nothing"),
    ],
)
def test_too_few_partitions(tasks: int, cores: int, rows: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[10_000] * tasks, columns={"input_records": rows // tasks, "input_bytes": 1 << 20}), cores=cores)
    assert (codes("too-few-partitions", run) == ["too-few-partitions"]) is found


@pytest.mark.parametrize(
    ("tasks", "ms", "found"),
    [
        pytest.param(4_000, 8, True, id="thousands of crumbs"),
        pytest.param(100, 8, False, id="a hundred"),
        pytest.param(400, 900, False, id="many, each with work"),
    ],
)
def test_too_many_small_tasks(tasks: int, ms: int, found: bool) -> None:
    assert (codes("too-many-small-tasks", run_of(StageSpec(ms=[ms] * tasks))) == ["too-many-small-tasks"]) is found


@pytest.mark.parametrize(
    ("mib", "spilled", "found"),
    [
        pytest.param(900, 0, True, id="900 MiB a task"),
        pytest.param(300, 1 << 20, True, id="300 MiB that spill"),
        pytest.param(300, 0, False, id="300 MiB"),
        pytest.param(128, 0, False, id="128 MiB"),
    ],
)
def test_oversized_partitions(mib: int, spilled: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[20_000] * 4, columns={"input_bytes": mib << 20, "input_records": 1_000_000, "disk_spilled_bytes": spilled}))
    assert (codes("oversized-partitions", run) == ["oversized-partitions"]) is found


@pytest.mark.parametrize(
    ("disk", "read", "found"),
    [
        pytest.param(400 << 20, 500 << 20, True, id="most of the data"),
        pytest.param(4 << 20, 5 << 20, False, id="a few MiB"),
        pytest.param(100 << 20, 20 << 30, False, id="a small part of much data"),
    ],
)
def test_spill(disk: int, read: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[6_000] * 4, columns={"disk_spilled_bytes": disk, "shuffle_read_local_bytes": read}))
    assert (codes("spill", run) == ["spill"]) is found


@pytest.mark.parametrize(
    ("gc", "found"), [pytest.param(2_500, True, id="a quarter of run time"), pytest.param(300, False, id="three in a hundred")]
)
def test_gc_pressure(gc: int, found: bool) -> None:
    assert (codes("gc-pressure", run_of(StageSpec(ms=[10_000] * 8, columns={"gc_ms": gc}))) == ["gc-pressure"]) is found


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        pytest.param("java.lang.OutOfMemoryError: Java heap space\n\tat x", "out-of-memory", id="heap"),
        pytest.param(
            "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Container killed by YARN for exceeding memory limits",
            "out-of-memory",
            id="container",
        ),
        pytest.param("ValueError: bad record", "task-failures", id="the task's own error"),
        pytest.param("FetchFailed(BlockManagerId(1, host), shuffleId=0)", None, id="lost shuffle files"),
        pytest.param(
            "ExecutorLostFailure (executor 2 exited unrelated to the running tasks) Reason: node was preempted", None, id="preempted"
        ),
    ],
)
def test_failures_are_told_apart(reason: str, code: str | None) -> None:
    run = run_of(StageSpec(ms=[2_000] * 8, status=[FAILED] + [SUCCESS] * 7, errors=[reason] + [""] * 7))
    assert codes("out-of-memory", run) == (["out-of-memory"] if code == "out-of-memory" else [])
    assert codes("task-failures", run) == (["task-failures"] if code == "task-failures" else [])


def test_killed_attempts_are_not_failures() -> None:
    run = run_of(StageSpec(ms=[2_000] * 8, status=[KILLED] + [SUCCESS] * 7, errors=["another attempt succeeded"] + [""] * 7))
    assert codes("task-failures", run) == []


@pytest.mark.parametrize(
    ("gap", "tail", "found"),
    [(6_000, 0, True), (0, 6_000, True), (500, 500, False)],
    ids=["between jobs", "after the last", "short pauses"],
)
def test_driver_bound(gap: int, tail: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[5_000] * 4), StageSpec(ms=[5_000] * 4, gap_ms=gap), tail_ms=tail)
    assert (codes("driver-bound", run) == ["driver-bound"]) is found


def test_start_up_is_not_driver_bound() -> None:
    assert codes("driver-bound", run_of(StageSpec(ms=[5_000] * 4), startup_ms=30_000)) == []


@pytest.mark.parametrize(
    ("executors", "found"), [(4, True), (None, False)], ids=["four executors, one at work", "local mode gives nothing back"]
)
def test_idle_executors(executors: int | None, found: bool) -> None:
    run = run_of(StageSpec(ms=[30_000], columns={"input_records": 10_000}), executors=executors)
    assert (codes("idle-executors", run) == ["idle-executors"]) is found


def test_allocation_churn_and_loss_are_told_apart() -> None:
    n = 9
    life = {
        "executor_id": tuple(str(i) for i in range(n)), "host": ("h",) * n, "cores": np.ones(n, dtype=np.int64),
        "added_ms": np.array([START + 4_000 * (i // 3) for i in range(n)]), "removed_ms": np.array([START + 4_000 * (i // 3) + 3_000 for i in range(n)]),
    }  # fmt: skip
    others: dict[str, Any] = {name: ({},) * n for name in ("log_urls", "attributes", "resources", "peaks")} | {"host_port": ("",) * n}
    others |= {
        name: np.zeros(n, dtype=np.int64) for name in ("max_memory_bytes", "max_on_heap_bytes", "max_off_heap_bytes", "resource_profile")
    }
    others |= {"excluded": np.zeros(n, dtype=np.bool_)}
    work = StageSpec(ms=[10_000] * 6)
    for reason, churn, lost in (
        ("Executor killed by driver.", ["allocation-churn"], []),
        ("Executor heartbeat timed out after 130000 ms", [], ["executor-lost"]),
    ):
        run = run_of(work, executors=3, cores=1, executor_columns={**life, **others, "removed_reason": (reason,) * n})
        assert codes("allocation-churn", run) == churn
        assert codes("executor-lost", run) == lost


def test_speculation_waste() -> None:
    ms = [4_000] * 6 + [3_900, 3_900]
    copies = StageSpec(ms=ms, index=[0, 1, 2, 3, 4, 5, 4, 5], speculative=[False] * 6 + [True] * 2, status=[SUCCESS] * 6 + [KILLED] * 2)
    assert codes("speculation-waste", run_of(copies, executors=2)) == ["speculation-waste"]
    assert codes("speculation-waste", run_of(StageSpec(ms=ms), executors=2)) == []


def test_stage_retries_and_failed_jobs() -> None:
    run = run_of(
        StageSpec(ms=EVEN),
        StageSpec(ms=EVEN, attempt=1),
        failed_jobs={1: "Job aborted due to stage failure: Task 9 in stage 1.0 failed 4 times"},
    )
    assert codes("stage-retries", run) == ["stage-retries"]
    assert codes("job-failed", run) == ["job-failed"]
    assert codes("job-failed", run_of(StageSpec(ms=EVEN), failed_jobs={0: "Job 0 cancelled because SparkContext was shut down"})) == []
    assert codes("stage-retries", run_of(StageSpec(ms=EVEN))) == []


@pytest.mark.parametrize(("wait", "found"), [(3_000, True), (100, False)])
def test_shuffle_fetch_wait(wait: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[8_000] * 8, columns={"fetch_wait_ms": wait}), executors=2)
    assert (codes("shuffle-fetch-wait", run) == ["shuffle-fetch-wait"]) is found


@pytest.mark.parametrize(("share", "found"), [(0.4, True), (0.01, False)])
def test_task_overhead(share: float, found: bool) -> None:
    run = run_of(StageSpec(ms=[500] * 80, columns={"run_ms": int(500 * (1 - share))}))
    assert (codes("task-overhead", run) == ["task-overhead"]) is found


def planned(plan: Any, values: Mapping[int, int], *, ms: list[int] | None = None, **columns: int) -> AppRun:
    """A run whose one heavy stage belongs to one SQL execution and updated all its accumulators."""
    spec = StageSpec(ms=ms or [5_000] * 8, columns=columns, sql_row=0, accumulables=dict.fromkeys(values, ("m", "1")))
    return run_of(spec, sql=[execution(plan, values)])


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


def test_a_hot_partition_that_nobody_waited_for_is_a_small_remark() -> None:
    # Two slots: the hot task runs beside all others, which together take as long.
    hot = StageSpec(ms=[9_000, *[700] * 12], columns={"shuffle_read_local_bytes": [90 << 20, *[6 << 20] * 12]})
    rule = rule_of("data-skew")
    assert rule is not None
    (found,) = rule.check(run_of(hot), LIMITS.of(rule.limits))
    assert (found.severity_cap, found.remedy) == (Severity.LOW, None)
    mild = StageSpec(ms=[3_000, *[700] * 12], columns={"shuffle_read_local_bytes": [20 << 20, *[6 << 20] * 12]})
    assert codes("data-skew", run_of(mild)) == []


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


def test_reading_other_partitions_of_a_table_is_other_work() -> None:
    def day(n: int) -> Any:
        metadata = {"Location": "InMemoryFileIndex(1 paths)[file:/t]", "PartitionFilters": f"[(day#2 = {n})]"}
        return action(node("Filter", node("Scan parquet ", metadata=metadata), text=COSTLY), n)

    run = run_of(*(StageSpec(ms=[4_000] * 4, sql_row=i) for i in range(3)), sql=[day(i) for i in range(3)])
    assert codes("recomputed-data", run) == []


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


def with_cache(users: int) -> AppRun:
    """`users` jobs whose stages read the same cached RDD."""
    run = run_of(*(StageSpec(ms=EVEN) for _ in range(users)))
    info = RddInfo(4, "Project", None, "cache at job.py:3", (), "Disk Memory Deserialized 1x Replicated", 8, 0, 0, 0)
    object.__setattr__(run.stages, "rdds", ((info,),) * users)
    return run


@pytest.mark.parametrize(("users", "found"), [(1, True), (3, False)])
def test_cache_unused(users: int, found: bool) -> None:
    assert (codes("cache-evicted-or-unused", with_cache(users)) == ["cache-evicted-or-unused"]) is found


@pytest.mark.parametrize(("peak_gib", "found"), [(1, True), (7, False)])
def test_memory_overallocated(peak_gib: int, found: bool) -> None:
    run = run_of(
        StageSpec(ms=EVEN),
        executors=2,
        conf={"spark.executor.memory": "8g"},
        executor_columns={"peaks": ({"JVMHeapMemory": peak_gib << 30},) * 2},
    )
    assert (codes("memory-overallocated", run) == ["memory-overallocated"]) is found


def test_memory_overallocated_abstains_without_peaks() -> None:
    with pytest.raises(MissingFact):
        codes("memory-overallocated", run_of(StageSpec(ms=EVEN), executors=2, conf={"spark.executor.memory": "8g"}))


@pytest.mark.parametrize(("delay", "found"), [(8_000, True), (0, False)])
def test_locality_wait(delay: int, found: bool) -> None:
    owner = [0] * 12 if delay else [0, 1] * 6
    run = run_of(StageSpec(ms=[1_000] * 12, executors=owner), executors=2, cores=1)
    assert (codes("locality-wait", run) == ["locality-wait"]) is found


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


def test_streaming_rules() -> None:
    assert codes("batch-slower-than-trigger", stream([2_500] * 8, [0] * 8, rate=250.0)) == ["batch-slower-than-trigger"]
    assert codes("batch-slower-than-trigger", stream([200] * 8, [0] * 8)) == []
    growing = [10_000 * (i + 1) for i in range(9)]
    assert codes("state-growth", stream([200] * 9, growing)) == ["state-growth"]
    assert codes("state-growth", stream([200] * 9, [50_000] * 9)) == []


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


def test_missing_times_never_reach_a_rule_as_minus_one() -> None:
    run = run_of(StageSpec(ms=EVEN), StageSpec(ms=[1_000] * 7 + [30_000]))
    object.__setattr__(run.jobs, "completed_ms", np.full(2, MISSING, dtype=np.int64))
    for rule in RULES:
        for seen in rule.check(run, LIMITS.of(rule.limits)):
            assert all(e.value >= 0 for e in seen.evidence), seen


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
