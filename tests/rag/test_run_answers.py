"""Questions about a run: the route, the numbers from the report alone, and what the log does not hold."""

import re
from dataclasses import replace

import numpy as np
import pytest

from spark_copilot.rag.run_answers import answer_about_run
from spark_copilot.rules_engine.facts import Application, AppRun, Environment, ExecutorTable, JobTable, StageTable, TaskTable
from spark_copilot.rules_engine.findings import (
    ApplicationInfo,
    Change,
    Confidence,
    CostReport,
    DataQuality,
    Evidence,
    Finding,
    Interval,
    NotComputable,
    Recommendation,
    Report,
    Saving,
    Severity,
    Where,
)

SAVING = Saving(wall_ms=Interval(low=60_000, mid=120_000, high=180_000), core_ms=Interval(low=0, mid=0, high=0))
SKEW = Finding(
    code="data-skew",
    key="data-skew@stage:4.0",
    fingerprint="f" * 16,
    title="One task has most of the data",
    severity=Severity.HIGH,
    confidence=Confidence.MEDIUM,
    where=Where(stage_id=4, stage_attempt=0),
    evidence=(Evidence(metric="slowest / median task", value=17.8, limit=2.0, unit="ratio"),),
    because="slowest / median task 17.8",
    saving=SAVING,
    changes=(
        Change(
            kind="conf",
            key="spark.sql.adaptive.enabled",
            from_="false",
            to="true",
            text="split the hot partition",
            stop_condition="stop when even",
        ),
    ),
    sources=("skewed-join",),
)


def report(*findings: Finding, cost: CostReport | None = None) -> Report:
    plan = tuple(Recommendation(text=f.changes[0].text, because=(f.key,), saving=f.saving, stop_condition="even") for f in findings)
    return Report(
        application=ApplicationInfo(
            id="app-1", name="nightly", job="nightly", spark_version="3.5.1", platform="yarn", started_ms=0, ended_ms=1_100_000,
            duration_ms=1_100_000, complete=True, executors_max=12, cores_max=48,
        ),
        data_quality=DataQuality(status="complete", bad_lines=0, missing_task_ends=0),
        verdict="18 m 20 s; 2 m 00 s can come back.",
        findings=findings,
        passed=("spill", "gc-pressure"),
        not_computable=(NotComputable(code="locality-wait", reason="the log does not hold localities"),),
        failed=(),
        facts={"critical_path": [2, 4], "core_ms": {"used": 100_000, "idle": 50_000, "failed": 0}, "wall_clock": {"driver_ms": 5_000}},
        plan=plan,
        cost=cost,
    )  # fmt: skip


