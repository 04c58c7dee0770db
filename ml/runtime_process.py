"""A Gaussian process on the logarithm of run time, made for few runs, with leave-one-out in closed form.

Hyper-parameters are the most probable ones under the kernel's priors.
"""

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from spark_copilot.ml.runtime_kernels import Design, Floats, Kernel

MAX_VALUES = 12  # a column with more is continuous enough for leave-one-out to see
PSEUDO_VALUES = 2.0  # a few values say little: shrink the widening towards none
MAX_TUNING_ROWS = 250  # above this the hyper-parameters are tuned on an even subset
FURTHEST_SD = 4.0  # hyper-parameters stay within so many spreads of their priors
JITTER = 1e-8


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
            return 1e10, np.zeros_like(z)
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
        arguments = (x[chosen], kernel.distances(x[chosen], x[chosen]), y[chosen], share[chosen])
        start = np.zeros_like(kernel.prior_mean)
        bounds = [(-FURTHEST_SD, FURTHEST_SD)] * len(start)
        options = {"maxiter": 80, "ftol": 1e-6}
        found = minimize(self._loss, start, arguments, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        self.theta_ = kernel.prior_mean + kernel.prior_sd * np.asarray(found.x, dtype=float)
        self.x_, self.runs_ = x, kernel.runs(x, self.theta_)
        trend = kernel.trend(self.runs_)
        self.level_ = float(np.mean(y - trend))
        self.noise_ = kernel.noise(self.theta_)
        matrix = kernel.covariance(self.theta_, self.runs_, self.runs_).matrix
        self.factor_ = np.linalg.cholesky(matrix + np.diag(self.noise_**2 * share + JITTER))
        inverse = cho_solve((self.factor_, True), np.eye(len(y)))
        self.alpha_ = inverse @ (y - trend - self.level_)
        self.loo_error_ = self.alpha_ / np.diag(inverse)
        self.loo_sd_ = np.sqrt(1.0 / np.diag(inverse))
        self.unseen_ = np.array([self._widening(inverse, x[:, j]) for j in range(x.shape[1])])
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

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Log seconds: mean, and the standard deviation of one new run."""
        kernel = self.kernel_
        runs = kernel.runs(x, self.theta_)
        cross = kernel.covariance(self.theta_, runs, self.runs_).matrix
        mean = self.level_ + kernel.trend(runs) + cross @ self.alpha_
        own = kernel.variance(self.theta_, runs) + self.noise_**2
        spread = solve_triangular(self.factor_, cross.T, lower=True)
        return mean, np.sqrt(np.maximum(own - (spread**2).sum(axis=0), self.noise_**2))
