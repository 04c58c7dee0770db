"""Run time of a Spark job from a few earlier runs: nodes, input size and the job's own parameters in, seconds and an interval out."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from spark_copilot.ml.runtime_baselines import Baseline, Boosting, Ernest, Linear, Network
from spark_copilot.ml.runtime_columns import SLOPES, BadHistory, Scaling, check, columns_of, encode, names_of
from spark_copilot.ml.runtime_contributions import contributions
from spark_copilot.ml.runtime_kernels import Floats
from spark_copilot.ml.runtime_process import LogProcess

MIN_RUNS = 3
MIN_RUNS_TO_SWITCH = 8  # below, a leave-one-out comparison is mostly luck
MIN_RUNS_FOR_TREES = 20
GOOD_ENOUGH = 0.03  # leave-one-out error under which trees are not worth their time
FURTHEST = 8.0  # predictions stay within e^8 of the seconds seen: far outside a power law is no longer a statement
MAX_ROWS = 1500  # distinct configurations kept; the process costs their cube


class RuntimePredictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts seconds; scikit-learn's conventions hold, so it works in pipelines and cross-validation.

    Parameters
    ----------
    features : column names, in the order of X when X is an array. Default: every column.
    kinds : what a column is, by name: "scale_out", "input_size", "count", "fraction", "tolerance", "machine", and for memory
        "memory" (of the whole cluster) or "memory_per_node"; with one of these two, data per memory becomes an input of its own.
        A column without a kind is a count.

    Attributes
    ----------
    model_ : which model speaks: "process", or a baseline whose leave-one-out error was clearly lower.
    scores_ : mean absolute leave-one-out error of log seconds by model; 0.05 is about 5 %.
    n_runs_ : runs it rests on.
    baseline_seconds_ : prediction at the median run, from which `explain` counts.

    Outside the data the process continues as a power law and its interval widens, also at a value between others that no run has; a baseline chosen by leave-one-out is asked
    inside the range of every column only, and the process outside it.
    """

    def __init__(self, features: Sequence[str] | None = None, kinds: Mapping[str, str] | None = None) -> None:
        self.features = features
        self.kinds = kinds

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _read(self, table: Any, *, reset: bool) -> Floats:
        if not hasattr(table, "shape") and names_of(table) is None and not hasattr(table, "__array__"):
            table = list(table) if not isinstance(table, (str, bytes)) else table
        if self.features is None:
            plain = validate_data(self, table, reset=reset, dtype=float, ensure_min_samples=MIN_RUNS if reset else 1)
            if reset:
                self.features_ = [str(f) for f in getattr(self, "feature_names_in_", [f"x{i}" for i in range(plain.shape[1])])]
            columns: list[Any] = list(plain.T)
        else:
            if reset:
                self.features_ = [str(f) for f in self.features]
                self.n_features_in_ = len(self.features_)
            columns = columns_of(table, self.features_)
        if reset:
            self._check_kinds()
            self._machines: dict[str, dict[str, int]] = {}
        x = encode(columns, self.features_, self.kinds or {}, self._machines)
        check(x, self.features_, self.kinds or {})
        return x

    def _check_kinds(self) -> None:
        kinds = dict(self.kinds or {})
        if not self.features_ or len(set(self.features_)) != len(self.features_):
            raise BadHistory("features must name at least one column, each once")
        for name, kind in kinds.items():
            if kind not in SLOPES:
                raise BadHistory(f"kinds: {kind!r} of column {name} is none of {', '.join(SLOPES)}")
            if name not in self.features_:
                raise BadHistory(f"kinds: column {name} is not among the features {', '.join(self.features_)}")

    def fit(self, X: Any, y: Any) -> "RuntimePredictor":  # noqa: N803 - scikit-learn's name
        """Rest on at least three runs; X has shape (n_runs, n_features), y holds seconds above zero."""
        if y is None:
            raise BadHistory("requires y to be passed, but the target y is None: the seconds of each run")
        x = self._read(X, reset=True)
        seconds = _seconds(y, len(x))
        if len(x) < MIN_RUNS:
            raise BadHistory(f"{len(x)} sample(s): a prediction needs at least {MIN_RUNS} runs")
        self.n_runs_ = len(x)
        raw, log_seconds, repeats = _distinct(x, np.log(seconds))
        kinds = [dict(self.kinds or {}).get(f, "count") for f in self.features_]
        self._scaling = Scaling.of(raw, kinds)
        scaled = self._scaling(raw)
        self._process = LogProcess(self._scaling.design).fit(scaled, log_seconds, repeats)
        self._low, self._high = raw.min(axis=0), raw.max(axis=0)
        self._span = (float(log_seconds.min()) - FURTHEST, float(log_seconds.max()) + FURTHEST)
        self._centre = np.median(raw, axis=0)
        for column, kind in enumerate(kinds):
            if kind == "machine":  # a median of codes is no machine: take the most frequent one
                values, counts = np.unique(raw[:, column], return_counts=True)
                self._centre[column] = values[np.argmax(counts)]
        self._choose(raw, scaled, log_seconds, kinds)
        self.baseline_seconds_ = float(self._seconds_of(self._centre[None, :])[0])
        return self

    def _choose(self, raw: Floats, scaled: Floats, log_seconds: Floats, kinds: list[str]) -> None:
        own = np.abs(self._process.loo_error_)
        self.scores_ = {"process": float(own.mean())}
        self.model_, self._baseline = "process", None
        if len(raw) < MIN_RUNS_TO_SWITCH:
            return
        candidates: dict[str, Baseline] = {"linear": Linear(scaled, log_seconds), "network": Network(scaled, log_seconds)}
        if "scale_out" in kinds:
            size = kinds.index("input_size") if "input_size" in kinds else None
            candidates["ernest"] = Ernest(raw, log_seconds, kinds.index("scale_out"), size)
        if len(raw) >= MIN_RUNS_FOR_TREES and own.mean() > GOOD_ENOUGH:
            candidates["boosting"] = Boosting(scaled, log_seconds)
        best = 0.0
        for name, model in candidates.items():
            errors = np.abs(model.loo)
            self.scores_[name] = float(errors.mean())
            gain = own - errors
            clear = float(gain.mean() - 2 * gain.std(ddof=1) / np.sqrt(len(gain)))
            if clear > best:
                best, self.model_, self._baseline = clear, name, model

    def _inside(self, x: Floats) -> NDArray[np.bool_]:
        """Where the baseline is asked: never without one, nor outside the range of any column."""
        return np.asarray(((x >= self._low) & (x <= self._high)).all(axis=1) & (self._baseline is not None))

    def _log(self, x: Floats, scaled: Floats) -> Floats:
        mean = self._process.mean(scaled)
        if self._baseline is not None:
            mean = np.where(self._inside(x), self._baseline.predict(x, scaled), mean)
        return np.clip(mean, *self._span)

    def _seconds_of(self, x: Floats) -> Floats:
        return np.asarray(np.exp(self._log(x, self._scaling(x))), dtype=float)

    def predict(self, X: Any) -> Floats:  # noqa: N803
        """Seconds, shape (n_runs,), always above zero."""
        check_is_fitted(self)
        return self._seconds_of(self._read(X, reset=False))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[Floats, Floats]:  # noqa: N803
        """Seconds (low, high) between which one new run falls with probability `coverage`; wider with fewer runs and further out."""
        check_is_fitted(self)
        if not 0 < coverage < 1:
            raise BadHistory(f"coverage must lie between 0 and 1, got {coverage}")
        x = self._read(X, reset=False)
        scaled = self._scaling(x)
        mean, sd, freedom = self._log(x, scaled), self._process.spread(scaled), self._process.freedom(scaled)
        if self._baseline is not None:
            sd = np.where(self._inside(x), max(float(np.sqrt(np.mean(self._baseline.loo**2))), 1e-6), sd)
        reach = np.minimum(student.ppf(0.5 + coverage / 2, freedom) * sd, 2 * FURTHEST)
        return np.exp(mean - reach), np.exp(mean + reach)

    def explain(self, X: Any) -> dict[str, Floats]:  # noqa: N803
        """Seconds each feature adds (or saves, below zero) against the median run: baseline_seconds_ plus their sum is the prediction."""
        check_is_fitted(self)
        x = self._read(X, reset=False)
        shares = contributions(self._seconds_of, x, self._centre)
        return {name: shares[:, i] for i, name in enumerate(self.features_)}


