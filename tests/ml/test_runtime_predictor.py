"""The run-time predictor keeps scikit-learn's contract, its own promises on few runs, and says what is wrong with bad input."""

import pickle
import re
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from spark_copilot.ml.runtime_baselines import Ernest, Linear
from spark_copilot.ml.runtime_columns import Scaling
from spark_copilot.ml.runtime_predictor import RuntimePredictor
from spark_copilot.ml.runtime_process import LogProcess
from spark_copilot.rules_engine.errors import CopilotError

FEATURES = ["nodes", "gigabytes"]
KINDS = {"nodes": "scale_out", "gigabytes": "input_size"}


class Table:
    """The least that counts as a DataFrame."""

    def __init__(self, **columns: Any) -> None:
        self.data = {name: list(values) for name, values in columns.items()}
        self.columns = list(self.data)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def __len__(self) -> int:
        return len(next(iter(self.data.values())))


def history(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Runs that follow fixed cost + size / nodes, with 2 % noise."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(2, 12, count), rng.uniform(10, 100, count)]).astype(float)
    return x, (30 + 40 * x[:, 1] / x[:, 0]) * np.exp(0.02 * rng.normal(size=count))


@parametrize_with_checks([RuntimePredictor()])  # type: ignore[untyped-decorator]
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("count", [3, 4, 6, 10, 30])
def test_few_runs_give_positive_ordered_answers(count: int) -> None:
    x, y = history(count)
    model = RuntimePredictor(FEATURES, KINDS).fit(x, y)
    far = np.array([[1.0, 1.0], [5.0, 50.0], [1e4, 1e6], [1.0, 1e9], [1e6, 1e-6]])
    low, high = model.predict_interval(far)
    seconds = model.predict(far)
    assert np.isfinite(np.concatenate([low, seconds, high])).all()
    assert (low > 0).all()
    assert (low < seconds).all()
    assert (seconds < high).all()
    assert model.n_runs_ == count


def test_error_falls_with_runs_and_stays_small_outside() -> None:
    truth, seconds = history(200, seed=1)
    errors = {}
    for count in (6, 30):
        model = RuntimePredictor(FEATURES, KINDS).fit(*history(count))
        errors[count] = float(np.mean(np.abs(model.predict(truth) / seconds - 1)))
    assert errors[30] < 0.06 < 0.3
    assert errors[30] < errors[6] < 0.25
    model = RuntimePredictor(FEATURES, KINDS).fit(*history(30))
    assert model.predict([[20.0, 200.0]])[0] == pytest.approx(30 + 40 * 10, rel=0.25)


def test_speed_up_flattens_where_a_part_does_not_scale() -> None:
    nodes = np.array([[2.0], [3.0], [4.0], [6.0], [8.0], [10.0], [12.0]])
    model = RuntimePredictor(["nodes"], {"nodes": "scale_out"}).fit(nodes, 60 + 600 / nodes[:, 0])
    far = model.predict([[24.0], [48.0]])
    assert far[0] == pytest.approx(60 + 600 / 24, rel=0.02)
    assert far[1] == pytest.approx(60 + 600 / 48, rel=0.03)  # a power law through these runs says 42 s


def test_a_fixed_part_shows_below_the_smallest_input() -> None:
    iterations = np.array([[20.0], [30.0], [50.0], [70.0], [100.0]])
    model = RuntimePredictor(["iterations"], {"iterations": "count"}).fit(iterations, 100 + iterations[:, 0])
    assert model.predict([[1.0]])[0] == pytest.approx(101, rel=0.15)  # a power law through these runs says 45 s


def test_what_is_odd_about_one_configuration_holds_for_its_other_runs() -> None:
    """At 5 nodes and 50 GB the tasks leave cores idle: 30 % longer, whatever k; the neighbours know nothing of it."""
    grid = np.array([[n, size, k] for n in (3, 4, 5, 6, 7) for size in (30, 40, 50, 60, 70) for k in (1, 2, 4, 8)], dtype=float)
    odd = (grid[:, 0] == 5) & (grid[:, 1] == 50)
    seconds = (30 + 40 * grid[:, 1] / grid[:, 0]) * grid[:, 2] ** 0.2 * np.where(odd, 1.3, 1.0)
    unseen = odd & (grid[:, 2] == 4)
    model = RuntimePredictor([*FEATURES, "k"], {**KINDS, "k": "count"}).fit(grid[~unseen], seconds[~unseen])
    assert model.predict(grid[unseen])[0] == pytest.approx(seconds[unseen][0], rel=0.03)
    assert model.predict([[5.0, 60.0, 3.0]])[0] == pytest.approx((30 + 40 * 12) * 3**0.2, rel=0.02)


def test_intervals_widen_outside_and_with_coverage() -> None:
    model = RuntimePredictor(FEATURES, KINDS).fit(*history(15))
    rows = np.array([[6.0, 50.0], [100.0, 2000.0]])
    wide, narrow = model.predict_interval(rows, 0.95), model.predict_interval(rows, 0.5)
    ratio = wide[1] / wide[0]
    assert ratio[1] > ratio[0]
    assert (wide[0] < narrow[0]).all()
    assert (wide[1] > narrow[1]).all()


def test_intervals_hold_at_a_value_no_run_has() -> None:
    """Each k has its own factor, which no law gives away; four of them say little of a fifth."""
    held, wider = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        x, y = history(60, seed)
        k = rng.choice([1.0, 2.0, 4.0, 8.0, 16.0], 60)
        y = y * np.exp(0.2 * rng.normal(size=5))[np.log2(k).astype(int)]
        x, unseen = np.column_stack([x, k]), k == rng.choice([1.0, 2.0, 4.0, 8.0, 16.0])
        model = RuntimePredictor([*FEATURES, "k"], {**KINDS, "k": "count"}).fit(x[~unseen], y[~unseen])
        (low, high), (known_low, known_high) = model.predict_interval(x[unseen]), model.predict_interval(x[~unseen])
        held.append(np.mean((low <= y[unseen]) & (y[unseen] <= high)))
        wider.append(np.median(high / low) > np.median(known_high / known_low))
    assert np.mean(held) > 0.8
    assert all(wider)


def test_runs_at_one_value_are_one_witness_of_another() -> None:
    x = np.array([[n, size, k] for n in (2, 4, 8) for size in (10.0, 20.0, 40.0, 80.0) for k in (1, 2, 4)], dtype=float)
    scaling = Scaling.of(x, [*KINDS.values(), "count"])
    process = LogProcess(scaling.design).fit(scaling(x), np.log(30 + 40 * x[:, 1] / x[:, 0]) + 0.1 * x[:, 2], np.ones(len(x)))
    asked = np.array([[2, 10, 1], [6, 10, 1], [2, 160, 1], [2, 10, 3], [6, 160, 3]], dtype=float)
    np.testing.assert_array_equal(process.freedom(scaling(asked)), [35, 4, 5, 2, 2])


def test_contributions_add_up() -> None:
    x, y = history(20)
    model = RuntimePredictor(FEATURES, KINDS).fit(x, y)
    parts = model.explain(x[:4])
    assert list(parts) == FEATURES
    np.testing.assert_allclose(model.baseline_seconds_ + sum(parts.values()), model.predict(x[:4]))
    more = model.explain([[float(np.median(x[:, 0])), 500.0]])
    assert more["gigabytes"][0] > 0


def test_columns_are_found_by_name() -> None:
    x, y = history(12)
    model = RuntimePredictor(FEATURES, KINDS).fit(Table(extra=[0] * 12, gigabytes=x[:, 1], nodes=x[:, 0]), y)
    np.testing.assert_allclose(model.predict(Table(gigabytes=x[:, 1], nodes=x[:, 0])), model.predict(x))


def test_machine_types_are_told_apart_and_a_new_one_is_answered() -> None:
    x, y = history(16)
    types = ["m5.xlarge", "c5.xlarge"] * 8
    slower = np.where(np.array(types) == "m5.xlarge", 2.0, 1.0) * y
    model = RuntimePredictor([*FEATURES, "machine"], {**KINDS, "machine": "machine"})
    model.fit(Table(nodes=x[:, 0], gigabytes=x[:, 1], machine=types), slower)
    rows = Table(nodes=[6.0] * 3, gigabytes=[50.0] * 3, machine=["m5.xlarge", "c5.xlarge", "z9.huge"])
    seconds = model.predict(rows)
    low, high = model.predict_interval(rows)
    assert seconds[0] / seconds[1] == pytest.approx(2.0, rel=0.2)
    assert high[2] / low[2] > high[0] / low[0]


def test_a_memory_cliff_is_followed() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(2, 12, 40), rng.uniform(50, 400, 40), rng.choice([16.0, 32.0], 40)]).astype(float)
    over = x[:, 1] > x[:, 0] * x[:, 2]
    y = 20 * x[:, 1] / x[:, 0] * np.where(over, 4.0, 1.0)
    kinds = {**KINDS, "memory": "memory_per_node"}
    model = RuntimePredictor([*FEATURES, "memory"], kinds).fit(x, y)
    fits, spills = model.predict([[10.0, 60.0, 32.0], [3.0, 380.0, 16.0]])
    assert fits == pytest.approx(120, rel=0.3)
    assert spills == pytest.approx(4 * 20 * 380 / 3, rel=0.3)


