"""The replay: it reproduces what was recorded, remedies do what they say, and savings are intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_copilot.connectors.eventlog import read_run
from spark_copilot.ml.simulator import ReplayModel, Simulator, apply, replay
from spark_copilot.rules_engine.facts import FAILED, SUCCESS
from spark_copilot.rules_engine.findings import CutTail, DriverGap, DropExecutor, RemoveShare, Repartition, Resize, SkipStages
from tests.builders import StageSpec, run_of

times = st.lists(st.integers(min_value=1, max_value=5_000), min_size=1, max_size=30)


@given(st.lists(times, min_size=1, max_size=4), st.integers(min_value=1, max_value=6))
@settings(max_examples=60, deadline=None)
def test_a_recorded_run_is_reproduced(stages: list[list[int]], cores: int) -> None:
    run = run_of(*(StageSpec(ms=ms) for ms in stages), cores=cores, tail_ms=700)
    assert replay(ReplayModel.of(run)).wall_ms == pytest.approx(run.wall_ms, abs=1)


@given(times, st.floats(min_value=0.5, max_value=0.95))
@settings(max_examples=60, deadline=None)
def test_savings_are_ordered_and_never_negative(ms: list[int], quantile: float) -> None:
    run = run_of(StageSpec(ms=ms))
    simulator = Simulator(run)
    for remedy in (CutTail(stages=("0.0",), to_quantile=quantile), Repartition(stages=("0.0",), partitions=8), SkipStages(stages=("0.0",))):
        wall = simulator.price((remedy,)).wall_ms
        assert 0 <= wall.low <= wall.mid <= wall.high <= run.wall_ms


SLOW = run_of(StageSpec(ms=[1_000] * 7 + [9_000]))


@pytest.mark.parametrize(
    ("remedy", "saved"),
    [
        pytest.param(CutTail(stages=("0.0",), to_quantile=0.75), 8_000, id="cut to the usual task"),
        pytest.param(SkipStages(stages=("0.0",)), 12_000, id="the stage does not run"),
        pytest.param(RemoveShare(stages=("0.0",), of="compute", ratio=0.5), 6_000, id="half of the work"),
        pytest.param(CutTail(stages=("7.0",), to_quantile=0.75), 0, id="a stage that is not there"),
    ],
)
def test_remedies(remedy: CutTail, saved: int) -> None:
    assert Simulator(SLOW).price((remedy,)).wall_ms.mid == pytest.approx(saved, abs=60)


@pytest.mark.parametrize(("partitions", "gone"), [(2, False), (8, True)], ids=["a task still holds too much", "each fits"])
def test_more_partitions_end_spilling_where_each_fits(partitions: int, gone: bool) -> None:
    spills = {
        "disk_spilled_bytes": 600 << 20,
        "memory_spilled_bytes": 700 << 20,
        "peak_execution_memory_bytes": 300 << 20,
        "run_ms": 20_000,
    }
    plain = run_of(StageSpec(ms=[20_000] * 2))
    run = run_of(StageSpec(ms=[20_000] * 2, columns=spills))
    remedy = (Repartition(stages=("0.0",), partitions=partitions),)
    saved = Simulator(run).price(remedy).wall_ms
    assert (saved.mid > Simulator(plain).price(remedy).wall_ms.mid + 1_000) is gone
    assert saved.low <= saved.mid <= saved.high


def test_repartition_keeps_the_work() -> None:
    run = run_of(StageSpec(ms=[20_000]))
    # Two tasks side by side on two cores take a fifth longer than one alone: 20 s of work become 12 s, not 10; each new task costs a little too.
    assert Simulator(run).price((Repartition(stages=("0.0",), partitions=4),)).wall_ms.mid == pytest.approx(8_000, rel=0.05)


def test_driver_gap_gives_back_what_it_says() -> None:
    run = run_of(StageSpec(ms=[1_000] * 2), StageSpec(ms=[1_000] * 2, gap_ms=6_000), tail_ms=2_000)
    assert Simulator(run).price((DriverGap(ms=4_000),)).wall_ms.mid == pytest.approx(4_000, abs=1)


def test_failed_attempts_can_be_left_out() -> None:
    run = run_of(StageSpec(ms=[3_000, 1_000, 1_000, 1_000], index=[0, 1, 2, 0], status=[FAILED, SUCCESS, SUCCESS, SUCCESS]))
    assert Simulator(run).price((RemoveShare(stages=("0.0",), of="failed", ratio=1.0),)).wall_ms.mid > 0


def test_a_slow_executor_made_like_the_others() -> None:
    owner = [0, 1] * 4
    run = run_of(StageSpec(ms=[5_000 if e else 1_000 for e in owner], executors=owner), executors=2, cores=1)
    assert Simulator(run).price((DropExecutor(id="1"),)).wall_ms.mid >= 10_000


def test_more_executors_never_take_longer_and_fewer_never_less() -> None:
    run = run_of(StageSpec(ms=[1_000] * 48), executors=4, cores=1)
    model = ReplayModel.of(run)
    walls = [replay(apply(model, (Resize(executors=n),))).wall_ms for n in (1, 2, 4, 8, 16)]
    assert walls == sorted(walls, reverse=True)
    assert walls[2] == pytest.approx(run.wall_ms, abs=1)


@pytest.mark.parametrize(
    ("host", "one_executor_ms"),
    [
        # Beside 700 ms of run time a task takes 300, the least crowded one 100: on half the executors the 200 of crowding halve.
        pytest.param("one", 8 * 1_000 - 7 * 100, id="executors that share the driver's machine crowd each other"),
        pytest.param("own", 8 * 1_000, id="executors with machines of their own do not"),
    ],
)
def test_starting_tasks_is_cheaper_on_a_machine_with_fewer_executors(host: str, one_executor_ms: int) -> None:
    ids = ("1", "2", "driver")
    stage = StageSpec(ms=[1_000] * 8, columns={"run_ms": [900, *[700] * 7]}, executors=[0, 1] * 4)
    run = run_of(stage, executors=3, cores=1, executor_columns={"executor_id": ids, "host": (host, host, "one")})
    job = replay(apply(ReplayModel.of(run), (Resize(executors=1),)))
    assert job.job_end_ms[0] - job.job_start_ms[0] == pytest.approx(one_executor_ms, abs=1)


def test_overlapping_remedies_are_not_counted_twice() -> None:
    cut, skip = CutTail(stages=("0.0",), to_quantile=0.75), SkipStages(stages=("0.0",))
    simulator = Simulator(SLOW)
    together = simulator.price((cut, skip)).wall_ms.mid
    assert together <= simulator.price((cut,)).wall_ms.mid + simulator.price((skip,)).wall_ms.mid
    assert together == pytest.approx(simulator.price((skip,)).wall_ms.mid, abs=1)


def test_jobs_side_by_side_share_the_slots() -> None:
    run = run_of(StageSpec(ms=[2_000] * 4), StageSpec(ms=[2_000] * 4))
    object.__setattr__(run.jobs, "submitted_ms", np.full(2, run.jobs.submitted_ms[0]))
    assert replay(ReplayModel.of(run)).wall_ms >= 8_000


LOGS_OF_SIZE = (
    "cluster_information__eventlog_4nodes_8cores_dynamic_alloc.zstd",
    "eventlog_v2_local-1623876083964",
    "spark-events-profiling__tasks_executors_fail_compressed_eventlog.zstd",
    "spark-events-qualification__jdbc_eventlog.zstd",
    "spark-events-qualification__nds_q72_dataproc_2_2.zstd",
    "spark-events-qualification__pandas_execs_eventlog.zstd",
)


def test_real_runs_are_reproduced(shared_logs: object) -> None:
    """Median over the logs of at least 200 tasks: application time within 2 %, job time within 3 %."""
    application, jobs = [], []
    for name in LOGS_OF_SIZE:
        simulator = Simulator(read_run(f"{shared_logs}/{name}"))
        observed = np.array([j.observed_ms for j in simulator.model.jobs])
        replayed = simulator.base.job_end_ms - simulator.base.job_start_ms
        application.append(simulator.error_ratio)
        jobs.append(float(np.nanmedian(np.abs(replayed - observed) / np.maximum(observed, 1))))
    assert np.median(application) < 0.02
    assert np.median(jobs) < 0.03
