"""The plan's steps: the run after each, and where to stop."""

from spark_copilot.app.report import html, markdown, text
from spark_copilot.app.report.steps import Step, steps, stop_after
from spark_copilot.orchestration.analyse import Options, analyse_run
from spark_copilot.rules_engine.facts import AppRun
from tests.builders import StageSpec, run_of


def faulty() -> AppRun:
    """Two skewed stages, the second worth less than the first."""
    rows = [10_000] * 7 + [300_000]
    return run_of(
        StageSpec(ms=[1_000] * 7 + [30_000], columns={"shuffle_read_records": rows}, name="join at job.py:10"),
        StageSpec(ms=[1_000] * 7 + [12_000], columns={"shuffle_read_records": rows}, name="group at job.py:20"),
        cores=4,
    )


def test_every_step_says_what_the_run_takes_then() -> None:
    report = analyse_run(faulty())
    made = steps(report)
    assert len(made) == 2
    assert report.application.duration_ms > made[0].wall_ms > made[1].wall_ms > 0
    for rendered in (text.render(report, colour=False), markdown.render(report), html.render(report, None)):
        assert "n this order" in rendered
        assert made[1].after in rendered


def test_money_stands_beside_time_where_there_are_prices() -> None:
    made = steps(analyse_run(faulty(), Options(pricing="aws-emr-serverless")))
    assert all(step.cost is not None and "USD" in step.after for step in made)


def test_the_plan_says_where_to_stop() -> None:
    made = [Step("a", 10.0, None, True), Step("b", 9.9, None, False)]
    assert stop_after(made) == "stop after step 1: the rest brings under 3 % each"
    assert stop_after(made[:1]) is None
    assert stop_after([]) is None