def test_a_constant_target_is_learnt() -> None:
    x, _ = history(8)
    model = RuntimePredictor(FEATURES, KINDS).fit(x, np.full(8, 60.0))
    low, high = model.predict_interval(x)
    np.testing.assert_allclose(model.predict(x), 60, rtol=0.1)
    assert (low > 0).all()
    assert np.isfinite(high).all()


def test_repeats_outvote_a_straggler() -> None:
    x, y = history(10)
    x, y = np.repeat(x, 5, axis=0), np.repeat(y, 5)
    spoilt = y.copy()
    spoilt[::5] *= 10
    a, b = RuntimePredictor(FEATURES, KINDS).fit(x, y), RuntimePredictor(FEATURES, KINDS).fit(x, spoilt)
    np.testing.assert_allclose(a.predict(x), b.predict(x), rtol=1e-6)


def test_same_runs_same_model_also_through_pickle_and_clone() -> None:
    x, y = history(25)
    model = RuntimePredictor(FEATURES, KINDS).fit(x, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(x), model.predict(x))
    np.testing.assert_array_equal(clone(model).fit(x, y).predict(x), model.predict(x))


def test_the_gradient_is_that_of_the_loss() -> None:
    x, y = history(12)
    types = np.repeat([0.0, 1.0], 6)
    scaling = Scaling.of(np.column_stack([x, types]), [*KINDS.values(), "machine"])
    rows, target = scaling(np.column_stack([x, types])), np.log(y)
    process = LogProcess(scaling.design).fit(rows, target, np.ones(12))
    z = np.random.default_rng(0).normal(size=len(process.theta_)) / 2
    arguments = (rows, process.kernel_.distances(rows, rows), target, np.ones(12))
    numeric = [(process._loss(z + step, *arguments)[0] - process._loss(z - step, *arguments)[0]) / 2e-5 for step in 1e-5 * np.eye(len(z))]
    np.testing.assert_allclose(process._loss(z, *arguments)[1], numeric, rtol=1e-3, atol=1e-4)


