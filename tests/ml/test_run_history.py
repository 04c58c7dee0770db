"""What a history says of the next run, and when it keeps silent."""

import math
from dataclasses import replace

import numpy as np
import pytest

from spark_copilot.ml.model_training import train
from spark_copilot.ml.run_history import MAX_RUNS, predicted, residuals
from spark_copilot.rules_engine.errors import CopilotError
from tests.ml.history import row, rows


@pytest.mark.parametrize("count", [0, 1, 2])
def test_below_three_runs_there_is_a_reason_and_no_prediction(count: int) -> None:
    found = predicted(row(99), rows(count))
    assert found.prediction is None
    assert f"{count} complete earlier run" in found.reason
    assert "at least 3" in found.reason


@pytest.mark.parametrize("count", [3, 5, 9, 30])
def test_a_run_like_its_history_is_within_its_range(count: int) -> None:
    now = row(99, 12.0)
    prediction = predicted(now, rows(count)).prediction
    assert prediction is not None
    assert prediction.runs_used == count
    wall = prediction.wall_ms
    assert wall.mid == pytest.approx(now.wall_ms, rel=0.2 if count < 9 else 0.06)
    assert 0 < wall.low < wall.mid < wall.high
    assert prediction.drift == (None if count < 5 else "within its usual range")


def test_a_regression_is_told_from_more_input() -> None:
    history = rows(12)
    more = predicted(row(99, 19.0), history).prediction
    slower = predicted(row(99, 12.0, factor=1.5), history).prediction
    faster = predicted(row(99, 12.0, factor=0.5), history).prediction
    assert more is not None
    assert more.drift == "within its usual range"
    assert slower is not None
    assert slower.drift is not None
    assert slower.drift.endswith("% slower than its input explains, beyond the noise of the last 12 runs")
    assert 40 <= int(slower.drift.split()[0]) <= 60
    assert faster is not None
    assert "% faster than its input explains" in (faster.drift or "")


def test_input_that_never_varies() -> None:
    history = rows(9, varied=False)
    usual, slow = predicted(row(99), history).prediction, predicted(row(99, factor=1.3), history).prediction
    assert usual is not None
    assert usual.drift == "within its usual range"
    assert usual.wall_ms.mid == pytest.approx(80_000, rel=0.03)
    assert slow is not None
    assert "% slower than its earlier runs, beyond the noise of the last 9 runs" in (slow.drift or "")


def test_a_size_never_seen_is_predicted_and_not_judged() -> None:
    twice = predicted(row(99, 20.0), rows(9, varied=False)).prediction
    assert twice is not None
    assert twice.drift is None
    assert twice.wall_ms.low < 130_000 < twice.wall_ms.high


def test_cluster_and_input_together() -> None:
    history = [
        replace(row(d, float(g), slots=s), app_id=f"a{d}")
        for d, (g, s) in enumerate(zip([5, 8, 12, 20, 6, 15, 9, 18] * 2, [4, 8] * 8, strict=True))
    ]
    slow = predicted(row(99, 10.0, slots=4, factor=2.0), history).prediction
    assert slow is not None
    assert "slower than its input and cluster explain," in (slow.drift or "")


def test_one_straggler_moves_nothing_and_a_changed_job_does() -> None:
    history = rows(12)
    spoilt = [replace(r, wall_ms=r.wall_ms * 10) if i == 5 else r for i, r in enumerate(history)]
    calm, with_straggler = predicted(row(99, 12.0), history).prediction, predicted(row(99, 12.0), spoilt).prediction
    assert calm is not None
    assert with_straggler is not None
    assert with_straggler.runs_used == 11
    assert with_straggler.wall_ms.mid == pytest.approx(calm.wall_ms.mid, rel=0.05)
    changed = [replace(r, wall_ms=r.wall_ms * 2) if i >= 9 else r for i, r in enumerate(history)]
    after = predicted(row(99, 12.0, factor=2.0), changed).prediction
    assert after is not None
    assert after.runs_used == 12


def test_a_job_that_creeps() -> None:
    history = [replace(r, wall_ms=round(r.wall_ms * 1.03**i)) for i, r in enumerate(rows(14, noise=0.01))]
    prediction = predicted(row(99, 12.0, factor=1.03**14), history).prediction
    assert prediction is not None
    assert prediction.drift is not None
    assert "slower" in prediction.drift


def test_noise_alone_is_seldom_called_a_drift() -> None:
    alarms = 0
    for seed in range(40):
        *history, now = rows(13, noise=0.08, seed=seed)
        prediction = predicted(now, history).prediction
        assert prediction is not None
        alarms += prediction.drift != "within its usual range"
    assert alarms <= 3


