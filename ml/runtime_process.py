"""A Gaussian process on the logarithm of run time, made for few runs, with leave-one-out in closed form.

Its means are those of the most probable hyper-parameters under the kernel's priors. Its spreads are not: a handful of runs, or of values
of a column, hardly fixes how fast and how far that column bends the time. A few draws from what the runs leave possible say how wide.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from spark_copilot.ml.runtime_kernels import Design, Floats, Kernel, Runs

MAX_TUNING_ROWS = 250  # above this the hyper-parameters are tuned on an even subset
FURTHEST_SD = 4.0  # hyper-parameters stay within so many spreads of their priors
DRAWS = 10
TRUST = 1 / 3  # weight of the leave-one-out errors against the process's own word on its spread
KNOWN_SHAPE = 1.0  # a prior slope counts as so many values of its column ...
UNKNOWN_SHAPE = -1.0  # ... and a column that may bend either way has spent one on its level
JITTER = 1e-8
FAILED = 1e10  # the loss where the covariance is not positive


@dataclass(frozen=True, slots=True)
class Posterior:
    """The process at one set of hyper-parameters, given the runs."""

    kernel: Kernel
    theta: Floats
    runs: Runs
    level: float
    factor: Floats
    alpha: Floats

    @classmethod
    def of(cls, kernel: Kernel, theta: Floats, x: Floats, y: Floats, share: Floats, gaps: Floats | None = None) -> "Posterior":
        """`share`: of the noise of one run, by row; `gaps`: distances of the rows, when known already."""
        runs = kernel.runs(x, theta)
        rest = y - kernel.trend(runs)
        level = float(np.mean(rest))
        matrix = kernel.covariance(theta, runs, runs, gaps).matrix
        factor = np.asarray(np.linalg.cholesky(matrix + np.diag(kernel.noise(theta) ** 2 * share + JITTER)), dtype=float)
        return cls(kernel, theta, runs, level, factor, cho_solve((factor, True), rest - level))

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """(error, variance) of each run from the others."""
        variance = 1.0 / np.diag(cho_solve((self.factor, True), np.eye(len(self.alpha))))
        return self.alpha * variance, variance

    def mean(self, x: Floats) -> Floats:
        """Log seconds."""
        runs = self.kernel.runs(x, self.theta)
        return np.asarray(self.level + self.kernel.trend(runs) + self.kernel.covariance(self.theta, runs, self.runs).matrix @ self.alpha)

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Log seconds: mean and variance of one new run."""
        kernel = self.kernel
        runs = kernel.runs(x, self.theta)
        cross = kernel.covariance(self.theta, runs, self.runs).matrix
        noise = kernel.noise(self.theta) ** 2
        spread = solve_triangular(self.factor, cross.T, lower=True)
        own = kernel.variance(self.theta, runs) + noise - (spread**2).sum(axis=0)
        return self.level + kernel.trend(runs) + cross @ self.alpha, np.maximum(own, noise)


