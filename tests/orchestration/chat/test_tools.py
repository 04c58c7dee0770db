"""The tools: what they answer, how they are bounded, and that a handle leads to the session's runs only."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.orchestration.ask import KnowledgePlace
from spark_copilot.orchestration.chat.tools import RunTools
from spark_copilot.orchestration.runs import ChosenRuns, LogRuns
from spark_copilot.rules_engine.errors import NotFound, UsageError

LOGS = Path(__file__).parents[2] / "data" / "laboratory"


@pytest.fixture(scope="module")
def runs() -> LogRuns:
    return LogRuns([LOGS / "big-sort.zstd", LOGS / "big-sort-room.zstd", LOGS / "failing-job.zstd"])


@pytest.fixture
def tools(runs: LogRuns, tmp_path: Path) -> RunTools:
    return RunTools(runs, KnowledgePlace(tmp_path))


def named(runs: LogRuns, name: str) -> str:
    return next(run.run_id for run in runs.known() if run.name == name)


def test_every_tool_answers_json(tools: RunTools, runs: LogRuns) -> None:
    run_id, other = named(runs, "big-sort"), named(runs, "big-sort-room")
    key = tools.findings(run_id).findings[0].key
    answers = [
        tools.list_runs(), tools.run_summary(run_id), tools.findings(run_id), tools.finding(run_id, key), tools.stages(run_id, "disk_spilled_bytes"),
        tools.stage(run_id, 0), tools.sql_plan(run_id), tools.executors(run_id), tools.settings(run_id, "shuffle"), tools.whatif(run_id, [1, 2], apply=[key]),
        tools.compare(run_id, other), tools.cost(run_id, 0.05), tools.gate_snippet("spark.executor.memry 8g"), tools.search("spill to disk", 2),
    ]  # fmt: skip
    assert len(answers) == len(tools.offered) <= 15
    for answer in answers:
        text = answer.model_dump_json(by_alias=True)
        assert len(text) < 30_000
        assert isinstance(json.loads(text), dict)


def test_figures_are_those_of_the_run(tools: RunTools, runs: LogRuns) -> None:
    run_id = named(runs, "big-sort")
    run = runs.get(run_id).run
    summary = tools.run_summary(run_id)
    assert (summary.duration_ms, summary.tasks_ended) == (run.wall_ms, len(run.tasks))
    assert sum(summary.wall_clock.values()) == run.wall_ms
    stage = tools.stage(run_id, 0)
    assert stage.disk_spilled_bytes == int(run.tasks.require("disk_spilled_bytes")[run.task_rows(0)].sum())
    assert stage.findings[0].key == "spill@stage:0.0"
    working = tools.finding(run_id, "spill@stage:0.0").working
    assert working is not None
    assert working.wall_ms_with_remedy < working.wall_ms_recorded
    plan = tools.sql_plan(run_id, 0)
    assert {"0.0", "1.0"} <= set(plan.stages)
    assert any(op.name == "Sort" for op in plan.operators)


def test_settings_not_set_come_with_their_default(tools: RunTools, runs: LogRuns) -> None:
    row = tools.settings(named(runs, "big-sort"), "spark.executor.memory").settings[0]
    assert (row.key, row.value, row.default, row.known) == ("spark.executor.memory", None, "1g", True)


def test_lists_say_when_they_are_cut(tools: RunTools, runs: LogRuns) -> None:
    assert tools.stages(named(runs, "big-sort"), limit=1).cut == "1 of 2 stages left out"
    assert tools.stages(named(runs, "big-sort")).cut is None


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "/etc/passwd", "", "app-0", "big-sort.zstd", "local-1\u0000", "file:///etc/passwd"])
def test_only_handles_of_the_session_lead_to_runs(tools: RunTools, run_id: str) -> None:
    with pytest.raises(NotFound):
        tools.run_summary(run_id)


def test_a_run_outside_the_session_is_not_there(runs: LogRuns, tmp_path: Path) -> None:
    mine, other = named(runs, "big-sort"), named(runs, "failing-job")
    tools = RunTools(ChosenRuns(runs, [mine]), KnowledgePlace(tmp_path))
    assert [run.run_id for run in tools.list_runs().runs] == [mine]
    with pytest.raises(NotFound):
        tools.compare(mine, other)


def test_bad_arguments_are_refused(tools: RunTools, runs: LogRuns) -> None:
    run_id = named(runs, "big-sort")
    bad: Any = "__class__"
    calls: list[Callable[[], object]] = [
        lambda: tools.whatif(run_id, [0]), lambda: tools.whatif(run_id, list(range(1, 20))), lambda: tools.whatif(run_id, [10**9]),
        lambda: tools.whatif(run_id, settings={"spark.made.up": "1"}), lambda: tools.stages(run_id, bad), lambda: tools.stages(run_id, limit=0),
        lambda: tools.cost(run_id, -1.0), lambda: tools.cost(run_id, 1.0, "U$D"), lambda: tools.gate_snippet("x" * 100_000), lambda: tools.gate_snippet("x", bad),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(UsageError):
            call()


def test_failures_are_told(tools: RunTools, runs: LogRuns) -> None:
    summary = tools.run_summary(named(runs, "failing-job"))
    assert summary.tasks_failed > 0
    assert summary.failures


def test_real_logs_answer(shared_logs: Path, tmp_path: Path) -> None:
    runs = LogRuns([shared_logs / "spark-events-profiling__tasks_executors_fail_compressed_eventlog.zstd", shared_logs / "db_sim_eventlog"])
    tools = RunTools(runs, KnowledgePlace(tmp_path))
    for known in runs.known():
        summary = tools.run_summary(known.run_id)
        assert summary.stages_ran > 0
        for row in tools.stages(known.run_id).stages[:3]:
            stage, attempt = row.stage.split(".")
            assert tools.stage(known.run_id, int(stage), int(attempt)).tasks_ended == row.tasks_ended
        tools.executors(known.run_id)
        tools.settings(known.run_id, "sql")
        if runs.get(known.run_id).run.sql:
            assert tools.sql_plan(known.run_id).run_id == known.run_id
