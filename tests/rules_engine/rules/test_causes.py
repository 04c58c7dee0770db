"""One cause, several traces: what follows from a full heap says so, and a slow machine is known by what it does each time."""

from dataclasses import replace

import numpy as np
import pytest

from spark_copilot.agents.fold import fold
from spark_copilot.rules_engine.facts import FAILED, KILLED, SUCCESS, AppRun, RddInfo
from spark_copilot.rules_engine.findings import Change, Observation, SkipStages, Where
from spark_copilot.rules_engine.limits import Limits
from spark_copilot.rules_engine.rules.deaths import memory_cause
from spark_copilot.rules_engine.rules.executor_rules import COMMITS
from tests.builders import START, StageSpec, run_of
from tests.rules_engine.rules.seen import seen

LIMITS = Limits()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Command exited with code 52", "heap"),
        ("The executor with id 5 exited with exit code 52 (unexpected).", "heap"),
        ("Container from a bad node. Exit status: 52. Diagnostics: none", "heap"),
        ("java.lang.OutOfMemoryError: Java heap space", "heap"),
        ("The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).", "container"),
        ("Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB physical memory used.", "container"),
        ("Command exited with code 137", None),
        ("Command exited with code 1", None),
        ("Command exited with code 5200", None),
        ("exit code 137: node was preempted", None),
        ("", None),
    ],
)
def test_the_reason_of_a_death(text: str, cause: str | None) -> None:
    assert memory_cause(text) == cause


def _run(reason: str) -> AppRun:
    """Executor 1 goes in the middle of the second stage, and the first runs again."""
    lost = f"ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: {reason}"
    work = StageSpec(ms=[3_000] * 8)
    broken = StageSpec(ms=[2_000] * 4, status=[FAILED] + [SUCCESS] * 3, errors=[lost, "", "", ""], executors=[1, 0, 0, 0], n_tasks=4)
    gone = {"removed_ms": np.array([-1, START + 9_000]), "removed_reason": (None, reason)}
    missing = "org.apache.spark.shuffle.MetadataFetchFailedException: Missing an output location for shuffle 0"
    return run_of(
        work,
        broken,
        StageSpec(ms=[3_000] * 8, attempt=1),
        executors=2,
        cores=1,
        executor_columns=gone,
        failed_jobs={2: missing},
        tail_ms=5_000,
    )


@pytest.mark.parametrize(
    ("reason", "memory"),
    [pytest.param("Command exited with code 52", True, id="heap"), pytest.param("worker lost", False, id="lost for another reason")],
)
def test_what_runs_again_after_a_death(reason: str, memory: bool) -> None:
    run = _run(reason)
    (again,) = seen("stage-retries", run)
    (failed,) = seen("job-failed", run)
    assert bool(seen("executor-lost", run)) is not memory
    assert ("spark.decommission.enabled" in {c.key for c in again.changes}) is not memory
    assert ("out-of-memory" in failed.changes[0].text) is memory
    found = seen("out-of-memory", run)
    assert len(found) == memory
    if memory:
        assert isinstance(found[0].remedy, SkipStages)
        assert found[0].remedy.stages == ("2.1",)


@pytest.mark.parametrize(
    ("slow", "before", "found"),
    [
        pytest.param((0, 1, 2, 3), 0, False, id="task by task faster at the begin of the run: compiled code"),
        pytest.param((0, 1, 2, 3), 9, True, id="the same later in the run"),
        pytest.param((0, 1, 4, 5), 0, True, id="slow ones among usual ones"),
    ],
)
def test_tasks_that_get_faster_at_the_begin(slow: tuple[int, ...], before: int, found: bool) -> None:
    times = dict(zip(slow, (6_000, 6_000, 4_500, 4_500), strict=True))
    stage = StageSpec(ms=[times.get(i, 900) for i in range(20)], columns={"input_records": 1_000})
    assert bool(seen("straggler-tasks", run_of(*[StageSpec(ms=[500] * 2)] * before, stage))) is found


@pytest.mark.parametrize(("cause", "kept"), [(COMMITS, ["small-files-written"]), (None, ["driver-bound", "small-files-written"])])
def test_committing_many_files_is_not_told_twice(cause: str | None, kept: list[str]) -> None:
    many = Observation(code="small-files-written", where=Where(stage_id=1, stage_attempt=0), evidence=())
    alone = Observation(code="driver-bound", where=Where(), evidence=(), cause=cause)
    assert [o.code for o in fold([alone, many])] == kept


def test_a_full_heap_is_not_told_twice() -> None:
    def told(error: str) -> list[str]:
        failed = StageSpec(ms=[10_000] * 8, columns={"gc_ms": 4_000}, status=[FAILED] + [SUCCESS] * 7, errors=[error] + [""] * 7)
        run = run_of(failed)
        return [o.code for o in fold([*seen("gc-pressure", run), *seen("out-of-memory", run)])]

    assert told("java.lang.OutOfMemoryError: Java heap space") == ["out-of-memory"]
    assert told("Container killed by YARN for exceeding memory limits") == ["gc-pressure", "out-of-memory"]


@pytest.mark.parametrize(
    ("slow_index", "slow_ms", "found"),
    [
        pytest.param((0, 3), 9_000, True, id="another partition each time: the machine"),
        pytest.param((0, 0), 9_000, False, id="the same partition each time: its content"),
        pytest.param((0, 3), 2_000, False, id="only twice as slow"),
    ],
)
def test_a_machine_that_came_to_one_task_a_stage(slow_index: tuple[int, int], slow_ms: int, found: bool) -> None:
    stages = []
    for slow in slow_index:
        ms = [slow_ms if i == slow else 900 for i in range(12)]
        stages.append(StageSpec(ms=ms, executors=[2 if i == slow else i % 2 for i in range(12)], columns={"input_records": 1_000}))
    assert bool(seen("slow-node", run_of(*stages, executors=3, cores=1))) is found