def test_leave_one_out_of_the_process_equals_conditioning_again() -> None:
    x, y = history(9)
    scaling = Scaling.of(x, list(KINDS.values()))
    rows, target = scaling(x), np.log(y)
    process = LogProcess(scaling.design).fit(rows, target, np.ones(9))
    kernel, theta = process.kernel_, process.theta_
    runs = kernel.runs(rows, theta)
    matrix = kernel.covariance(theta, runs, runs).matrix
    np.testing.assert_allclose(np.diag(matrix), kernel.variance(theta, runs))
    matrix = matrix + (kernel.noise(theta) ** 2 + 1e-8) * np.eye(9)
    rest = target - kernel.trend(runs) - process.level_
    for i in range(9):
        keep = np.arange(9) != i
        expected = matrix[i, keep] @ np.linalg.solve(matrix[np.ix_(keep, keep)], rest[keep])
        assert process.loo_error_[i] == pytest.approx(rest[i] - expected, abs=1e-6)


def test_leave_one_out_of_the_line_equals_refitting() -> None:
    x, y = history(9)
    scaled = Scaling.of(x, list(KINDS.values()))(x)
    closed = Ernest(x, np.log(y), 0, 1)
    assert closed.loo.shape == (9,)
    line = Linear(scaled, np.log(y))
    refitted = [np.log(y[i]) - _without(scaled, np.log(y), i) for i in range(9)]
    np.testing.assert_allclose(line.loo, refitted, rtol=0.05, atol=0.01)


