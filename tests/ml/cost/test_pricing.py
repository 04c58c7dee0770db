"""Money of a run: parts that add up, savings, other sizes, and the machine type that the log names."""

import numpy as np
import pytest

from spark_copilot.ml.cost import Pricing, alternatives, cost_report, run_cost, saving_cost, size_cost
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import FAILED, SUCCESS
from spark_copilot.rules_engine.findings import Interval, Resize, Saving
from tests.builders import START, StageSpec, run_of

SERVERLESS = Pricing.of("aws-emr-serverless")
GIB = 1 << 30


def cluster(**more: object):  # type: ignore[no-untyped-def]
    """Two executors of two cores for an hour, 3 GiB heap and 0.375 GiB overhead each; one task in four fails."""
    spec = StageSpec(ms=[1_800_000] * 4, status=[SUCCESS, SUCCESS, SUCCESS, FAILED], errors=["", "", "", "lost"])
    conf = {"spark.executor.memory": "3g", "spark.executor.cores": "2", **more}
    return run_of(spec, cores=2, executors=2, startup_ms=500, tail_ms=1_800_000, conf=conf)  # type: ignore[arg-type]


def test_a_run_is_paid_by_the_lives_of_its_executors() -> None:
    run = cluster()
    cost = run_cost(run, SERVERLESS)
    hours = 1.0
    executor = 2 * 0.052624 + (3 + 0.375) * 0.0057785
    assert cost.executors == pytest.approx(2 * executor * hours, rel=1e-3)
    driver = 0.052624 + (1 + 0.375) * 0.0057785
    assert cost.driver == pytest.approx(driver * hours, rel=1e-3)
    assert cost.useful == pytest.approx(cost.executors * 3 / 8, rel=1e-3)
    assert cost.failed == pytest.approx(cost.executors * 1 / 8, rel=1e-3)
    assert cost.idle == pytest.approx(cost.executors * 4 / 8, rel=1e-3)


def test_an_executor_that_left_early_costs_its_own_life_only() -> None:
    whole, early = cluster(), cluster()
    early.executors.removed_ms[1] = START + 500 + 360_000
    assert run_cost(early, SERVERLESS).executors == pytest.approx(run_cost(whole, SERVERLESS).executors * 1.1 / 2, rel=1e-3)


def test_the_block_adds_up() -> None:
    report = cost_report(cluster(), SERVERLESS)
    assert report.currency == "USD"
    assert report.price_date == "2025-06"
    assert sum(report.by.values()) == pytest.approx(report.total, abs=1e-5)
    assert report.wasted == pytest.approx(report.by["idle"] + report.by["failed"] + report.by["redone"], abs=1e-5)


def test_work_that_succeeded_twice_is_redone() -> None:
    spec = StageSpec(ms=[1_000, 1_000, 3_000], index=[0, 1, 1])
    run = run_of(spec, cores=3, executors=1, startup_ms=500)
    cost = run_cost(run, SERVERLESS)
    assert cost.redone / cost.executors == pytest.approx(3 / 9, rel=0.01)


def saving(wall_ms: float, core_ms: float = 0.0) -> Saving:
    return Saving(
        wall_ms=Interval(low=wall_ms / 2, mid=wall_ms, high=wall_ms * 1.5),
        core_ms=Interval(low=core_ms / 2, mid=core_ms, high=core_ms * 1.5),
    )


def test_a_fixed_cluster_gives_its_whole_rate_back_for_every_second() -> None:
    run = cluster()
    money = saving_cost(run, SERVERLESS, saving(360_000))
    assert money.mid == pytest.approx(run_cost(run, SERVERLESS).total * 0.1, rel=1e-3)
    assert money.low < money.mid < money.high


def test_under_dynamic_allocation_the_bill_follows_the_core_time_too() -> None:
    run = cluster(**{"spark.dynamicAllocation.enabled": "true"})
    money = saving_cost(run, SERVERLESS, saving(360_000, core_ms=0.0))
    fixed = saving_cost(cluster(), SERVERLESS, saving(360_000))
    assert 0 < money.mid < fixed.mid


def test_fewer_executors_save_though_no_second_is_won() -> None:
    run = cluster()
    money = saving_cost(run, SERVERLESS, saving(0.0), (Resize(executors=1),))
    assert money.mid == pytest.approx(run_cost(run, SERVERLESS).executors / 2, rel=1e-3)


def test_another_size_is_paid_by_its_executors_and_its_wall_clock() -> None:
    run = cluster()
    wall = Interval(low=run.wall_ms, mid=run.wall_ms, high=run.wall_ms)
    same = size_cost(run, SERVERLESS, 2, 2, wall)
    assert same.mid == pytest.approx(run_cost(run, SERVERLESS).total, rel=0.01)
    assert size_cost(run, SERVERLESS, 4, 2, wall).mid > 1.7 * same.mid


def test_the_machine_comes_from_the_log_where_it_names_one() -> None:
    run = cluster(**{"spark.databricks.clusterUsageTags.clusterNodeType": "i3.xlarge"})
    assert Pricing.of("databricks-aws", run).node == "i3.xlarge"
    with pytest.raises(UsageError, match="which"):
        Pricing.of("databricks-aws", cluster())


def test_cheaper_and_interruptible_machines_are_named_with_their_risk() -> None:
    said = " ".join(alternatives(cluster(), Pricing.of("aws-emr:r5.4xlarge")))
    assert "instead of" in said
    assert "loses its shuffle files" in said
    assert alternatives(cluster(), SERVERLESS) == []


def test_no_tasks_no_executors_no_nan() -> None:
    run = run_of(cores=2, executors=1, startup_ms=0)
    report = cost_report(run, SERVERLESS)
    assert report.total >= 0
    assert all(np.isfinite(v) for v in report.by.values())
