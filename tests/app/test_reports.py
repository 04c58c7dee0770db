"""Markdown, HTML and emitted settings: what a hostile log writes stays text, and what is proposed can be pasted."""

from importlib.resources import files

import pytest

from spark_copilot.app.cli.main import run as cli
from spark_copilot.app.report import html, markdown, text
from spark_copilot.app.report.emit import render as emit
from spark_copilot.orchestration.analyse import analyse_run, read
from tests.builders import StageSpec, run_of

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")
HOSTILE = "x<script>alert(1)</script>[click](javascript:alert(1))\x1b[31m\u202eevil"


def hostile() -> object:
    return run_of(StageSpec(ms=[1_000] * 7 + [20_000], columns={"shuffle_read_records": [10_000] * 7 + [200_000]}, name=HOSTILE))


def test_html_is_whole_and_without_scripts() -> None:
    run = read(SAMPLE)
    page = html.render(analyse_run(run), run)
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<svg") == page.count("</svg>") >= 3


def test_i1_text_of_the_log_stays_text() -> None:
    run = hostile()
    report = analyse_run(run)  # type: ignore[arg-type]
    page = html.render(report, run)  # type: ignore[arg-type]
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    notes = markdown.render(report)
    assert "](javascript" not in notes
    for rendered in (page, notes, text.render(report, colour=False)):
        assert "\x1b" not in rendered
        assert "\u202e" not in rendered


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("spark-submit", "--conf spark.sql.adaptive.enabled=true"),
        ("properties", "spark.sql.adaptive.enabled true"),
        ("sparkapplication", '  "spark.sql.adaptive.enabled": "true"'),
    ],
)
def test_emit(form: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["analyze", SAMPLE, "--emit", form]) == 0
    assert line in capsys.readouterr().out


def test_emit_of_a_healthy_run_says_so() -> None:
    assert emit([analyse_run(run_of(StageSpec(ms=[2_000] * 8)))], "properties").startswith("# nothing to set")
