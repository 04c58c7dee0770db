"""The whole graph: deterministic, indifferent to the order of task events, and true to its contracts on real logs."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from spark_copilot.agents.state import Context, State
from spark_copilot.connectors.eventlog import read_run
from spark_copilot.ml.simulator import Simulator
from spark_copilot.orchestration.analyse import analyse_run, analyze
from spark_copilot.orchestration.graph_builder import NODES, build_graph
from spark_copilot.orchestration.report_builder import job_name
from spark_copilot.orchestration.state_model import SERDE
from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Severity
from tests.builders import StageSpec, run_of

SAMPLES = files("spark_copilot.app") / "samples"


def test_the_graph_is_the_one_of_the_plan() -> None:
    assert list(NODES) == ["metadata", "partition", "skew", "delta", "runtime", "cost", "reason"]
    edges = {(e.source, e.target) for e in build_graph().get_graph().edges}
    assert {
        ("metadata", "partition"),
        ("metadata", "skew"),
        ("metadata", "delta"),
        ("partition", "runtime"),
        ("runtime", "cost"),
        ("cost", "reason"),
    } <= edges


@pytest.mark.parametrize("name", ["skewed-join", "slow-driver", "healthy"])
def test_the_same_log_gives_the_same_bytes(name: str) -> None:
    path = str(SAMPLES / f"{name}.zstd")
    assert analyze(path).model_dump_json() == analyze(path).model_dump_json()


def test_samples_say_what_they_were_made_for() -> None:
    assert analyze(str(SAMPLES / "skewed-join.zstd")).findings[0].code == "data-skew"
    assert analyze(str(SAMPLES / "slow-driver.zstd")).findings[0].code == "driver-bound"
    healthy = analyze(str(SAMPLES / "healthy.zstd"))
    assert all(f.severity.rank > Severity.HIGH.rank for f in healthy.findings)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_findings_do_not_depend_on_the_order_of_task_ends(random: object) -> None:
    run = run_of(
        StageSpec(ms=[1_000] * 7 + [20_000], columns={"shuffle_read_records": [10_000] * 7 + [200_000]}),
        StageSpec(ms=[4_000] * 6),
        tail_ms=9_000,
    )
    order = np.random.default_rng(random.randrange(1 << 30)).permutation(len(run.tasks))  # type: ignore[attr-defined]
    shuffled = AppRun(
        app=run.app, environment=run.environment, tasks=run.tasks.take(order), stages=run.stages, jobs=run.jobs, executors=run.executors
    )
    assert analyse_run(shuffled).model_dump_json() == analyse_run(run).model_dump_json()


def test_every_code_is_accounted_for_once() -> None:
    report = analyze(str(SAMPLES / "skewed-join.zstd"))
    found = {f.code for f in report.findings}
    silent = [*report.passed, *(n.code for n in report.not_computable), *(f.code for f in report.failed)]
    assert len(silent) == len(set(silent))
    assert {c for c in found if not c.startswith("SG")} | set(silent) == {r.code for r in RULES}
    assert not found & set(report.passed)


def test_parts_of_the_wall_clock_add_up() -> None:
    for name in ("skewed-join", "slow-driver", "healthy"):
        report = analyze(str(SAMPLES / f"{name}.zstd"))
        assert sum(report.facts["wall_clock"].values()) == report.application.duration_ms


def test_advice_rests_on_findings() -> None:
    report = analyze(str(SAMPLES / "skewed-join.zstd"))
    keys = {f.key for f in report.findings}
    assert report.plan
    assert all(set(step.because) <= keys and step.because for step in report.plan)


def test_no_key_is_set_to_two_values() -> None:
    for name in ("skewed-join", "slow-driver", "healthy"):
        wanted: dict[str, set[str | None]] = {}
        for finding in analyze(str(SAMPLES / f"{name}.zstd")).findings:
            for change in finding.changes:
                if change.kind == "conf":
                    wanted.setdefault(change.key, set()).add(change.to)
        assert all(len(values) == 1 for values in wanted.values())


def test_state_survives_a_checkpoint(recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture) -> None:
    run = read_run(str(SAMPLES / "skewed-join.zstd"))
    saver = InMemorySaver(serde=SERDE)
    graph = build_graph(saver)
    config = {"configurable": {"thread_id": "one"}}
    context = Context(run=run, simulator=Simulator(run), rules=RULES)
    state = graph.invoke(State(), config, context=context)
    assert graph.get_state(config).values["findings"] == state["findings"]
    assert not caplog.records
    assert not recwarn.list


def test_a_broken_rule_costs_only_its_own_findings() -> None:
    from dataclasses import replace

    from spark_copilot.orchestration.analyse import Options

    def breaks(run: AppRun, limits: object) -> object:
        raise ZeroDivisionError("inside the rule")

    bad = replace(RULES[0], check=breaks)  # type: ignore[arg-type]
    report = analyse_run(run_of(StageSpec(ms=[1_000] * 7 + [20_000])), Options(rules=(bad, *RULES[1:])))
    assert [f.code for f in report.failed] == [RULES[0].code]
    assert report.findings


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("orders_2024-05-01", "orders"),
        ("Daily ETL 20240501T030000", "daily-etl"),
        ("job-7f1c2d3e-1111-2222-3333-444455556666", "job"),
        ("12345", "12345"),
    ],
)
def test_job_names_fold_dates_and_ids(name: str, job: str) -> None:
    assert job_name(name) == job


def test_every_shared_log_is_analysed_or_refused_in_one_sentence(shared_logs: Path) -> None:
    from spark_copilot.rules_engine.errors import CopilotError

    refused, sentences = [], []
    for path in sorted(shared_logs.iterdir()):
        try:
            report = analyze(path)
        except CopilotError as error:
            refused.append(path.name)
            sentences.append(str(error))
            continue
        assert not report.failed, (path.name, report.failed)
        assert sum(report.facts["wall_clock"].values()) == report.application.duration_ms
    assert refused == ["spark-events-profiling__driverlog"]
    assert "\n" not in sentences[0]