def test_an_attempt_that_goes_on_repeats_nothing() -> None:
    """The first attempt ended two of its partitions; the second does the others, and the stage before it is made again."""
    run = run_of(
        StageSpec(ms=[3_000] * 4), StageSpec(ms=[2_000] * 4, status=[SUCCESS] * 2 + [FAILED] * 2, errors=["", "", "FetchFailed(x)", "FetchFailed(x)"]),
        StageSpec(ms=[3_000] * 4, attempt=1), StageSpec(ms=[2_000] * 2, attempt=1),
    )  # fmt: skip
    stages = replace(run.stages, stage_id=np.array([0, 1, 0, 1]))
    tasks = replace(run.tasks, partition_id=np.where(run.tasks.stage_row == 3, run.tasks.index + 2, run.tasks.index))
    (found,) = seen("stage-retries", replace(run, stages=stages, tasks=tasks))
    assert isinstance(found.remedy, SkipStages)
    assert found.remedy.stages == ("0.1",)
    assert [change.key for change in found.changes] == ["shuffle-files"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.63 MiB", "python"),
        ("  File x\nMemoryError", "python"),
        ("java.lang.OutOfMemoryError: Java heap space", "heap"),
        ("MyMemoryErrorLog: fine", None),
    ],
)
def test_whose_memory_it_was(text: str, cause: str | None) -> None:
    assert memory_cause(text) == cause


@pytest.mark.parametrize(
    ("memory", "name", "found"), [("16m", "PythonRDD", True), ("512m", "PythonRDD", False), ("16m", "MapPartitionsRDD", False)]
)
def test_python_that_merges_on_disk(memory: str, name: str, found: bool) -> None:
    run = run_of(StageSpec(ms=[9_000] * 4, columns={"memory_spilled_bytes": 12 << 20}), conf={"spark.python.worker.memory": memory})
    rdd = RddInfo(1, name, None, "", (), "", 4, 0, 0, 0)
    run = replace(run, stages=replace(run.stages, rdds=((rdd,),)))
    assert bool(seen("spill", run)) is found


@pytest.mark.parametrize(
    ("size", "key", "to"),
    [
        pytest.param("4m", "spark.driver.extraJavaOptions", "-Dx=1 -XX:+UseSerialGC", id="far too small for any heap"),
        pytest.param("400m", "spark.driver.memory", "2g", id="as large as usual: the heap is small"),
    ],
)
def test_a_young_generation_held_small_is_named(size: str, key: str, to: str) -> None:
    conf = {"spark.driver.extraJavaOptions": f"-Xmn{size} -Dx=1 -XX:+UseSerialGC", "spark.driver.memory": "1g"}
    (found,) = seen("gc-pressure", run_of(StageSpec(ms=[10_000] * 8, columns={"gc_ms": 4_000, "run_ms": 10_000}), conf=conf))
    assert (found.changes[0].key, found.changes[0].to) == (key, to)


@pytest.mark.parametrize(
    ("copy_ms", "index", "node", "waste"),
    [
        pytest.param(900, (3, 4), True, False, id="its copies end long before: the machine is slow, and the copies are no waste"),
        pytest.param(5_500, (3, 4), False, True, id="its copies take nearly as long: the data, and copies for nothing"),
        pytest.param(900, (3,), False, False, id="once: it may be anything"),
    ],
)
def test_copies_elsewhere_tell_a_slow_machine(copy_ms: int, index: tuple[int, ...], node: bool, waste: bool) -> None:
    twice = len(index)
    stage = StageSpec(
        ms=[900] * 10 + [6_000] * twice + [copy_ms] * twice,
        index=[*[i for i in range(12) if i not in index][:10], *index, *index],
        executors=[i % 2 for i in range(10)] + [2] * twice + [0] * twice,
        speculative=[False] * (10 + twice) + [True] * twice,
        status=[SUCCESS] * 10 + [KILLED] * twice + [SUCCESS] * twice,
        columns={"input_records": 1_000},
    )
    run = run_of(stage, executors=3, cores=1)
    assert bool(seen("slow-node", run)) is node
    assert bool(seen("speculation-waste", run)) is waste


@pytest.mark.parametrize(
    ("first_ms", "found"),
    [pytest.param(2_800, False, id="classes and Python start in it"), pytest.param(6_000, True, id="longer than any warm-up")],
)
def test_the_first_task_of_a_run_warms_up(first_ms: int, found: bool) -> None:
    run = run_of(StageSpec(ms=[first_ms]), StageSpec(ms=[1_000] * 8), cores=3)
    assert bool(seen("too-few-partitions", run)) is found


@pytest.mark.parametrize(("key", "left"), [("spark.memory.fraction", ["spill"]), ("spark.task.maxFailures", ["SG515", "spill"])])
def test_a_setting_that_a_finding_changes_is_not_told_again(key: str, left: list[str]) -> None:
    change = Change(kind="conf", key="spark.memory.fraction", to="0.6", text="more room", stop_condition="never")
    costs = Observation(code="spill", where=Where(stage_id=1), evidence=(), changes=(change,))
    setting = Observation(code="SG515", where=Where(setting=key), evidence=())
    assert [seen.code for seen in fold([setting, costs])] == left