def test_only_runs_before_this_one_of_its_job_count_and_each_once() -> None:
    history = rows(5)
    foreign = [replace(r, job="other") for r in rows(5)]
    later = [row(200 + d) for d in range(5)]
    broken = [replace(row(10 + d, factor=0.01), complete=False) for d in range(5)]
    itself = [replace(row(4), app_id="app-99"), row(99)]
    prediction = predicted(row(99), [*history, *history, *foreign, *later, *broken, *itself]).prediction
    assert prediction is not None
    assert prediction.runs_used == 5


def test_the_same_plan_counts_alone_where_there_is_enough_of_it() -> None:
    old = [row(d, 5.0 + d, plan="old", factor=3.0) for d in range(8)]
    new = [row(20 + d, 5.0 + d) for d in range(6)]
    prediction = predicted(row(99, 8.0), [*old, *new]).prediction
    assert prediction is not None
    assert prediction.runs_used == 6
    changed = predicted(row(99, 8.0, plan="third", factor=9.0), old).prediction
    assert changed is not None
    assert changed.runs_used == 8
    assert (changed.drift or "").endswith("; those runs had another plan")


def test_the_last_runs_count() -> None:
    prediction = predicted(row(999), rows(MAX_RUNS + 20)).prediction
    assert prediction is not None
    assert prediction.runs_used <= MAX_RUNS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"complete": False}, "did not end well", id="incomplete"),
        pytest.param({"features": {**row(1).features, "tasks": 0.0}}, "no task", id="no task"),
        pytest.param({"features": {}}, "no task", id="no features"),
    ],
)
def test_a_run_that_cannot_be_judged(changes: dict[str, object], words: str) -> None:
    found = predicted(replace(row(99), **changes), rows(9))  # type: ignore[arg-type]
    assert found.prediction is None
    assert words in found.reason


def test_rows_with_nan_or_without_a_column_teach_nothing() -> None:
    nan = [replace(row(20 + d), features={**row(1).features, "input_bytes": math.nan}) for d in range(3)]
    infinite = [replace(row(30 + d), features={**row(1).features, "slots": math.inf}) for d in range(3)]
    negative = [replace(row(40 + d), features={**row(1).features, "input_bytes": -1.0}) for d in range(3)]
    prediction = predicted(row(99), [*rows(6), *nan, *infinite, *negative]).prediction
    assert prediction is not None
    assert prediction.runs_used == 6
    without = [replace(row(50 + d), features={"slots": 8.0}) for d in range(3)]
    prediction = predicted(row(99), [*rows(6), *without]).prediction
    assert prediction is not None
    assert prediction.wall_ms.low > 0


def test_a_constant_duration_whatever_the_input() -> None:
    history = [replace(r, wall_ms=60_000) for r in rows(10)]
    prediction = predicted(replace(row(99), wall_ms=60_000), history).prediction
    assert prediction is not None
    assert prediction.wall_ms.mid == pytest.approx(60_000, rel=0.05)
    assert prediction.drift == "within its usual range"
    level = predicted(replace(row(99), wall_ms=60_000), [replace(r, wall_ms=60_000) for r in rows(4, varied=False)]).prediction
    assert level is not None
    assert level.wall_ms.low < level.wall_ms.mid < level.wall_ms.high


def test_a_column_missing_at_prediction_is_one_clear_error() -> None:
    model = train(rows(6))
    for features, words in (
        ({"slots": 8.0}, "input_bytes"),
        ({"input_bytes": math.nan}, "input_bytes"),
        ({"input_bytes": -4.0}, "input_bytes"),
    ):
        with pytest.raises(CopilotError, match=words):
            model.predict_ms(features)


def test_intervals_hold_as_often_as_they_say() -> None:
    held = []
    for seed in range(30):
        *history, now = rows(10, noise=0.06, seed=100 + seed)
        prediction = predicted(now, history).prediction
        assert prediction is not None
        held.append(prediction.wall_ms.low <= now.wall_ms <= prediction.wall_ms.high)
    assert np.mean(held) >= 0.85


def test_residuals_are_robust() -> None:
    history = rows(15, noise=0.0)
    spoilt = [replace(r, wall_ms=r.wall_ms * 8) if i == 3 else r for i, r in enumerate(history)]
    rest = residuals(spoilt, ("input_bytes",))
    assert rest[3] == pytest.approx(np.log(8), rel=0.1)
    assert np.abs(np.delete(rest, 3)).max() < 0.15
