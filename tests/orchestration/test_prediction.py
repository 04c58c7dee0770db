"""Prediction in the report: from rows that are handed in, and nothing else of the report moves."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from spark_copilot.app.report import html, markdown, text
from spark_copilot.orchestration.analyse import Options, analyse_run, row_of
from spark_copilot.rules_engine.facts import AppRun
from tests.builders import StageSpec, run_of

DAY_MS = 86_400_000


def day(number: int, tasks: int = 8, task_ms: int = 2_000, conf: Mapping[str, str] | None = None) -> AppRun:
    """A run of some day, whose input is a megabyte a task."""
    run = run_of(StageSpec(ms=[task_ms + 7 * (number % 3)] * tasks, columns={"input_bytes": 1 << 20, "input_records": 10}), conf=conf)
    moved = replace(run.app, id=f"app-{number}", name=f"daily 2026-01-{number:02}", started_ms=run.app.started_ms - (40 - number) * DAY_MS)
    shift = moved.started_ms - run.app.started_ms
    app = replace(moved, ended_ms=run.app.ended_ms + shift, last_event_ms=run.app.last_event_ms + shift)
    tasks_ = replace(run.tasks, launch_ms=run.tasks.launch_ms + shift, finish_ms=run.tasks.finish_ms + shift)
    jobs = replace(run.jobs, submitted_ms=run.jobs.submitted_ms + shift, completed_ms=run.jobs.completed_ms + shift)
    stages = replace(run.stages, submitted_ms=run.stages.submitted_ms + shift, completed_ms=run.stages.completed_ms + shift)
    executors = replace(run.executors, added_ms=run.executors.added_ms + shift)
    return replace(run, app=app, tasks=tasks_, jobs=jobs, stages=stages, executors=executors)


HISTORY = [row_of(day(n, tasks=6 + 2 * n)) for n in range(1, 10)]


def test_the_report_says_what_the_history_expects() -> None:
    report = analyse_run(day(20, tasks=12), Options(history=HISTORY))
    assert report.prediction is not None
    assert report.prediction.runs_used == 9
    assert report.prediction.drift == "within its usual range"
    assert report.prediction.wall_ms.mid == pytest.approx(report.application.duration_ms, rel=0.1)
    slow = analyse_run(day(20, tasks=12, task_ms=4_000), Options(history=HISTORY))
    assert slow.prediction is not None
    assert "slower than its input explains, beyond the noise of the last 9 runs" in (slow.prediction.drift or "")


def test_nothing_else_of_the_report_depends_on_history() -> None:
    run = day(20)
    with_it = json.loads(analyse_run(run, Options(history=HISTORY)).model_dump_json(by_alias=True))
    without = json.loads(analyse_run(run).model_dump_json(by_alias=True))
    assert with_it.pop("prediction") is not None
    assert without.pop("prediction") is None
    assert with_it == without


def test_too_little_history_is_heard() -> None:
    heard: list[str] = []
    report = analyse_run(day(20), Options(history=HISTORY[:2], unpredicted=heard.append))
    assert report.prediction is None
    assert len(heard) == 1
    assert "2 complete earlier runs of the job 'daily'" in heard[0]


def test_every_form_of_the_report_has_the_line() -> None:
    run = day(20, tasks=12)
    report = analyse_run(run, Options(history=HISTORY))
    for rendered in (text.render(report, colour=False, width=140), markdown.render(report), html.render(report, run)):
        assert "expected by 9 earlier runs of the job: " in rendered
        assert "this run is within its usual range" in rendered
    assert "expected by" not in text.render(analyse_run(run), colour=False)