class LogProcess:
    """The process itself; `fit` takes rows already scaled by `Design`'s owner and log seconds."""

    def __init__(self, design: Design) -> None:
        self.design = design

    def _loss(self, z: Floats, x: Floats, gaps: Floats, y: Floats, share: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient; z counts in spreads of the priors, on which scale one step suits all."""
        kernel = self.kernel_
        theta = kernel.prior_mean + kernel.prior_sd * z
        runs = kernel.runs(x, theta)
        rest = y - kernel.trend(runs)
        rest -= rest.mean()
        made = kernel.covariance(theta, runs, runs, gaps)
        noise = kernel.noise(theta) ** 2 * share
        try:
            factor = np.linalg.cholesky(made.matrix + np.diag(noise + JITTER))
        except np.linalg.LinAlgError:
            return FAILED, np.zeros_like(z)
        inverse = cho_solve((factor, True), np.eye(len(y)), check_finite=False)
        alpha = inverse @ rest
        loss = 0.5 * float(rest @ alpha) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(z @ z)
        gradient = kernel.gradient(theta, runs, made, gaps, 0.5 * (inverse - np.outer(alpha, alpha)), alpha, noise)
        return loss, gradient * kernel.prior_sd + z

    def fit(self, x: Floats, y: Floats, repeats: Floats) -> "LogProcess":
        """`repeats`: how many runs each row is the median of; its noise falls accordingly."""
        kernel = self.kernel_ = Kernel(self.design, np.median(x, axis=0))
        share = 1.0 / repeats
        chosen = np.arange(len(y))
        if len(y) > MAX_TUNING_ROWS:
            chosen = np.unique(np.linspace(0, len(y) - 1, MAX_TUNING_ROWS).astype(int))
        tuned = x[chosen], y[chosen], share[chosen]
        arguments = (tuned[0], kernel.distances(tuned[0], tuned[0]), tuned[1], tuned[2])
        start = np.zeros_like(kernel.prior_mean)
        bounds = [(-FURTHEST_SD, FURTHEST_SD)] * len(start)
        options = {"maxiter": 80, "ftol": 1e-6}
        path: list[tuple[Floats, Floats]] = []

        def loss(z: Floats) -> tuple[float, Floats]:
            value, gradient = self._loss(z, *arguments)
            if value < FAILED:
                path.append((z.copy(), gradient))
            return value, gradient

        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        best = np.asarray(found.x, dtype=float)
        self.theta_ = kernel.prior_mean + kernel.prior_sd * best
        self.x_ = x
        self.posterior_ = Posterior.of(kernel, self.theta_, x, y, share)
        self.level_ = self.posterior_.level
        self.loo_error_, _ = self.posterior_.leave_one_out()
        self.tuned_ = self.posterior_ if len(chosen) == len(y) else Posterior.of(kernel, self.theta_, *tuned)
        self.drawn_ = self._draw(best, path, *tuned, arguments[1])
        error, variance = self.tuned_.leave_one_out()
        left_out = [draw.leave_one_out() for draw in self.drawn_]
        squares = error**2 / _mixed(error, variance, left_out)
        self.widening_ = float(np.sqrt(1 - TRUST + TRUST * squares.mean()))
        return self

    def _draw(self, best: Floats, path: list[tuple[Floats, Floats]], *runs: Floats) -> list[Posterior]:
        """Other hyper-parameters that the runs leave possible: normal around the best, as wide as the loss is flat."""
        values, vectors = np.linalg.eigh(_covariance(path, len(best)))
        scale = np.sqrt(np.clip(values, 0.0, 1.0))  # never wider than the prior
        offsets = np.random.default_rng(0).normal(size=(DRAWS // 2, len(best)))
        drawn = []
        for offset in np.concatenate([offsets, -offsets]):
            z = np.clip(best + vectors @ (scale * (vectors.T @ offset)), -FURTHEST_SD, FURTHEST_SD)
            try:
                drawn.append(Posterior.of(self.kernel_, self.kernel_.prior_mean + self.kernel_.prior_sd * z, *runs))
            except np.linalg.LinAlgError:
                continue
        return drawn

    def mean(self, x: Floats) -> Floats:
        """Log seconds."""
        return self.posterior_.mean(x)

    def spread(self, x: Floats) -> Floats:
        """Standard deviation of the log seconds of one new run, hyper-parameters not taken as known."""
        mean, variance = self.tuned_.predict(x)
        mixed = _mixed(mean, variance, [draw.predict(x) for draw in self.drawn_])
        if self.tuned_ is not self.posterior_:
            mixed *= self.posterior_.predict(x)[1] / variance
        return np.asarray(self.widening_ * np.sqrt(mixed), dtype=float)

    def freedom(self, x: Floats) -> Floats:
        """Degrees of freedom behind the spread of each row.

        All runs at values that runs have; at a new value of a column, no more than the column has values: runs that share one
        share what is odd about it, so they are one witness of how other values behave, not many.
        """
        rows = len(self.x_)
        known = np.where(self.design.slope_mean != 0, KNOWN_SHAPE, UNKNOWN_SHAPE)
        witnesses = np.array([len(np.unique(column)) for column in self.x_.T]) + known
        new = np.stack([~np.isin(asked, seen) for asked, seen in zip(x.T, self.x_.T, strict=True)], axis=1)
        fewest: NDArray[np.float64] = np.where(new, np.minimum(witnesses, rows - 1), rows - 1).min(axis=1)
        return np.maximum(fewest, 2.0)


def _covariance(path: list[tuple[Floats, Floats]], size: int) -> Floats:
    """Inverse curvature of the loss from the gradients met on the way to its minimum (BFGS), the prior's where it was never tried."""
    one = np.eye(size)
    inverse = one.copy()
    for (z, slope), (next_z, next_slope) in pairwise(path):
        step, change = next_z - z, next_slope - slope
        bent = float(step @ change)
        if bent > 1e-8 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            left = one - np.outer(step, change) / bent
            inverse = left @ inverse @ left.T + np.outer(step, step) / bent
    return inverse


def _mixed(mean: Floats, variance: Floats, others: list[tuple[Floats, Floats]]) -> Floats:
    """Mean square distance from `mean` over the draws; without any, the variance itself."""
    return np.mean([v + (m - mean) ** 2 for m, v in others], axis=0) if others else variance.copy()
