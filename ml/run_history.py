"""How long a run should have taken by the earlier runs of its job, and whether it, or the job, has drifted from that."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from spark_copilot.ml.feature_builder import HistoryRow
from spark_copilot.ml.model_training import MIN_RUNS, RuntimeModel, columns_for, train
from spark_copilot.rules_engine.findings import Interval, Prediction

MAX_RUNS: Final = 60
"""The last runs count: a job is not what it was a year ago."""
MIN_RUNS_FOR_DRIFT: Final = 5
MIN_RUNS_FOR_TREND: Final = 8
LEAST_NOISE: Final = 0.02
LEAST_DRIFT: Final = 0.05
BEYOND_SIGMAS: Final = 3.0
OUTLIER_SIGMAS, OUTLIER_LEAST, MOST_OUTLIERS = 5.0, 0.3, 0.25
TREND_P, TREND_LEAST = 0.01, 0.1

Floats = NDArray[np.float64]


class Outcome(NamedTuple):
    """A prediction, or the reason why there is none."""

    prediction: Prediction | None
    reason: str


def predicted(now: HistoryRow, history: Sequence[HistoryRow]) -> Outcome:
    """What the runs of the same job that started before `now` say of it.

    Runs with its plan count alone where there are three of them; else all runs of the job do.
    """
    if now.features.get("tasks", 0.0) <= 0:
        return Outcome(None, "no task of this run succeeded, so there is nothing to explain its duration by")
    if not now.complete:
        return Outcome(None, "this run did not end well, or its log is not whole, so its input is not known")
    earlier = _earlier(now, history)
    if len(earlier) < MIN_RUNS:
        are = "is 1 complete earlier run" if len(earlier) == 1 else f"are {len(earlier)} complete earlier runs"
        return Outcome(None, f"there {are} of the job {now.job!r}; a prediction needs at least {MIN_RUNS}")
    alike = [row for row in earlier if row.plan == now.plan]
    same_plan = len(alike) >= MIN_RUNS
    rows = _without_outliers((alike if same_plan else earlier)[-MAX_RUNS:], now)
    model = train(rows, now.features)
    low, mid, high = model.predict_ms(now.features)
    drift = _drift(now, model, low, mid, high)
    if drift is not None and not same_plan:
        drift += "; those runs had another plan"
    return Outcome(Prediction(wall_ms=Interval(low=low, mid=mid, high=high), runs_used=len(rows), drift=drift), "")


def _earlier(now: HistoryRow, history: Sequence[HistoryRow]) -> list[HistoryRow]:
    """Complete runs of the job that started before; one row for each application attempt, in order of their start."""
    kept = {
        (row.app_id, row.attempt, row.started_ms): row
        for row in history
        if row.complete and row.wall_ms > 0 and row.job == now.job and row.started_ms < now.started_ms and _finite(row)
    }
    kept = {key: row for key, row in kept.items() if key[:2] != (now.app_id, now.attempt) or not now.app_id}
    return sorted(kept.values(), key=lambda r: (r.started_ms, r.app_id, r.attempt or ""))


def _finite(row: HistoryRow) -> bool:
    return all(math.isfinite(v) and v >= 0 for v in row.features.values())


def residuals(rows: Sequence[HistoryRow], columns: Sequence[str]) -> Floats:
    """Log duration less a robust power law of these columns (Theil-Sen for one, reweighted least squares for more): what input does not explain."""
    logs = np.log(np.array([row.wall_ms for row in rows], dtype=float))
    if not columns:
        return np.asarray(logs - np.median(logs), dtype=float)
    x = np.log(np.array([[row.features[c] for c in columns] for row in rows], dtype=float))
    x = x - np.median(x, axis=0)
    if len(columns) == 1:
        rest = logs - _slope(x[:, 0], logs) * x[:, 0]
        return np.asarray(rest - np.median(rest), dtype=float)
    basis = np.column_stack([np.ones(len(x)), x])
    ridge = np.diag([0.0, *([0.01] * len(columns))])
    weight = np.ones(len(x))
    rest = logs - np.median(logs)
    for _ in range(20):
        weighted = basis * weight[:, None]
        rest = logs - basis @ np.linalg.lstsq(weighted.T @ basis + ridge, weighted.T @ logs, rcond=None)[0]
        reach = 2.0 * _noise(rest)
        weight = np.minimum(1.0, reach / np.maximum(np.abs(rest), 1e-12))
    return np.asarray(rest, dtype=float)


def _slope(x: Floats, y: Floats) -> float:
    """Median of the slopes between pairs (Theil-Sen); 0 where nothing varies."""
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i, j in combinations(range(len(x)), 2) if abs(x[j] - x[i]) > 1e-3]
    return float(np.median(slopes)) if slopes else 0.0


def _noise(rest: Floats) -> float:
    """Robust standard deviation, from the median absolute deviation."""
    return max(1.4826 * float(np.median(np.abs(rest - np.median(rest)))), LEAST_NOISE)


def _without_outliers(rows: Sequence[HistoryRow], now: HistoryRow) -> list[HistoryRow]:
    """The runs without single stragglers. Neighbours in time that deviate alike are no stragglers: the job has changed."""
    if len(rows) < MIN_RUNS_FOR_DRIFT:
        return list(rows)
    rest = residuals(rows, columns_for(rows, now.features))
    far = np.abs(rest) > max(OUTLIER_SIGMAS * _noise(rest), OUTLIER_LEAST)
    alone = [
        bool(far[i]) and not any(far[j] and rest[j] * rest[i] > 0 for j in (i - 1, i + 1) if 0 <= j < len(rows)) for i in range(len(rows))
    ]
    if not 0 < sum(alone) <= MOST_OUTLIERS * len(rows):
        return list(rows)
    return [row for row, out in zip(rows, alone, strict=True) if not out]


def _drift(now: HistoryRow, model: RuntimeModel, low: float, mid: float, high: float) -> str | None:
    """One sentence; None where the runs are too few, or this run too unlike them, to tell."""
    count = len(model.rows)
    if count < MIN_RUNS_FOR_DRIFT or not model.within_ms(now.features):
        return None
    rest = residuals([*model.rows, now], model.columns)
    off = now.wall_ms / mid - 1
    beyond = not low <= now.wall_ms <= high and abs(rest[-1]) > BEYOND_SIGMAS * _noise(rest[:-1]) and abs(off) >= LEAST_DRIFT
    than = f"than its {model.explained_by} explains" if model.columns else "than its earlier runs"
    if len(dict.fromkeys(model.explained_by.split())) > 1:
        than = than.replace("explains", "explain")
    if beyond:
        said = f"{100 * off:.0f} % slower {than}" if off > 0 else f"{-100 * off:.0f} % faster {than}"
        return f"{said}, beyond the noise of the last {count} runs"
    trend = _trend(rest) if count >= MIN_RUNS_FOR_TREND else 0.0
    if trend:
        word = "slower" if trend > 0 else "faster"
        at = f" at the same {model.explained_by}" if model.columns else ""
        return f"within its usual range, but the job grew {abs(100 * trend):.0f} % {word}{at} over the last {count + 1} runs"
    return "within its usual range"


def _trend(rest: Floats) -> float:
    """Change of what input does not explain from the first to the last run, 0 where it may be chance (Kendall's test) or is small."""
    order = np.arange(len(rest), dtype=float)
    if float(np.ptp(rest)) < 1e-9 or not float(kendalltau(order, rest).pvalue) < TREND_P:
        return 0.0
    change = math.expm1(_slope(order, rest) * (len(rest) - 1))
    return change if abs(change) >= TREND_LEAST else 0.0
