"""The trace file: valid events, lanes without overlap, hostile names kept harmless."""

import json
from collections import defaultdict
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from spark_copilot.app.cli.main import run as cli
from spark_copilot.app.report.trace import _lanes, render
from spark_copilot.orchestration.analyse import analyse_run, read

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")


def test_every_task_stage_and_job_is_an_event() -> None:
    run = read(SAMPLE)
    trace = json.loads(render([(run, analyse_run(run))]))
    assert trace["displayTimeUnit"] == "ms"
    kinds: dict[str, int] = defaultdict(int)
    for event in trace["traceEvents"]:
        assert {"ph", "name", "pid", "args"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            kinds[event["cat"]] += 1
    assert kinds["task"] == len(run.tasks)
    assert kinds["job"] == len(run.jobs)
    assert any(e["args"].get("finding") == "data-skew" for e in trace["traceEvents"] if e.get("cat") == "stage")


def test_the_command_writes_it(capsys) -> None:  # type: ignore[no-untyped-def]
    assert cli(["analyze", SAMPLE, "--format", "trace"]) == 0
    assert json.loads(capsys.readouterr().out)["traceEvents"]


def test_two_runs_have_processes_of_their_own() -> None:
    run = read(SAMPLE)
    report = analyse_run(run)
    names = [e["pid"] for e in json.loads(render([(run, report), (run, report)]))["traceEvents"] if e["name"] == "process_name"]
    assert len(names) == len(set(names))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=40))
def test_spans_of_one_lane_do_not_overlap(spans: list[tuple[int, int]]) -> None:
    begins, ends = [b for b, _ in spans], [b + d for b, d in spans]
    last: dict[int, int] = {}
    lanes = _lanes(begins, ends)
    for i in sorted(range(len(spans)), key=lambda i: (begins[i], i)):
        assert last.get(lanes[i], 0) <= begins[i]
        last[lanes[i]] = ends[i]
