"""A scrubbed log has the same figures and none of the names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.app.cli.main import run
from spark_copilot.connectors.eventlog import raw_lines, read_run
from spark_copilot.orchestration.analyse import analyze
from spark_copilot.orchestration.scrub import BROKEN, Scrubber, scrub, scrub_log
from spark_copilot.rules_engine.errors import NotAnEventLog
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Finding
from spark_copilot.rules_engine.plans import walk
from tests.connectors.test_run_tables import assert_same

DATA = Path(__file__).resolve().parents[1] / "data"
SAMPLE = DATA / "eventlogs" / "codec-sample"
SHIPPED = sorted((Path(__file__).resolve().parents[2] / "app" / "samples").glob("*.zstd"))
VARIED = [
    "crumbs", "every-day", "exploding-join", "failing-job", "few-files", "flaky-tasks", "greedy-task", "grouped-hot-key", "huge-broadcast",
    "late-batches", "to-three-places", "lost-executor", "slow-executor",
]  # fmt: skip
"""Tables and columns, failures, streaming, a cluster that loses an executor."""
_NUMBER = re.compile(r"(?<![\w.\-])\d[\d.,]*(?![\w.\-])")


def assert_same_figures(a: AppRun, b: AppRun) -> None:
    """What findings rest on."""
    assert_same(a.tasks, b.tasks)
    assert a.quality.bad_lines == b.quality.bad_lines
    assert (a.started_ms, a.ended_ms, a.executors.executor_id) == (b.started_ms, b.ended_ms, b.executors.executor_id)
    for column in ("stage_id", "submitted_ms", "completed_ms", "n_tasks", "skipped", "job_row", "sql_row"):
        assert getattr(a.stages, column).tolist() == getattr(b.stages, column).tolist()
    assert [name.rpartition("/")[2] for name in a.stages.name] == [name.rpartition("/")[2] for name in b.stages.name]
    assert a.jobs.stage_ids == b.jobs.stage_ids
    for one, other in zip(a.sql, b.sql, strict=True):
        assert one.metrics == other.metrics
        assert [n.name.split()[0] for n in walk(one.plan)] == [n.name.split()[0] for n in walk(other.plan)]
    numbers = {k: v for k, v in a.environment.spark.items() if v.isdigit() or v in ("true", "false")}
    assert numbers.items() <= b.environment.spark.items()


def judged(finding: Finding) -> dict[str, Any]:
    """A finding without the names that scrubbing replaces: of texts only the numbers stay."""
    said: dict[str, Any] = finding.model_dump(mode="json", exclude={"key", "fingerprint", "because", "where", "changes"})
    place = {name: type(value) if name in ("table", "call_site", "sql_description") else value for name, value in finding.where}
    changes = [(c.kind, c.key, c.from_) if c.kind == "conf" else c.kind for c in finding.changes]
    settings = [(c.to, c.text, c.stop_condition) for c in finding.changes if c.kind == "conf"]
    key = finding.key if finding.where.short in finding.key and "table:" not in finding.key else finding.code
    return said | {"place": place, "changes": changes, "settings": settings, "key": key, "because": _NUMBER.findall(finding.because)}


@pytest.mark.parametrize("log", [*SHIPPED, *(DATA / "laboratory" / f"{name}.zstd" for name in VARIED)], ids=lambda log: log.stem)
def test_the_findings_stay_the_same(tmp_path: Path, log: Path) -> None:
    scrub_log(log, tmp_path / "out")
    before, after = analyze(log), analyze(tmp_path / "out")
    assert [judged(f) for f in after.findings] == [judged(f) for f in before.findings]
    assert (after.facts["wall_clock"], after.failed) == (before.facts["wall_clock"], ())


def test_the_logs_compared_have_findings() -> None:
    """What is equal because it is empty shows nothing."""
    assert {f.code for name in VARIED for f in analyze(DATA / "laboratory" / f"{name}.zstd").findings} >= {
        "missing-partition-filter", "executor-lost", "job-failed", "task-failures", "data-skew", "batch-slower-than-trigger"
    }  # fmt: skip


def test_the_sample_keeps_its_figures(tmp_path: Path) -> None:
    assert scrub_log(SAMPLE, tmp_path / "out") == len(SAMPLE.read_bytes().splitlines())
    assert_same_figures(read_run(SAMPLE), read_run(tmp_path / "out"))


@pytest.mark.parametrize("log", ["spark-events__local-1776286786993.zstd", "spark-events-profiling__spark2-eventlog.zstd", "platform__emr"])
def test_shared_logs_keep_their_figures(shared_logs: Path, tmp_path: Path, log: str) -> None:
    scrub_log(shared_logs / log, tmp_path / "out")
    before, after = read_run(shared_logs / log), read_run(tmp_path / "out")
    assert_same_figures(before, after)
    text = (tmp_path / "out").read_text()
    for host in {h for h in before.executors.host if len(h) > 3 and h != "localhost"}:
        assert host not in text
    assert f'"App Name":"{before.app.name}"' not in text


@pytest.mark.parametrize(
    ("text", "gone", "kept"),
    [
        pytest.param("Scan parquet sales.customers", ["sales", "customers"], ["Scan parquet "], id="table"),
        pytest.param(
            "Filter (isnotnull(surname#5) AND (surname#5 = Smith))", ["Smith", "surname"], ["Filter (isnotnull(", "#5"], id="literal"
        ),
        pytest.param(
            "PushedFilters: [EqualTo(city,Berlin), GreaterThan(age,30)]", ["city", "Berlin", "age,"], ["GreaterThan(", ",30)"], id="pushed"
        ),
        pytest.param(
            "Filter ((city#5 = New York) OR (city#5 <=> Rio de Janeiro))",
            ["New", "York", "Rio", "Janeiro"],
            ["Filter ((", " OR (", "#5 <=> "],
            id="blanks",
        ),
        pytest.param("Filter city#5 IN (Paris,New York,75)", ["Paris", "York"], [" IN (", ",75)"], id="list"),
        pytest.param("Filter city#5 INSET Paris, Rome, 12", ["Paris", "Rome"], [" INSET ", ", 12"], id="set"),
        pytest.param(
            "Filter (StartsWith(name#1, Mc) AND Contains(name#1, o'Neil x))", ["Mc", "Neil"], ["StartsWith(", "#1, "], id="functions"
        ),
        pytest.param(
            "Project [CASE WHEN (age#1 > 30) THEN gold card ELSE plain END AS tier#4, Berlin AS home#6, 5 AS five#7]",
            ["gold", "plain", "Berlin", "tier", "home"],
            ["CASE WHEN (", " > 30) THEN ", " ELSE ", " END AS ", "5 AS "],
            id="chosen and named",
        ),
        pytest.param(
            "Project [coalesce(home town#3, unknown place) AS x#4]",
            ["unknown", "place", "home", "town"],
            ["coalesce(", "#3, "],
            id="a default",
        ),
        pytest.param("cannot resolve `customer name` given input columns", ["customer"], ["cannot resolve `"], id="backticks"),
        pytest.param("set `spark.sql.ansi.enabled` to false", [], ["`spark.sql.ansi.enabled`"], id="a setting in backticks"),
        pytest.param(
            "SortMergeJoin [a#1L], [b#2L], LeftOuter, (c#3 > d#4)",
            ["a#", "b#"],
            ["SortMergeJoin [", "], LeftOuter, ("],
            id="a join stays one",
        ),
        pytest.param(
            "HashAggregate(keys=[k#1], functions=[partial_sum(v#2), partial_count(1)], output=[k#1, sum#5L])",
            [],
            ["HashAggregate(keys=[", "functions=[partial_sum(", "partial_count(1)", "output=["],
            id="an aggregate stays one",
        ),
        pytest.param("ReadSchema: struct<iban:string,amount:int>", ["iban", "amount"], [":string", ":int"], id="schema"),
        pytest.param(
            "Location: InMemoryFileIndex [s3://acme-lake/finance/2026/a.parquet]", ["acme", "finance"], ["s3://", ".parquet"], id="url"
        ),
        pytest.param("/home/alice/jobs/etl.py", ["alice", "jobs"], [], id="path"),
        pytest.param("SELECT * FROM t WHERE name = 'Bob'", ["Bob"], ["SELECT * FROM"], id="sql"),
        pytest.param("mail bob.smith@example.com from 10.1.2.3", ["bob", "example.com", "10.1.2.3"], [], id="mail and address"),
        pytest.param(
            "at org.apache.spark.rdd.RDD.collect(RDD.scala:1046)", [], ["at org.apache.spark.rdd.RDD.collect(RDD.scala:1046)"], id="stack"
        ),
        pytest.param("collect at NativeMethodAccessorImpl.java:0", [], ["collect at NativeMethodAccessorImpl.java:0"], id="call site"),
        pytest.param("Range (0, 1000, step=1, splits=2)", [], ["Range (0, 1000, step=1, splits=2)"], id="numbers"),
    ],
)
def test_texts(text: str, gone: list[str], kept: list[str]) -> None:
    line = json.dumps({"Event": "x", "simpleString": text}).encode()
    out: Any = json.loads(Scrubber().line(line))["simpleString"]
    assert [word for word in gone if word in out] == []
    assert [word for word in kept if word not in out] == []


def test_a_host_is_replaced_before_it_is_introduced() -> None:
    lines = [b'{"Event":"a","x":"lost node-7.corp"}', b'{"Event":"b","Host":"node-7.corp"}', b"{broken"]
    assert list(scrub(lambda: lines)) == [b'{"Event":"a","x":"lost host-1"}\n', b'{"Event":"b","Host":"host-1"}\n', BROKEN]


def test_what_is_no_log_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no log\n")
    with pytest.raises(NotAnEventLog):
        scrub_log(tmp_path / "x", tmp_path / "out")
    assert [child.name for child in tmp_path.iterdir()] == ["x"]


def test_the_setting_bounds_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SPARK_COPILOT_MAX_DECOMPRESSED_BYTES", "1000")
    assert run(["scrub", str(SHIPPED[0]), str(tmp_path / "out")]) == 3
    assert "bytes come out of" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_requests_to_a_connect_server_lose_names_and_texts(tmp_path: Path) -> None:
    log = Path(__file__).resolve().parents[1] / "data" / "connect" / "connect-operations.zstd"
    scrub_log(log, tmp_path / "out")
    text = (tmp_path / "out").read_text()
    whole = b"".join(raw_lines(log)).decode()
    for word in ("hunter2", '\\"ann\\"', '"ann"', '"bob"', "User_ann", "User_bob"):
        assert word in whole, word
        assert word not in text, word
    before, after = read_run(log), read_run(tmp_path / "out")
    figures = [(one.state, one.ended_ms, one.rows, one.job_ids, one.sql_ids) for one in before.operations]
    assert [(one.state, one.ended_ms, one.rows, one.job_ids, one.sql_ids) for one in after.operations] == figures
    assert len({one.user for one in after.operations}) == 2
    asked = [" ".join(one.statement for one in run.operations) for run in (before, after)]
    for word in ("too large", "SELECT", "numbers", "kept"):
        assert [word in statements for statements in asked] == [True, False], word
