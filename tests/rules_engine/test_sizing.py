"""Sizes for the next run: what was measured decides, and what the user fixed stays."""

from typing import Any

import pytest

from spark_copilot.rules_engine.facts import FAILED, SUCCESS, AppRun
from spark_copilot.rules_engine.sizing import recommended_sizes
from tests.builders import StageSpec, execution, node, run_of

GIB, MIB = 1 << 30, 1 << 20


def sizes(run: AppRun, **more: Any) -> dict[str, str]:
    return {s.key: s.to for s in recommended_sizes(run, **more)}


def cluster(*stages: StageSpec, cores: int = 2, executors: int = 4, peaks: dict[str, int] | None = None, **conf: str) -> AppRun:
    settings = {"spark.executor.memory": "4g", "spark.executor.cores": str(cores), "spark.executor.instances": str(executors)} | {
        f"spark.{k.replace('__', '.')}": v for k, v in conf.items()
    }
    return run_of(*stages, cores=cores, executors=executors, conf=settings, executor_columns={"peaks": (peaks or {},) * executors})


EVEN = StageSpec(ms=[10_000] * 16)


def test_a_run_that_fits_is_left_alone() -> None:
    assert sizes(cluster(EVEN, peaks={"JVMHeapMemory": 3 * GIB})) == {}


def test_local_mode_has_no_executor_to_size() -> None:
    assert sizes(run_of(EVEN)) == {}


def test_a_heap_never_used_shrinks_to_its_peak_and_a_quarter() -> None:
    made = sizes(cluster(EVEN, peaks={"JVMHeapMemory": 800 * MIB}))
    assert made == {"spark.executor.memory": "1300m"}


@pytest.mark.parametrize(
    ("cores", "error", "expected"),
    [
        (2, "java.lang.OutOfMemoryError: Java heap space", {"spark.executor.memory": "6g"}),
        (8, "java.lang.OutOfMemoryError: Java heap space", {"spark.executor.cores": "4", "spark.executor.instances": "8"}),
        (2, "Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB used", {"spark.executor.memoryOverhead": "1434m"}),
        (2, "ExecutorLostFailure: node preempted", {}),
    ],
)
def test_what_died_of_memory_gets_more(cores: int, error: str, expected: dict[str, str]) -> None:
    failing = StageSpec(ms=[10_000] * 32, status=[FAILED] + [SUCCESS] * 31, errors=[error] + [""] * 31)
    assert sizes(cluster(failing, cores=cores, executors=4)) == expected


def test_spill_of_an_even_stage_asks_for_memory_a_task() -> None:
    spilling = StageSpec(ms=[10_000] * 16, columns={"memory_spilled_bytes": 500 * MIB, "disk_spilled_bytes": 100 * MIB})
    made = sizes(cluster(spilling))
    assert set(made) == {"spark.executor.memory"}
    assert 4096 < int(made["spark.executor.memory"].rstrip("m")) < 8192


def test_idle_executors_are_too_many() -> None:
    run = cluster(StageSpec(ms=[20_000] * 2), executors=6)
    assert sizes(run)["spark.executor.instances"] == "1"


def test_large_shuffle_tasks_ask_for_more_partitions() -> None:
    stage = StageSpec(ms=[10_000] * 16, columns={"shuffle_read_local_bytes": 1 * GIB, "shuffle_read_records": 1_000_000}, sql_row=0)
    run = run_of(stage, cores=2, executors=4, conf={"spark.sql.shuffle.partitions": "16"}, sql=[execution(node("Sort"), {})])
    assert sizes(run) == {"spark.sql.shuffle.partitions": "128"}


def test_what_the_user_fixed_stays() -> None:
    run = cluster(EVEN, peaks={"JVMHeapMemory": 800 * MIB})
    assert sizes(run, preserve=frozenset({"spark.executor.memory"})) == {}
    assert sizes(run, enforce={"spark.executor.memory": "3g"}) == {"spark.executor.memory": "3g"}
