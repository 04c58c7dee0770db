"""What the tasks of a stage tell, in both directions: skew, stragglers, slow nodes, too few and too many tasks, memory, waiting."""

import pytest

from spark_copilot.rules_engine.catalog import rule_of
from spark_copilot.rules_engine.errors import MissingFact
from spark_copilot.rules_engine.facts import AppRun, RddInfo
from spark_copilot.rules_engine.findings import Severity
from tests.builders import StageSpec, execution, node, run_of
from tests.rules_engine.rules.seen import EVEN, LIMITS, codes, seen


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
        pytest.param(
            [3_000, 3_000] + [90] * 500 + [400] * 90, [10_000] * 592, False, False, id="a first wave, then short tasks that scatter"
        ),
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
    ("how", "keys"),
    [
        pytest.param("Exchange RoundRobinPartitioning(2), REPARTITION_BY_NUM, [plan_id=1]", ["repartition"], id="the program says two"),
        pytest.param(
            "Exchange hashpartitioning(k#1, 8), ENSURE_REQUIREMENTS, [plan_id=1]",
            ["spark.sql.shuffle.partitions", "repartition"],
            id="Spark goes by the setting",
        ),
    ],
)
def test_a_number_of_partitions_in_the_program_is_changed_there(how: str, keys: list[str]) -> None:
    plan = node("Sort", node("Exchange", node("Range"), text=how, metrics={"shuffle bytes written": 1, "records read": 2}))
    written = StageSpec(ms=[5_000] * 4, sql_row=0, accumulables={1: ("shuffle bytes written", "1")})
    read = StageSpec(
        ms=[20_000] * 2, sql_row=0, parents=(0,), accumulables={2: ("records read", "1")},
        columns={"shuffle_read_local_bytes": 700 << 20, "shuffle_read_records": 1_000_000, "disk_spilled_bytes": 1 << 20},
    )  # fmt: skip
    run = run_of(written, read, sql=[execution(plan, {1: 1, 2: 1})], conf={"spark.sql.shuffle.partitions": "8"})
    (found,) = seen("oversized-partitions", run)
    assert [change.key for change in found.changes] == keys


@pytest.mark.parametrize(("made", "skew"), [(200_000, True), (10_000, False)], ids=["twenty times the rows come out", "as many come out"])
def test_rows_that_multiply_in_one_task_are_skew(made: int, skew: bool) -> None:
    put_out = [10_000] * 7 + [made]
    run = run_of(StageSpec(ms=[1_000] * 7 + [20_000], columns={"shuffle_read_records": 10_000, "shuffle_write_records": put_out}))
    assert (codes("data-skew", run) != [], codes("straggler-tasks", run) != []) == (skew, not skew)


@pytest.mark.parametrize(
    ("disk", "read", "found"),
    [
        pytest.param(400 << 20, 500 << 20, True, id="most of the data"),
        pytest.param(4 << 20, 5 << 20, False, id="a few MiB"),
        pytest.param(100 << 20, 20 << 30, False, id="a small part of much data"),
        pytest.param(30 << 20, 40 << 20, True, id="cheap, but most of a stage that is the run"),
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


@pytest.mark.parametrize(("wait", "found"), [(3_000, True), (100, False)])
def test_shuffle_fetch_wait(wait: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[8_000] * 8, columns={"fetch_wait_ms": wait}), executors=2)
    assert (codes("shuffle-fetch-wait", run) == ["shuffle-fetch-wait"]) is found


@pytest.mark.parametrize(("share", "found"), [(0.4, True), (0.01, False)])
def test_task_overhead(share: float, found: bool) -> None:
    run = run_of(StageSpec(ms=[500] * 80, columns={"run_ms": int(500 * (1 - share))}))
    assert (codes("task-overhead", run) == ["task-overhead"]) is found


def test_a_hot_partition_that_nobody_waited_for_is_a_small_remark() -> None:
    # Two slots: the hot task runs beside all others, which together take as long.
    hot = StageSpec(ms=[9_000, *[700] * 12], columns={"shuffle_read_local_bytes": [90 << 20, *[6 << 20] * 12]})
    rule = rule_of("data-skew")
    assert rule is not None
    (found,) = rule.check(run_of(hot), LIMITS.of(rule.limits))
    assert (found.severity_cap, found.remedy) == (Severity.LOW, None)
    mild = StageSpec(ms=[3_000, *[700] * 12], columns={"shuffle_read_local_bytes": [20 << 20, *[6 << 20] * 12]})
    assert codes("data-skew", run_of(mild)) == []


@pytest.mark.parametrize(("delay", "found"), [(8_000, True), (0, False)])
def test_locality_wait(delay: int, found: bool) -> None:
    owner = [0] * 12 if delay else [0, 1] * 6
    run = run_of(StageSpec(ms=[1_000] * 12, executors=owner), executors=2, cores=1)
    assert (codes("locality-wait", run) == ["locality-wait"]) is found


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
