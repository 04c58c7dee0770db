"""Spark Connect operations in the three readable forms of a report, from a real server and from one that names hostile users."""

from pathlib import Path
from typing import Any

import pytest

from spark_copilot.app.report import html, markdown, text
from spark_copilot.app.report.connect import connect_lines, connect_summary
from spark_copilot.orchestration.analyse import analyze
from spark_copilot.rules_engine.findings import Report

DATA = Path(__file__).resolve().parents[2] / "data"
SUMMARY = "Spark Connect: 12 operations of 2 users in 2 sessions; 2 failed, 1 cancelled"


@pytest.fixture(scope="module")
def report() -> Report:
    return analyze(DATA / "connect" / "connect-operations.zstd")


def test_every_form_tells_of_them(report: Report) -> None:
    assert connect_summary(report) == SUMMARY
    assert SUMMARY in text.render(report, colour=False)
    assert SUMMARY in markdown.render(report)
    assert SUMMARY in html.render(report)
    lines = connect_lines(report)
    assert len(lines) == 5
    assert lines[0].endswith("bob, cancelled, 4.1 s; SQL 8; job 8")
    assert "USER_RAISED_EXCEPTION" in lines[1]


def test_other_runs_say_nothing_of_them() -> None:
    other = analyze(DATA / "eventlogs" / "codec-sample")
    assert (connect_summary(other), connect_lines(other)) == (None, [])
    assert "connect" not in other.facts


def test_what_a_client_calls_itself_is_no_markup(report: Report) -> None:
    evil = "<img src=x onerror=alert(1)>[a](javascript:b)\x1b[31m\u202e"
    shown: list[dict[str, Any]] = [{**report.facts["connect"]["shown"][0], "user": evil, "error": evil}]
    hostile = report.model_copy(update={"facts": {**report.facts, "connect": {**report.facts["connect"], "shown": shown}}})
    assert "<img" not in html.render(hostile)
    assert "[a](" not in markdown.render(hostile)
    for form in (html.render(hostile), markdown.render(hostile), text.render(hostile, colour=False)):
        assert "\x1b" not in form
        assert "\u202e" not in form
