"""Features of odd runs: always finite, never negative; and which runs may teach anything."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spark_copilot.ml.feature_builder import FEATURES, features_of, history_row, plan_fingerprint, usable
from spark_copilot.rules_engine.facts import FAILED, MISSING, AppRun, Quality, TaskTable
from tests.builders import START, StageSpec, execution, node, run_of

GIB = 1 << 30


def plain(**columns: Any) -> AppRun:
    return run_of(StageSpec(ms=[1_000] * 6, columns={"input_bytes": 100, "input_records": 5, **columns}), executors=2, cores=2)


def changed_tasks(run: AppRun, **columns: Any) -> AppRun:
    return replace(run, tasks=replace(run.tasks, **columns))


def lost_events() -> AppRun:
    return replace(plain(), quality=Quality(missing_task_ends=3))


def overlapping_jobs() -> AppRun:
    run = run_of(StageSpec(ms=[1_000] * 4), StageSpec(ms=[1_000] * 4))
    ends = np.full(2, run.ended_ms, dtype=np.int64)
    return replace(run, jobs=replace(run.jobs, submitted_ms=np.full(2, START + 1_000, dtype=np.int64), completed_ms=ends))


def idle_executors() -> AppRun:
    return run_of(StageSpec(ms=[1_000] * 4, executors=[0] * 4), executors=5)


def clock_set_back() -> AppRun:
    run = plain()
    return changed_tasks(run, finish_ms=run.tasks.finish_ms - 3_600_000)


def clock_set_forward() -> AppRun:
    run = plain()
    return changed_tasks(run, finish_ms=run.tasks.finish_ms + 86_400_000)


def without_metrics() -> AppRun:
    return changed_tasks(
        plain(), **dict.fromkeys(("input_bytes", "input_records", "shuffle_write_bytes", "disk_spilled_bytes", "output_bytes"))
    )


def overflowing() -> AppRun:
    return plain(input_bytes=2**62, input_records=-7)


ODD: dict[str, tuple[Callable[[], AppRun], bool]] = {
    "plain": (plain, True),
    "no tasks": (lambda: run_of(), True),
    "one task": (lambda: run_of(StageSpec(ms=[500])), True),
    "only failed tasks": (lambda: run_of(StageSpec(ms=[500] * 3, status=[FAILED] * 3)), True),
    "zero-length stage": (lambda: run_of(StageSpec(ms=[0, 0]), StageSpec(ms=[10])), True),
    "stage without tasks": (lambda: run_of(StageSpec(ms=[]), StageSpec(ms=[10])), True),
    "lost events": (lost_events, False),
    "overlapping jobs": (overlapping_jobs, True),
    "executors that never ran a task": (idle_executors, True),
    "clock set back": (clock_set_back, False),
    "clock set forward": (clock_set_forward, False),
    "no metrics": (without_metrics, True),
    "overflowing columns": (overflowing, True),
    "failed last job": (lambda: run_of(StageSpec(ms=[10]), failed_jobs={0: "boom"}), False),
    "no end": (lambda: replace(plain(), app=replace(plain().app, ended_ms=MISSING)), False),
    "ended before it began": (lambda: replace(plain(), app=replace(plain().app, ended_ms=START - 1, last_event_ms=START - 1)), False),
    "bad exit": (lambda: replace(plain(), app=replace(plain().app, exit_code=1)), False),
    "compacted": (lambda: replace(plain(), quality=Quality(compacted=True)), False),
    "no tables at all": (lambda: replace(plain(), tasks=TaskTable()), True),
}


@pytest.mark.parametrize("name", ODD)
def test_every_feature_is_finite_and_never_negative(name: str) -> None:
    make, teaches = ODD[name]
    run = make()
    features = features_of(run)
    assert tuple(features) == FEATURES
    assert {n: v for n, v in features.items() if not math.isfinite(v) or v < 0} == {}
    assert features["slots"] >= 1
    assert usable(run) is teaches
    row = history_row(run, "job")
    assert row.wall_ms >= 0
    assert row.complete is teaches


def test_the_figures() -> None:
    conf = {"spark.executor.memory": "4g", "spark.executor.memoryOverhead": "1g"}
    stage = StageSpec(
        ms=[1_000] * 6 + [400], status=[0] * 6 + [FAILED], columns={"input_bytes": 100, "input_records": 5, "shuffle_write_bytes": 7}
    )
    features = features_of(run_of(stage, executors=2, cores=4, conf=conf))
    assert features["input_bytes"] == 600
    assert features["input_rows"] == 30
    assert features["shuffle_bytes"] == 42
    assert (features["tasks"], features["failed_tasks"], features["stages"], features["jobs"]) == (6, 1, 1, 1)
    assert (features["executors"], features["cores"], features["slots"]) == (2, 8, 8)
    assert features["memory_bytes"] == 10 * GIB
    assert features["slot_ms"] == 6_400
    assert features["tasks_per_slot"] == 0.75
    assert features["input_bytes_per_memory_byte"] == pytest.approx(600 / (10 * GIB))


def test_the_plan_is_the_same_for_other_data_and_another_for_other_work() -> None:
    def of(*plans: Any) -> str:
        return plan_fingerprint(run_of(StageSpec(ms=[1]), sql=[execution(p, {}, sql_id=i) for i, p in enumerate(plans)]))

    scan = node("Scan parquet sales", text="FileScan parquet [day#12] PushedFilters: [day = 1]")
    other_day = node("Scan parquet sales", text="FileScan parquet [day#99] PushedFilters: [day = 2]")
    base = of(node("HashAggregate", scan))
    assert of(node("HashAggregate", other_day)) == base
    assert of(node("AdaptiveSparkPlan", node("WholeStageCodegen (3)", node("HashAggregate", scan)))) == base
    assert of(node("HashAggregate", scan), node("HashAggregate", other_day)) == base, "a loop that runs once more"
    assert of(node("SortAggregate", scan)) != base
    assert of(node("HashAggregate", node("Filter", scan))) != base


def test_without_sql_call_sites_are_the_plan() -> None:
    assert plan_fingerprint(run_of(StageSpec(ms=[1], name="count at job.py:10"))) == plan_fingerprint(
        run_of(StageSpec(ms=[1, 2], name="count at job.py:12"), StageSpec(ms=[1], name="count at job.py:12"))
    )
    assert plan_fingerprint(run_of(StageSpec(ms=[1], name="collect at job.py:10"))) != plan_fingerprint(run_of(StageSpec(ms=[1])))


def test_a_very_deep_plan_is_no_trouble() -> None:
    deep = node("Project")
    for _ in range(20_000):
        deep = node("Project", deep)
    assert len(plan_fingerprint(run_of(StageSpec(ms=[1]), sql=[execution(deep, {})]))) == 16
