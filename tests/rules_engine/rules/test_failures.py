"""Failures, lost and idle executors, the driver alone: each named where it is so and not beside it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spark_copilot.rules_engine.facts import FAILED, KILLED, MISSING, SUCCESS, ConnectOperation
from tests.builders import START, StageSpec, execution, node, run_of
from tests.rules_engine.rules.seen import EVEN, codes, seen


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


@pytest.mark.parametrize(
    ("planning_ms", "found"),
    [
        pytest.param((7_000, 200, 300), False, id="only the first query is planned for long: the planner was loaded"),
        pytest.param((7_000, 6_000, 6_500), True, id="every query is"),
        pytest.param((30_000, 200, 300), True, id="longer than any loading"),
    ],
)
def test_the_first_planning_loads_the_planner(planning_ms: tuple[int, ...], found: bool) -> None:
    stages = [StageSpec(ms=[2_000] * 4)] + [StageSpec(ms=[8_000] * 4, gap_ms=gap, sql_row=i) for i, gap in enumerate(planning_ms)]
    run = run_of(*stages)
    queries = tuple(
        replace(execution(node("Project"), {}, sql_id=i), job_ids=(i + 1,), submitted_ms=int(run.jobs.submitted_ms[i + 1]) - gap)
        for i, gap in enumerate(planning_ms)
    )
    assert bool(seen("driver-bound", replace(run, sql=queries))) is found


@pytest.mark.parametrize(("written", "said"), [(200, "fewer-files"), (0, "driver-work")])
def test_the_driver_commits_files(written: int, said: str) -> None:
    """The driver's time alone lies after the last task of a query that wrote files, or it does not."""
    query = execution(node("WriteFiles", metrics={"number of written files": 7}), {7: written}, ms=30_000)
    run = run_of(StageSpec(ms=[5_000] * 4, sql_row=0), sql=[replace(query, job_ids=(0,))], tail_ms=20_000)
    (found,) = seen("driver-bound", run)
    assert [change.key for change in found.changes] == [said]


def test_start_up_is_not_driver_bound() -> None:
    assert codes("driver-bound", run_of(StageSpec(ms=[5_000] * 4), startup_ms=30_000)) == []


@pytest.mark.parametrize(
    ("pause", "startup", "found"),
    [
        pytest.param(700, 4_000, True, id="the program pauses for as long each time"),
        pytest.param(350, 4_000, False, id="a warm driver plans in less"),
        pytest.param(700, 12_000, False, id="everything is slow on this machine"),
    ],
)
def test_pauses_that_go_on_when_the_driver_is_warm(pause: int, startup: int, found: bool) -> None:
    first = StageSpec(ms=[2_700] * 4)
    run = run_of(first, *(StageSpec(ms=[500] * 2, gap_ms=pause) for _ in range(3)), startup_ms=startup)
    assert (codes("driver-bound", run) == ["driver-bound"]) is found


@pytest.mark.parametrize(("work", "found"), [(1_400, False), (100, True)], ids=["between long jobs", "between tiny jobs"])
def test_many_short_pauses_matter_where_the_jobs_are_tiny(work: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[2_000] * 2), *(StageSpec(ms=[work] * 2, gap_ms=150) for _ in range(60)), startup_ms=4_000)
    assert (codes("driver-bound", run) == ["driver-bound"]) is found


@pytest.mark.parametrize(("queries", "found"), [(True, False), (False, True)], ids=["Spark SQL is loaded", "something else"])
def test_the_pause_before_the_first_query_is_sparks(queries: bool, found: bool) -> None:
    rdd, query = StageSpec(ms=[9_000] * 4), StageSpec(ms=[3_000] * 4, gap_ms=3_900, sql_row=0 if queries else MISSING)
    run = run_of(rdd, query, sql=[execution(node("Range"), {})], startup_ms=4_000)
    assert (codes("driver-bound", run) == ["driver-bound"]) is found


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


LATE = 'Could not execute broadcast in 4 secs. You can increase the timeout for broadcasts via "spark.sql.broadcastTimeout".'


@pytest.mark.parametrize(
    ("error", "found"),
    [
        pytest.param(LATE, ["broadcast", "spark.sql.broadcastTimeout"], id="a broadcast that took too long"),
        pytest.param("java.lang.IllegalStateException: table is gone", ["failure"], id="any other error of the driver"),
        pytest.param("[SPARK_JOB_CANCELLED] Job 3 cancelled part of cancelled job group", [], id="somebody stopped it"),
        pytest.param("java.lang.InterruptedException: sleep interrupted", [], id="somebody stopped its thread"),
        pytest.param(
            "[FOREACH_BATCH_USER_FUNCTION_ERROR] x\nCaused by: java.lang.InterruptedException", [], id="a stream is stopped in its batch"
        ),
        pytest.param(None, [], id="no error"),
    ],
)
def test_a_query_fails_outside_its_jobs(error: str | None, found: list[str]) -> None:
    """The jobs of such a query are cancelled by Spark, which is no failure of theirs."""
    query = replace(execution(node("Project"), {}), error=error)
    run = run_of(
        StageSpec(ms=EVEN, sql_row=0), sql=[query], failed_jobs={0: "Job 0 cancelled The corresponding broadcast query has failed."}
    )
    assert [change.key for o in seen("job-failed", run) for change in o.changes] == found


@pytest.mark.parametrize(
    ("pause_ms", "conf", "found"),
    [
        pytest.param(60_000, {}, True, id="all are needed, but for a minute none"),
        pytest.param(8_000, {}, False, id="a short pause"),
        pytest.param(60_000, {"spark.dynamicAllocation.enabled": "true"}, False, id="they could be given back"),
    ],
)
def test_executors_that_wait_for_the_driver(pause_ms: int, conf: dict[str, str], found: bool) -> None:
    run = run_of(StageSpec(ms=[4_000] * 12), StageSpec(ms=[4_000] * 12, gap_ms=pause_ms), executors=3, cores=1, conf=conf)
    assert (codes("idle-executors", run) == ["idle-executors"]) is found


@pytest.mark.parametrize(
    ("operations", "found"),
    [
        pytest.param((), True, id="a program that works by itself"),
        pytest.param(((0, 10), (70, 80)), False, id="a server that nobody asked anything in the meantime"),
        pytest.param(((0, 10), (12, 80)), True, id="a request that the driver works on alone"),
    ],
)
def test_a_connect_server_waits_for_its_clients(operations: tuple[tuple[int, int], ...], found: bool) -> None:
    run = run_of(StageSpec(ms=[8_000] * 2), StageSpec(ms=[8_000] * 2, gap_ms=60_000))
    asked = tuple(
        ConnectOperation(
            f"op-{n}", "s", "ann", "", "finished", START + 1_000 * begin, MISSING, MISSING, START + 1_000 * end, MISSING, None, 0
        )
        for n, (begin, end) in enumerate(operations)
    )
    assert (codes("driver-bound", replace(run, operations=asked)) == ["driver-bound"]) is found
