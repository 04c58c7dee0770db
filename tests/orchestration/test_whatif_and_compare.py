"""What-if and compare: their contracts, their arithmetic, and what they admit not to know."""

import json
from importlib.resources import files

import pytest

from spark_copilot.app.cli.main import run as cli
from spark_copilot.orchestration.analyse import read
from spark_copilot.orchestration.compare import compare
from spark_copilot.orchestration.whatif import what_if
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import AppRun
from tests.builders import StageSpec, execution, node, run_of

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")
HEALTHY = str(files("spark_copilot.app") / "samples" / "healthy.zstd")


def test_whatif_keys_are_these(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["whatif", SAMPLE, "--executors", "1,2", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["schema_version", "application", "observed", "replay", "knee", "cannot_reason_about", "points"]
    assert list(answer["observed"]) == ["executors", "cores_per_executor", "wall_ms"]
    assert list(answer["replay"]) == ["wall_ms", "error_ratio"]
    assert list(answer["points"][0]) == ["executors", "cores_per_executor", "settings", "wall_ms", "cost", "notes"]


def test_the_observed_size_is_the_record() -> None:
    run = run_of(StageSpec(ms=[1_000] * 24), executors=3, cores=1)
    point = what_if(run, executors=[3]).points[0]
    assert point.wall_ms.mid == run.wall_ms
    assert point.wall_ms.low < run.wall_ms < point.wall_ms.high


def test_sizes_and_the_knee() -> None:
    run = run_of(StageSpec(ms=[1_000] * 8), executors=2, cores=1, startup_ms=100)
    answer = what_if(run, executors=[1, 2, 4, 8, 16, 32])
    mids = [p.wall_ms.mid for p in answer.points]
    assert mids == sorted(mids, reverse=True)
    assert mids[0] == pytest.approx(8_500, rel=0.1)
    assert answer.knee is not None
    assert answer.knee.executors == 8


def test_warm_up_is_paid_once_an_executor() -> None:
    owner = [0, 1] * 8
    run = run_of(StageSpec(ms=[5_000, 5_000] + [1_000] * 14, executors=owner), executors=2, cores=1, startup_ms=600)
    one = what_if(run, executors=[1]).points[0].wall_ms.mid
    assert one == pytest.approx(600 + 5_000 + 15 * 1_000, rel=0.05)


def test_what_it_cannot_reason_about_is_named() -> None:
    answer = what_if(run_of(StageSpec(ms=[1_000] * 4)), settings={"spark.serializer": "org.apache.spark.serializer.KryoSerializer"})
    assert answer.cannot_reason_about == ("spark.serializer",)
    assert answer.points[0].settings == {}


def test_findings_can_be_applied_by_key() -> None:
    run = read(SAMPLE)
    from spark_copilot.orchestration.analyse import analyse_run

    finding = analyse_run(run).findings[0]
    assert finding.saving is not None
    point = what_if(run, apply=[finding.key]).points[0]
    assert point.wall_ms.mid == pytest.approx(run.wall_ms - finding.saving.wall_ms.mid, abs=2)
    with pytest.raises(UsageError, match="no finding"):
        what_if(run, apply=["spill@app"])


@pytest.mark.parametrize("sizes", ["0", "a", "1,-2"])
def test_sizes_that_are_none(sizes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["whatif", SAMPLE, "--executors", sizes]) == 2
    assert capsys.readouterr().out == ""


def test_compare_keys_are_these(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["compare", SAMPLE, HEALTHY, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["schema_version", "baseline", "candidate", "verdict", "noise_ms", "contributions", "settings"]
    assert list(answer["contributions"][0]) == ["what", "delta_ms", "because"]
    assert list(answer["settings"][0]) == ["key", "from", "to"]


def test_contributions_add_up() -> None:
    a, b = read(SAMPLE), read(HEALTHY)
    answer = compare(a, b)
    assert sum(c.delta_ms for c in answer.contributions) == pytest.approx(b.wall_ms - a.wall_ms, abs=1)


BASE = {"input_records": 10_000, "input_bytes": 1 << 20}


@pytest.mark.parametrize(
    ("spec", "tail", "verdict", "because"),
    [
        pytest.param(StageSpec(ms=[2_000] * 8, columns=BASE), 0, "same", None, id="the same run"),
        pytest.param(
            StageSpec(ms=[4_000] * 8, columns={"input_records": 20_000, "input_bytes": 2 << 20}),
            0,
            "worse",
            "rows 80,000 -> 160,000",
            id="data grew",
        ),
        pytest.param(
            StageSpec(ms=[4_000] * 8, columns=BASE), 0, "worse", "the same work, tasks of 2.0 s -> 4.0 s", id="slower at the same work"
        ),
        pytest.param(StageSpec(ms=[500] * 8, columns=BASE), 0, "better", "the same work, tasks of 2.0 s -> 500 ms", id="faster"),
        pytest.param(StageSpec(ms=[2_000] * 8, columns=BASE), 9_000, "worse", "time in which no task ran", id="the driver"),
    ],
)
def test_verdicts_and_reasons(spec: StageSpec, tail: int, verdict: str, because: str | None) -> None:
    answer = compare(run_of(StageSpec(ms=[2_000] * 8, columns=BASE)), run_of(spec, tail_ms=tail))
    assert answer.verdict == verdict
    assert because is None or answer.contributions[0].because == because


def test_a_log_without_an_end_cannot_be_judged() -> None:
    whole, cut = run_of(StageSpec(ms=[2_000] * 8)), run_of(StageSpec(ms=[2_000] * 8))
    object.__setattr__(cut.app, "ended_ms", -1)
    assert compare(whole, cut).verdict == "cannot-tell"


def test_each_size_has_its_price_and_the_best_says_so() -> None:
    run = run_of(StageSpec(ms=[60_000] * 16), executors=2, cores=1, startup_ms=1_000, conf={"spark.executor.cores": "1"})
    answer = what_if(run, executors=[1, 2, 4, 8], pricing="aws-emr-serverless", deadline_ms=400_000, budget=1.0)
    costs = [p.cost for p in answer.points]
    assert all(c is not None and c.low <= c.mid <= c.high and c.currency == "USD" for c in costs)
    said = {p.executors: [n for n in p.notes if n.startswith("the ")] for p in answer.points}
    # All in time; the driver is paid for the shortest time there.
    assert any("surely ends in 6 m 40 s" in n for n in said[8])
    assert any("surely costs no more than 1.00 USD" in n for n in said[8])


def test_a_budget_without_prices_is_a_question() -> None:
    with pytest.raises(UsageError, match="prices"):
        what_if(run_of(StageSpec(ms=[1_000] * 4)), budget=1.0)


def test_a_list_of_machines_asks_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["whatif", SAMPLE, "--pricing", "aws-emr"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "m5.xlarge" in err


def test_money_changes_nothing_but_money(capsys: pytest.CaptureFixture[str]) -> None:
    reports = []
    for more in ([], ["--pricing", "aws-emr:m5.xlarge"]):
        assert cli(["analyze", SAMPLE, "--format", "json", *more]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    plain, priced = reports
    assert plain["cost"] is None
    assert list(priced["cost"]) == ["currency", "price_date", "total", "wasted", "by"]
    assert priced["findings"][0]["saving"]["cost"]["mid"] > 0
    assert priced["plan"][0]["saving"]["cost"]["mid"] > 0
    for report in reports:
        report["cost"] = None
        for item in (*report["findings"], *report["plan"]):
            if item["saving"]:
                item["saving"]["cost"] = None
    assert plain == priced


@pytest.mark.parametrize(
    ("settings", "faster"),
    [
        ({"spark.sql.adaptive.enabled": "true"}, True),  # what the skew's finding proposes
        ({"spark.sql.adaptive.enabled": "false"}, False),  # as it was
        ({"spark.sql.adaptive.skewJoin.enabled": "true"}, False),  # the default already, and without adaptive execution nothing obeys it
    ],
)
def test_a_setting_that_a_finding_proposes_brings_its_remedy(settings: dict[str, str], faster: bool) -> None:
    run = read(SAMPLE)
    answer = what_if(run, settings=settings)
    assert answer.cannot_reason_about == ()
    assert (answer.points[0].wall_ms.mid < 0.97 * run.wall_ms) is faster


def test_settings_of_size_are_sizes() -> None:
    run = run_of(StageSpec(ms=[1_000] * 16), executors=2, cores=2, conf={"spark.executor.instances": "2", "spark.executor.cores": "2"})
    point = what_if(run, settings={"spark.executor.instances": "4", "spark.executor.cores": "1"}).points[0]
    assert (point.executors, point.cores_per_executor) == (4, 1)


def test_smaller_splits_make_more_tasks() -> None:
    big = {"input_bytes": 512 << 20, "input_records": 10_000}
    run = run_of(StageSpec(ms=[20_000] * 2, columns=big), executors=4, cores=2)
    answer = what_if(run, settings={"spark.sql.files.maxPartitionBytes": "64m"})
    assert answer.points[0].wall_ms.mid < 0.6 * run.wall_ms
    assert answer.cannot_reason_about == ()


def test_a_slow_start_of_the_cluster_is_no_worse_job() -> None:
    stage = StageSpec(ms=[1_000] * 40)
    quick, late = run_of(stage, startup_ms=3_000), run_of(stage, startup_ms=30_000)
    answer = compare(quick, late)
    assert answer.verdict == "same"
    assert answer.contributions[0].what == "start-up"
    assert sum(c.delta_ms for c in answer.contributions) == late.wall_ms - quick.wall_ms
    slower = compare(quick, run_of(StageSpec(ms=[2_000] * 40), startup_ms=3_000))
    assert slower.verdict == "worse"


def test_stages_of_one_place_are_matched_by_their_plan() -> None:
    def job(first: int, second: int) -> AppRun:
        scan, join = (
            node("Scan parquet a", metrics={"number of output rows": 1}),
            node("SortMergeJoin", metrics={"number of output rows": 2}),
        )
        stages = [
            StageSpec(ms=[first] * 4, name="save at job.py:3", sql_row=0, accumulables={1: ("number of output rows", "5")}),
            StageSpec(ms=[second] * 4, name="save at job.py:3", sql_row=1, accumulables={2: ("number of output rows", "5")}),
        ]
        return run_of(*stages, sql=[execution(scan, {1: 5}, sql_id=0), execution(join, {2: 5}, sql_id=1)])

    answer = compare(job(4_000, 5_000), job(4_000, 20_000))
    stages = [c for c in answer.contributions if c.what.startswith("stage")]
    assert [c.what.split(",")[0] for c in stages] == ["stage 1.0"]
    assert stages[0].delta_ms == 30_000


def test_more_baselines_sharpen_the_noise(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["compare", SAMPLE, SAMPLE, "--baseline", SAMPLE, "--baseline", SAMPLE, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "same"
    assert answer["noise_ms"] == pytest.approx(0.02 * answer["baseline"]["wall_ms"], abs=1)