def _without(scaled: Any, target: Any, i: int) -> float:
    keep = np.arange(len(target)) != i
    return float(Linear(scaled[keep], target[keep]).predict(scaled[[i]], scaled[[i]])[0])


GOOD = np.array([[2.0, 10.0], [4.0, 20.0], [8.0, 40.0]])
SECONDS = [100.0, 90.0, 80.0]


@pytest.mark.parametrize(
    ("x", "y", "kinds", "words"),
    [
        pytest.param(GOOD[:2], SECONDS[:2], KINDS, "at least 3 runs", id="two runs"),
        pytest.param(GOOD, None, KINDS, "y is None", id="no target"),
        pytest.param(GOOD, SECONDS[:2], KINDS, "3 runs, y has shape (2,)", id="lengths differ"),
        pytest.param(GOOD, [1.0, float("nan"), 2.0], KINDS, "y, row 1: y contains NaN", id="NaN seconds"),
        pytest.param(GOOD, [1.0, 2.0, -3.0], KINDS, "y, row 2: seconds must be above 0", id="negative seconds"),
        pytest.param([[2.0, 1.0], [4.0, float("nan")], [8.0, 1.0]], SECONDS, KINDS, "column gigabytes, row 1", id="NaN input"),
        pytest.param([[2.0, 1.0], [0.0, 1.0], [8.0, 1.0]], SECONDS, KINDS, "column nodes, row 1: scale_out must be above 0", id="no nodes"),
        pytest.param(Table(nodes=[1, 2, 3]), SECONDS, KINDS, "column gigabytes is missing", id="column missing at fitting"),
        pytest.param(Table(nodes=["a", "b", "c"], gigabytes=[1, 2, 3]), SECONDS, KINDS, "column nodes is not numeric", id="text"),
        pytest.param(GOOD, SECONDS, {"nodes": "speed"}, "'speed' of column nodes is none of", id="unknown kind"),
        pytest.param(GOOD, SECONDS, {"node": "scale_out"}, "column node is not among the features", id="kind of no column"),
    ],
)
def test_bad_history_is_one_clear_error(x: Any, y: Any, kinds: dict[str, str], words: str) -> None:
    with pytest.raises(CopilotError, match=re.escape(words)):
        RuntimePredictor(FEATURES, kinds).fit(x, y)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param(Table(nodes=[1.0]), "column gigabytes is missing", id="column missing"),
        pytest.param([[1.0]], "1 features", id="too few columns"),
        pytest.param([[1.0, float("inf")]], "column gigabytes, row 0", id="infinite"),
        pytest.param([[-1.0, 1.0]], "scale_out must be above 0", id="negative nodes"),
    ],
)
def test_bad_rows_at_prediction_are_one_clear_error(rows: Any, words: str) -> None:
    model = RuntimePredictor(FEATURES, KINDS).fit(GOOD, SECONDS)
    with pytest.raises(CopilotError, match=re.escape(words)):
        model.predict(rows)
    with pytest.raises(CopilotError, match="coverage"):
        model.predict_interval(GOOD, 1.5)
