"""Logs that Spark 1.6, 2.4 and 3.0 wrote, held against the counts that their program must give."""

from pathlib import Path

import pytest

from spark_copilot.connectors.eventlog import read_run
from spark_copilot.rules_engine.facts import FAILED, SUCCESS, AppRun

OLDER = Path(__file__).resolve().parents[2] / "data" / "older"


def run_of(version: str) -> AppRun:
    return read_run(OLDER / f"spark-{version}.zstd")


@pytest.mark.parametrize("version", ["1.6.3", "2.4.8", "3.0.3"])
def test_what_every_version_tells(version: str) -> None:
    run = run_of(version)
    assert (run.app.spark_version, run.app.name, run.app.user) == (version, f"old-{version}", "ann")
    assert run.complete
    assert run.quality.issues == ()
    assert run.quality.unknown_events == {}
    assert (run.local_cores, run.slots_max) == (2, 2)
    assert int((run.tasks.status == FAILED).sum()) == 5
    failures = {run.errors[row].splitlines()[0] for row in run.tasks.error_row[run.tasks.status == FAILED]}
    assert failures == {"java.lang.RuntimeException: fails once", "java.lang.IllegalStateException: never works"}
    assert [run.jobs.failed[row] for row in range(4)] == [False, False, False, True]
    assert run.jobs.group[3] == "group"
    assert run.jobs.description[3] == "a job that fails"
    assert int(run.tasks.duration_ms.min()) >= 0
    assert run.tasks.run_ms is not None
    assert int(run.tasks.run_ms.sum()) <= run.wall_ms * run.slots_max
    kept = [rdd for rdds in run.stages.rdds for rdd in rdds if rdd.name in ("sums", "kept")]
    assert {rdd.storage_level for rdd in kept} == {"Memory Deserialized 1x Replicated"}


@pytest.mark.parametrize(("version", "cpu", "peak"), [("1.6.3", False, False), ("3.0.3", True, True)])
def test_jobs_shuffles_and_the_query(version: str, cpu: bool, peak: bool) -> None:
    run = run_of(version)
    assert (len(run.tasks), int((run.tasks.status == SUCCESS).sum())) == (9 + 10 + 4 + 5 + 8, 31)
    assert run.stages.n_tasks.tolist() == [8, 6, 4, 6, 4, 2, 4, 4]
    assert run.stages.skipped.tolist() == [False, False, False, True, False, False, False, False]
    assert run.stages.failed.tolist() == [False, False, False, False, False, True, False, False]
    assert run.tasks.shuffle_write_records is not None
    assert run.tasks.shuffle_read_records is not None
    # The shuffle of the sums: 6 map tasks that write 10 keys each; the query's: 4 that write 5.
    assert int(run.tasks.shuffle_write_records.sum()) == 60 + 20
    assert int(run.tasks.shuffle_read_records.sum()) == 60 + 20
    assert ((run.tasks.cpu_ns is not None), (run.tasks.peak_execution_memory_bytes is not None)) == (cpu, peak)
    assert run.sql[-1].job_ids == (4,)


def test_spark_1_6_names_the_query_and_tells_nothing_of_it() -> None:
    (query,) = run_of("1.6.3").sql
    assert (query.sql_id, query.plan, query.metrics) == (0, None, {})


def test_spark_2_4_keeps_two_plans() -> None:
    run = run_of("2.4.8")
    assert run.stages.n_tasks.tolist() == [8, 6, 6, 2]
    assert len(run.tasks) == 9 + 6 + 6 + 5
    assert [one.plan.name for one in run.sql if one.plan is not None] == ["Execute CreateViewCommand", "WholeStageCodegen"]
    assert all(0 < one.submitted_ms <= one.completed_ms for one in run.sql)


def test_the_plan_of_spark_3_0_counts_its_rows() -> None:
    query = run_of("3.0.3").sql[-1]
    assert query.plan is not None
    assert query.plan.name.startswith("WholeStageCodegen")
    rows = {m.accumulator for m in query.all_metrics if m.name == "number of output rows"}
    assert sorted(query.metrics[m] for m in rows if m in query.metrics) == [5, 20, 1000]