def ints(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def small_run() -> AppRun:
    tasks = TaskTable(
        task_id=ints(0, 1), index=ints(0, 1), attempt=ints(0, 0), partition_id=ints(0, 1), stage_row=ints(0, 0), executor_row=ints(0, 0),
        launch_ms=ints(0, 0), finish_ms=ints(1_000, 9_000), getting_result_ms=ints(0, 0), status=ints(0, 1), locality=ints(0, 0),
        speculative=np.zeros(2, dtype=np.bool_), has_metrics=np.ones(2, dtype=np.bool_), error_row=ints(-1, 0), run_ms=ints(900, 8_900),
        gc_ms=ints(0, 980), input_bytes=ints(1 << 20, 3 << 20), disk_spilled_bytes=ints(0, 1 << 30),
    )  # fmt: skip
    flags = np.zeros(1, dtype=np.bool_)
    stages = StageTable(
        stage_id=ints(4), attempt=ints(0), submitted_ms=ints(0), completed_ms=ints(9_500), n_tasks=ints(2), failed=flags, skipped=flags,
        job_row=ints(0), sql_row=ints(-1), name=("save at job.py:7",), failure_reason=(None,),
    )  # fmt: skip
    jobs = JobTable(job_id=ints(0), submitted_ms=ints(0), completed_ms=ints(9_500), failed=flags, sql_row=ints(-1))
    executors = ExecutorTable(
        added_ms=ints(0),
        removed_ms=ints(60_000),
        cores=ints(4),
        executor_id=("7",),
        host=("node-1",),
        removed_reason=("Container killed by YARN",),
    )
    return AppRun(
        app=Application(id="app-1", name="nightly", user="ann", spark_version="3.5.1", started_ms=0, ended_ms=10_000, last_event_ms=10_000),
        environment=Environment(spark={"spark.sql.shuffle.partitions": "64", "spark.hadoop.fs.s3a.secret.key": "abc"}),
        tasks=tasks, stages=stages, jobs=jobs, executors=executors, errors=("java.lang.OutOfMemoryError: Java heap space",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("question", "intent", "said"),
    [
        ("which stage is the bottleneck and why", "bottleneck", "One task has most of the data (stage 4"),
        ("why is it so slow?", "bottleneck", "18 m 20 s; 2 m 00 s can come back."),
        ("what should I change first", "changes", "1. split the hot partition."),
        ("what does it cost", "cost", "not in the log: no price list"),
        ("how long did it take", "duration", "nightly took 18 m 20 s"),
        ("how many executors did it use", "executors", "At most 12 executors with 48 cores"),
        ("is there data skew?", "finding", "worth 2 m 00 s of wall clock (between 1 m 00 s and 3 m 00 s)"),
        ("does it spill", "finding", "Looked for spill and saw nothing"),
        ("did the tasks wait for locality", "finding", "Could not be told from this log: locality-wait"),
        ("tell me about stage 4", "stage", "Task time: median 5.0 s, longest 9.0 s."),
        ("what happened in stage 99", "stage", "Stage 99 is not in the log."),
        ("why did it fail", "failures", "1 × java.lang.OutOfMemoryError"),
        ("why was executor 7 removed", "executor", "Container killed by YARN"),
        ("how much data was read", "volumes", "Read from storage: 4 MiB"),
        ("what was spark.sql.shuffle.partitions", "setting", "`spark.sql.shuffle.partitions` = 64 in this run."),
        ("is spark.sql.ansi.enabled on", "setting", "Its default in Spark 3.5.1: false."),
        ("is dynamic allocation enabled", "setting", "`spark.dynamicAllocation.enabled` is not set in this run."),
        ("spark.sql.made.up.key", "setting", "is in no catalog"),
        ("who ran this", "about", "It ran as user ann."),
        ("how many tasks were there", "counts", "2 task attempts (1 failed)"),
        ("compare with yesterday", "compare", "spark-copilot compare OLD NEW"),
        ("which customer has the hot key, show me row values", "not-in-log", "That is not in the log."),
        ("what instance type were the nodes", "not-in-log", "the hardware"),
    ],
)  # fmt: skip
def test_routes(question: str, intent: str, said: str) -> None:
    answer = answer_about_run(question, report(SKEW), small_run())
    assert answer is not None
    assert answer.intent == intent
    assert said in answer.text


@pytest.mark.parametrize(
    "question", ["what is data skew", "how does dynamic allocation work", "difference between cache and persist", "hello there"]
)
def test_general_questions_go_to_the_knowledge(question: str) -> None:
    assert answer_about_run(question, report(), small_run()) is None


def test_findings_and_cards_are_named() -> None:
    answer = answer_about_run("what is the biggest problem of this run", report(SKEW))
    assert answer is not None
    assert answer.findings == ("data-skew@stage:4.0",)
    assert answer.cards == ("skewed-join",)


def test_money_comes_from_the_report() -> None:
    cost = CostReport(currency="EUR", price_date="2026-01-01", total=12.5, wasted=3.25, by={"executors": 12.0})
    answer = answer_about_run("what does it cost", report(SKEW, cost=cost))
    assert answer is not None
    assert "12.50 EUR" in answer.text
    assert "3.25 EUR" in answer.text


def test_secrets_are_not_told() -> None:
    answer = answer_about_run("what is spark.hadoop.fs.s3a.secret.key in this run", report(), small_run())
    assert answer is not None
    assert "abc" not in answer.text


def test_a_healthy_run_is_said_to_be() -> None:
    answer = answer_about_run("what is wrong with this run", report(), replace(small_run()))
    assert answer is not None
    assert "2 rules looked and saw nothing worth a change." in answer.text


def test_numbers_come_from_the_report_the_run_or_the_question() -> None:
    answer = answer_about_run("which stage is the bottleneck", report(SKEW))
    assert answer is not None
    numbers = set(re.findall(r"\d+(?:\.\d+)?", answer.text))
    assert numbers <= set(re.findall(r"\d+(?:\.\d+)?", report(SKEW).model_dump_json())) | {"18", "20", "2", "00", "1", "3"}


def test_what_if_asks_the_simulator() -> None:
    asked: list[int] = []

    def what_if(executors: int) -> str:
        asked.append(executors)
        return "It would take 9 m."

    answer = answer_about_run("what if 8 executors", report(), what_if=what_if)
    assert answer is not None
    assert answer.text.startswith("It would take 9 m.")
    assert asked == [8]
