"""A Gaussian process on the logarithm of run time, made for few runs: kernel, its gradient, and leave-one-out in closed form.

Kernel = linear part with a prior on each slope + products of Matern-5/2 over every subset of up to four features + a rough term
on the node count (task waves make steps) + noise. Hyper-parameters are the most probable ones under log-normal priors.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

MAX_ORDER = 4  # features in one product; a fifth never helped and costs time
MAX_VALUES = 12  # a column with more is continuous enough for leave-one-out to see
PSEUDO_VALUES = 2.0  # a few values say little: shrink the widening towards none
MANY = 8  # features; with more, products of two only
MAX_TUNING_ROWS = 250  # above this the hyper-parameters are tuned on an even subset
INTERCEPT_SD = 4.0  # e^4: a baseline 50 times off the prior is still plausible
JITTER = 1e-8
ROOT5 = float(np.sqrt(5.0))
# Medians and spreads (natural log) of the log-normal priors.
AMPLITUDE = ((0.25, 1.0), (0.15, 1.0), (0.10, 1.0), (0.08, 1.0))
LENGTH = (1.5, 0.8)
WAVE_AMPLITUDE = (0.05, 0.8)
WAVE_LENGTH = (0.5, 0.5)
NOISE = (0.02, 0.8)
GROUP_SD = 0.5  # how far a machine type may lie from the others


@dataclass(frozen=True, slots=True)
class Design:
    """How each column enters: `groups` are codes compared for equality, the rest are numbers on a log or linear scale."""

    slope_mean: Floats
    slope_sd: Floats
    bend_mean: Floats
    bend_sd: Floats
    groups: NDArray[np.bool_]
    wave: int | None = None


def _distances(a: Floats, b: Floats, groups: NDArray[np.bool_]) -> Floats:
    """Shape (n_features, n_a, n_b)."""
    gap = np.abs(a.T[:, :, None] - b.T[:, None, :])
    gap[groups] = gap[groups] > 0
    return gap


def _symmetric(parts: Floats, order: int) -> list[Floats]:
    """Elementary symmetric polynomials e_0 .. e_order of the kernels, that is, sums of products over all subsets of each size."""
    sums = [np.ones(parts.shape[1:])] + [np.zeros(parts.shape[1:]) for _ in range(order)]
    for part in parts:
        for size in range(order, 0, -1):
            sums[size] = sums[size] + part * sums[size - 1]
    return sums


class LogProcess:
    """The process itself; `fit` takes rows already scaled by `Design`'s owner and log seconds."""

    def __init__(self, design: Design) -> None:
        self.design = design

    def _linear(self, a: Floats, b: Floats) -> Floats:
        design = self.design
        numbers = ~design.groups
        scaled = (design.slope_sd**2)[numbers]
        kernel = INTERCEPT_SD**2 + (a[:, numbers] - self.centre_[numbers]) * scaled @ (b[:, numbers] - self.centre_[numbers]).T
        kernel = kernel + self._bend(a) * design.bend_sd**2 @ self._bend(b).T
        for column in np.flatnonzero(design.groups):
            kernel = kernel + GROUP_SD**2 * (a[:, column][:, None] == b[:, column][None, :])
        return np.asarray(kernel, dtype=float)

    def _bend(self, x: Floats) -> Floats:
        return np.asarray((x - self.centre_) ** 2, dtype=float)

    def _trend(self, x: Floats) -> Floats:
        slopes = np.where(self.design.groups, 0.0, self.design.slope_mean)
        return np.asarray((x - self.centre_) @ slopes + self._bend(x) @ self.design.bend_mean, dtype=float)

    def _unpack(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        values = np.exp(theta)
        return values[: self.order_], values[self.order_ : self.order_ + self.n_features_], values[self.order_ + self.n_features_ :]

    def _covariance(self, theta: Floats, linear: Floats, gaps: Floats) -> Floats:
        amplitudes, lengths, rest = self._unpack(theta)
        r = ROOT5 * gaps / lengths[:, None, None]
        sums = _symmetric((1 + r + r * r / 3) * np.exp(-r), self.order_)
        kernel = linear.copy()
        for size in range(1, self.order_ + 1):
            kernel += amplitudes[size - 1] ** 2 / comb(self.n_features_, size) * sums[size]
        if self.design.wave is not None:
            kernel += rest[1] ** 2 * np.exp(-gaps[self.design.wave] / rest[2])
        return kernel

    def _loss(self, theta: Floats, linear: Floats, gaps: Floats, y: Floats, share: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient; theta holds logarithms."""
        amplitudes, lengths, rest = self._unpack(theta)
        order, count = self.order_, self.n_features_
        r = ROOT5 * gaps / lengths[:, None, None]
        decay = np.exp(-r)
        parts = (1 + r + r * r / 3) * decay
        sums = _symmetric(parts, order)
        weights = [amplitudes[size] ** 2 / comb(count, size + 1) for size in range(order)]
        kernel = linear + sum(w * s for w, s in zip(weights, sums[1:], strict=True))
        wave = None
        if self.design.wave is not None:
            wave = rest[1] ** 2 * np.exp(-gaps[self.design.wave] / rest[2])
            kernel = kernel + wave
        kernel[np.diag_indices_from(kernel)] += rest[0] ** 2 * share + JITTER
        z = (theta - self.prior_mean_) / self.prior_sd_
        try:
            factor = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        inverse = cho_solve((factor, True), np.eye(len(y)), check_finite=False)
        alpha = inverse @ y
        loss = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(z @ z)
        outer = inverse - np.outer(alpha, alpha)
        gradient = np.empty_like(theta)
        for size in range(order):
            gradient[size] = weights[size] * float(np.vdot(outer, sums[size + 1]))
        for j in range(count):
            without, slope = np.ones_like(linear), np.zeros_like(linear)
            for size in range(order):
                slope += weights[size] * without
                without = sums[size + 1] - parts[j] * without
            gradient[order + j] = 0.5 * float(np.vdot(outer, slope * (r[j] ** 2 * (1 + r[j]) / 3 * decay[j])))
        gradient[order + count] = rest[0] ** 2 * float(np.diag(outer) @ share)
        if wave is not None and self.design.wave is not None:
            gradient[order + count + 1] = float(np.vdot(outer, wave))
            gradient[order + count + 2] = 0.5 * float(np.vdot(outer, wave * gaps[self.design.wave])) / rest[2]
        return loss, gradient + z / self.prior_sd_

    def fit(self, x: Floats, y: Floats, repeats: Floats) -> "LogProcess":
        """`repeats`: how many runs each row is the median of; its noise falls accordingly."""
        self.n_features_ = x.shape[1]
        self.order_ = min(MAX_ORDER, self.n_features_) if self.n_features_ <= MANY else 2
        self.centre_ = np.median(x, axis=0)
        self.prior_mean_, self.prior_sd_ = self._priors()
        trend = self._trend(x)
        self.level_ = float(np.mean(y - trend))
        rest = y - trend - self.level_
        share = 1.0 / repeats
        chosen = np.arange(len(y))
        if len(y) > MAX_TUNING_ROWS:
            chosen = np.unique(np.linspace(0, len(y) - 1, MAX_TUNING_ROWS).astype(int))
        linear, gaps = self._linear(x, x), _distances(x, x, self.design.groups)
        pick = np.ix_(chosen, chosen)
        arguments = (linear[pick], gaps[:, pick[0], pick[1]], rest[chosen], share[chosen])
        bounds = [(m - 4 * s, m + 4 * s) for m, s in zip(self.prior_mean_, self.prior_sd_, strict=True)]
        found = minimize(
            self._loss, self.prior_mean_, arguments, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 80, "ftol": 1e-6}
        )
        self.theta_ = np.asarray(found.x, dtype=float)
        kernel = self._covariance(self.theta_, linear, gaps)
        self.noise_ = float(self._unpack(self.theta_)[2][0])
        kernel[np.diag_indices_from(kernel)] += self.noise_**2 * share + JITTER
        self.factor_ = np.linalg.cholesky(kernel)
        inverse = cho_solve((self.factor_, True), np.eye(len(y)))
        self.x_, self.alpha_ = x, inverse @ rest
        self.loo_error_ = self.alpha_ / np.diag(inverse)
        self.loo_sd_ = np.sqrt(1.0 / np.diag(inverse))
        self.unseen_ = np.array([self._widening(inverse, x[:, j]) for j in range(self.n_features_)])
        return self

    def _widening(self, inverse: Floats, column: Floats) -> float:
        """By how much intervals must widen at a value of this column that no run has: each value's runs left out together, in closed form."""
        values = np.unique(column)
        if not 3 <= len(values) <= MAX_VALUES:
            return 1.0
        squares = []
        for value in values:
            out = column == value
            covariance = np.linalg.inv(inverse[np.ix_(out, out)])
            squares.append(float(np.mean((covariance @ self.alpha_[out]) ** 2 / np.diag(covariance))))
        return max(1.0, float(np.sqrt((sum(squares) + PSEUDO_VALUES) / (len(squares) + PSEUDO_VALUES))))

    def _priors(self) -> tuple[Floats, Floats]:
        pairs = [*AMPLITUDE[: self.order_], *([LENGTH] * self.n_features_), NOISE]
        if self.design.wave is not None:
            pairs += [WAVE_AMPLITUDE, WAVE_LENGTH]
        values = np.array(pairs, dtype=float)
        return np.log(values[:, 0]), values[:, 1]

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Log seconds: mean, and the standard deviation of one new run."""
        cross = self._covariance(self.theta_, self._linear(x, self.x_), _distances(x, self.x_, self.design.groups))
        mean = self.level_ + self._trend(x) + cross @ self.alpha_
        amplitudes, _, rest = self._unpack(self.theta_)
        numbers = ~self.design.groups
        own = INTERCEPT_SD**2 + ((x - self.centre_) ** 2 * self.design.slope_sd**2)[:, numbers].sum(axis=1)
        own = own + self._bend(x) ** 2 @ self.design.bend_sd**2
        own = own + GROUP_SD**2 * self.design.groups.sum() + float((amplitudes**2).sum()) + self.noise_**2
        if self.design.wave is not None:
            own = own + rest[1] ** 2
        spread = solve_triangular(self.factor_, cross.T, lower=True)
        return mean, np.sqrt(np.maximum(own - (spread**2).sum(axis=0), self.noise_**2))
