"""Plain models beside the Gaussian process. Each knows its leave-one-out error, so that choosing one costs no refitting.

Ernest, linear and network are least squares, where leaving run i out changes its residual r to r / (1 - leverage), in closed form.
Boosted trees have no such form; theirs is a five-fold error.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.ensemble import GradientBoostingRegressor

from spark_copilot.ml.runtime_kernels import Floats

HIDDEN = 24  # units of the small network
FOLDS = 5
TREES = 120


class Baseline(Protocol):
    """Predicts log seconds; `loo` holds the leave-one-out errors of the log, truth minus prediction."""

    loo: Floats

    def predict(self, raw: Floats, scaled: Floats) -> Floats:
        """`raw` as handed in, `scaled` as the process sees it."""


def _leverage(basis: Floats, ridge: Floats) -> Floats:
    inverse = np.linalg.pinv(basis.T @ basis + np.diag(ridge))
    return np.asarray(np.minimum(np.einsum("ij,jk,ik->i", basis, inverse, basis), 1 - 1e-6), dtype=float)


class Ernest:
    """seconds = a + b size / nodes + c log nodes + d nodes, none below zero (Venkataraman et al., NSDI 2016)."""

    def __init__(self, raw: Floats, log_seconds: Floats, nodes: int, size: int | None) -> None:
        self.nodes, self.size = nodes, size
        self.unit = 1.0 if size is None else float(raw[:, size].mean())
        basis, seconds = self._basis(raw), np.exp(log_seconds)
        self.weights, _ = nnls(basis, seconds)
        self.least = float(seconds.min()) / 20
        active = self.weights > 0
        leverage = _leverage(basis[:, active], np.zeros(active.sum())) if active.any() else np.zeros(len(seconds))
        left_out = seconds - (seconds - basis @ self.weights) / (1 - leverage)
        self.loo = log_seconds - np.log(np.maximum(left_out, self.least))

    def _basis(self, raw: Floats) -> Floats:
        nodes = raw[:, self.nodes]
        size = np.ones(len(raw)) if self.size is None else raw[:, self.size] / self.unit
        return np.column_stack([np.ones(len(raw)), size / nodes, np.log(nodes), nodes])

    def predict(self, raw: Floats, scaled: Floats) -> Floats:
        """Log seconds."""
        return np.asarray(np.log(np.maximum(self._basis(raw) @ self.weights, self.least)), dtype=float)


class Linear:
    """Straight line in the logarithms, that is, a power law; a whiff of ridge keeps columns that never vary at zero."""

    def __init__(self, scaled: Floats, log_seconds: Floats) -> None:
        self.centre, self.level = scaled.mean(axis=0), float(log_seconds.mean())
        basis = self._basis(scaled)
        ridge = np.append(0.0, np.full(scaled.shape[1], 0.01))
        rest = log_seconds - self.level
        self.weights = np.linalg.solve(basis.T @ basis + np.diag(ridge), basis.T @ rest)
        self.loo = (rest - basis @ self.weights) / (1 - _leverage(basis, ridge))

    def _basis(self, scaled: Floats) -> Floats:
        return np.column_stack([np.ones(len(scaled)), scaled - self.centre])

    def predict(self, raw: Floats, scaled: Floats) -> Floats:
        """Log seconds."""
        return np.asarray(self.level + self._basis(scaled) @ self.weights, dtype=float)


class Network:
    """One hidden layer with fixed random weights and a ridge output, which is what gives it closed-form leave-one-out."""

    def __init__(self, scaled: Floats, log_seconds: Floats, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.centre, spread = scaled.mean(axis=0), scaled.std(axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.hidden = rng.normal(size=(scaled.shape[1], HIDDEN)) / np.sqrt(scaled.shape[1])
        self.bias = rng.normal(size=HIDDEN)
        self.level = float(log_seconds.mean())
        basis, rest = self._basis(scaled), log_seconds - self.level
        best: tuple[float, Floats, Floats] | None = None
        for strength in (1e-3, 1e-2, 1e-1, 1.0):
            ridge = np.full(basis.shape[1], strength)
            weights = np.asarray(np.linalg.solve(basis.T @ basis + np.diag(ridge), basis.T @ rest), dtype=float)
            loo = (rest - basis @ weights) / (1 - _leverage(basis, ridge))
            if best is None or np.abs(loo).mean() < best[0]:
                best = (float(np.abs(loo).mean()), weights, loo)
        assert best is not None
        _, self.weights, self.loo = best

    def _basis(self, scaled: Floats) -> Floats:
        units = (scaled - self.centre) / self.spread
        return np.column_stack([np.ones(len(units)), units, np.tanh(units @ self.hidden + self.bias)])

    def predict(self, raw: Floats, scaled: Floats) -> Floats:
        """Log seconds."""
        return np.asarray(self.level + self._basis(scaled) @ self.weights, dtype=float)


class Boosting:
    """Gradient-boosted trees on log seconds. Constant outside the data, so nobody may ask it there."""

    def __init__(self, scaled: Floats, log_seconds: Floats, seed: int = 0) -> None:
        self.loo = np.empty_like(log_seconds)
        folds: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(log_seconds)) % FOLDS
        for fold in range(FOLDS):
            out = folds == fold
            model = self._trees(seed).fit(scaled[~out], log_seconds[~out])
            self.loo[out] = log_seconds[out] - model.predict(scaled[out])
        self.model = self._trees(seed).fit(scaled, log_seconds)

    @staticmethod
    def _trees(seed: int) -> GradientBoostingRegressor:
        return GradientBoostingRegressor(n_estimators=TREES, max_depth=3, learning_rate=0.1, random_state=seed)

    def predict(self, raw: Floats, scaled: Floats) -> Floats:
        """Log seconds."""
        return np.asarray(self.model.predict(scaled), dtype=float)