def _seconds(y: Any, rows: int) -> Floats:
    try:
        seconds = np.asarray(y, dtype=float)
    except (TypeError, ValueError) as error:
        raise BadHistory(f"y is not numeric: {error}") from error
    if seconds.ndim == 2 and seconds.shape[1] == 1:
        message = "A column-vector y was passed when a 1d array was expected"
        warnings.warn(message, DataConversionWarning, stacklevel=3)
        seconds = seconds[:, 0]
    if seconds.ndim != 1 or len(seconds) != rows:
        raise BadHistory(f"y must hold one number of seconds a run: {rows} runs, y has shape {seconds.shape}")
    if not np.isfinite(seconds).all():
        raise BadHistory(f"y, row {int(np.argmin(np.isfinite(seconds)))}: y contains NaN or infinity; leave such runs out")
    if (seconds <= 0).any():
        raise BadHistory(f"y, row {int(np.argmax(seconds <= 0))}: seconds must be above 0, got {seconds.min():g}")
    return seconds


def _distinct(x: Floats, log_seconds: Floats) -> tuple[Floats, Floats, Floats]:
    """Repeats of one configuration become their median: one straggling run then moves nothing."""
    raw, where, counts = np.unique(x, axis=0, return_inverse=True, return_counts=True)
    where = where.reshape(-1)
    medians = np.array([np.median(log_seconds[where == i]) for i in range(len(raw))])
    if len(raw) > MAX_ROWS:
        keep: NDArray[np.int64] = np.unique(np.linspace(0, len(raw) - 1, MAX_ROWS).astype(int))
        raw, medians, counts = raw[keep], medians[keep], counts[keep]
    return raw, medians, counts.astype(float)
