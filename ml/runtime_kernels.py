"""How alike the log seconds of two runs are: the covariance behind the run-time predictor, and its gradient.

Kernel = linear part with a prior on each slope + products of Matern-5/2 over every subset of up to four features + a rough part +
noise. Seconds = fixed part + variable part is no straight line in logarithms; each column learns where its fixed part ends and is
straightened by it first, which is what makes predictions outside the data flatten where they should.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_ORDER = 4  # features in one product; a fifth never helped and costs time
MANY = 8  # features; with more, products of two only
INTERCEPT_SD = 4.0  # e^4: a baseline 50 times off the prior is still plausible
GROUP_SD = 0.5  # how far a machine type may lie from the others
ROOT5 = float(np.sqrt(5.0))
# Medians and spreads (natural log) of the log-normal priors.
AMPLITUDE = ((0.25, 1.0), (0.15, 1.0), (0.10, 1.0), (0.08, 1.0))
LENGTH = (1.5, 0.8)
NOISE = (0.02, 0.8)
ROUGH_AMPLITUDE = (0.05, 0.8)
WAVE_LENGTH = (0.5, 0.5)
ROUGH_LENGTH = 0.2  # of the other columns: a fifth more data, or another k, and the tasks fall on the cores anew
SHARED = (0.0, 1.5)  # log-odds that the rough part pays no heed to a column
ALONE = (-4.0, 0.1)  # the same where there is no other column: then it must heed this one


@dataclass(frozen=True, slots=True)
class Design:
    """How each column enters; arrays have shape (n_features,).

    `groups` are codes compared for equality, the rest are numbers on a log or linear scale. `fixed` is +1 where a part of the seconds
    does not grow with the column (input size), -1 where a part does not shrink with it (nodes), 0 where no such part is looked for;
    `fixed_at` and `fixed_sd` are the prior of its log share at the median run. `wave` is the node count's position.
    """

    slope_mean: Floats
    slope_sd: Floats
    fixed: Floats
    fixed_at: Floats
    fixed_sd: Floats
    groups: NDArray[np.bool_]
    wave: int | None = None


class Runs(NamedTuple):
    """Rows as handed in, straightened and counted from the median run, and how the latter change with each fixed part."""

    plain: Floats
    straight: Floats
    change: Floats  # shape (n_features, n_runs)


@dataclass(frozen=True, slots=True)
class Covariance:
    """The matrix without noise, with what its gradient needs again."""

    matrix: Floats
    steps: Floats
    decay: Floats
    smooth: Floats
    sums: list[Floats]
    weights: list[float]
    fading: Floats
    mixed: Floats
    rough: Floats


class Kernel:
    """The kernel for one set of columns. `theta`, shape (n_parameters,), holds logarithms, and log-odds for the shares."""

    def __init__(self, design: Design, middle: Floats) -> None:
        self.design, self.middle = design, middle
        count = len(middle)
        self.order = min(MAX_ORDER, count) if count <= MANY else 2
        self.columns = [int(j) for j in np.flatnonzero(design.fixed)]
        pieces = [
            _logs(AMPLITUDE[: self.order]),
            _logs([LENGTH] * count),
            _logs([NOISE, ROUGH_AMPLITUDE, WAVE_LENGTH]),
            [SHARED] * count if count > 1 else [ALONE],
            list(zip(design.fixed_at[self.columns].tolist(), design.fixed_sd[self.columns].tolist(), strict=True)),
        ]
        ends = np.cumsum([0, *map(len, pieces)])
        self._amplitude, self._length, self._scalar, self._shared, self._fixed = (slice(int(a), int(b)) for a, b in pairwise(ends))
        priors = np.array([pair for piece in pieces for pair in piece], dtype=float)
        self.prior_mean, self.prior_sd = priors[:, 0], priors[:, 1]
        self.slope_mean = np.where(design.groups, 0.0, design.slope_mean)
        self.slope_sd = np.where(design.groups, 0.0, design.slope_sd)

    def runs(self, x: Floats, theta: Floats) -> Runs:
        """Straighten rows of shape (n_runs, n_features)."""
        straight, change = x - self.middle, np.zeros((x.shape[1], len(x)))
        for j, at in zip(self.columns, theta[self._fixed], strict=True):
            sign, middle = self.design.fixed[j], self.middle[j]
            level = at + sign * middle
            straight[:, j] = sign * (np.logaddexp(sign * x[:, j], level) - np.logaddexp(sign * middle, level))
            change[j] = sign * (_share(level - sign * x[:, j]) - _share(level - sign * middle))
        return Runs(x, straight, change)

    def trend(self, runs: Runs) -> Floats:
        """Log seconds before any run is seen, up to a constant."""
        return np.asarray(runs.straight @ self.slope_mean, dtype=float)

    def noise(self, theta: Floats) -> float:
        """Standard deviation of one run."""
        return float(np.exp(theta[self._scalar][0]))

    def distances(self, a: Floats, b: Floats) -> Floats:
        """Shape (n_features, n_a, n_b); between two groups it is 1."""
        gap = np.abs(a.T[:, :, None] - b.T[:, None, :])
        gap[self.design.groups] = gap[self.design.groups] > 0
        return gap

    def _rough_lengths(self, theta: Floats) -> Floats:
        lengths = np.full(len(self.middle), ROUGH_LENGTH)
        if self.design.wave is not None:
            lengths[self.design.wave] = np.exp(theta[self._scalar][2])
        return lengths

    def covariance(self, theta: Floats, a: Runs, b: Runs, gaps: Floats | None = None) -> Covariance:
        """Between the runs of a and b; `gaps` are the distances of their plain rows, when known already."""
        linear = INTERCEPT_SD**2 + (a.straight * self.slope_sd**2) @ b.straight.T
        for column in np.flatnonzero(self.design.groups):
            linear = linear + GROUP_SD**2 * (a.plain[:, column][:, None] == b.plain[:, column][None, :])
        steps = ROOT5 * self.distances(a.straight, b.straight) / np.exp(theta[self._length])[:, None, None]
        decay = np.exp(-steps)
        smooth = (1 + steps + steps * steps / 3) * decay
        sums = _symmetric(smooth, self.order)
        amplitudes = np.exp(theta[self._amplitude])
        weights = [float(amplitudes[size]) ** 2 / comb(len(smooth), size + 1) for size in range(self.order)]
        # Where tasks do not fill the cores evenly, or a partition count jumps, one configuration is off and its neighbours are not.
        # Each column learns whether runs that differ in it share that: iterations do, node counts hardly.
        share = _share(theta[self._shared])[:, None, None]
        gaps = self.distances(a.plain, b.plain) if gaps is None else gaps
        fading = np.exp(-gaps / self._rough_lengths(theta)[:, None, None])
        mixed = share + (1 - share) * fading
        rough = np.exp(2 * theta[self._scalar][1]) * np.prod(mixed, axis=0)
        matrix = linear + sum(w * s for w, s in zip(weights, sums[1:], strict=True)) + rough
        return Covariance(matrix, steps, decay, smooth, sums, weights, fading, mixed, rough)

    def variance(self, theta: Floats, runs: Runs) -> Floats:
        """Of each run by itself, without noise: the diagonal of its covariance, shape (n_runs,)."""
        constant = INTERCEPT_SD**2 + GROUP_SD**2 * int(self.design.groups.sum())
        constant += float(np.exp(2 * theta[self._amplitude]).sum()) + float(np.exp(2 * theta[self._scalar][1]))
        return np.asarray(constant + runs.straight**2 @ self.slope_sd**2, dtype=float)

    def gradient(self, theta: Floats, runs: Runs, made: Covariance, gaps: Floats, outer: Floats, alpha: Floats, noise: Floats) -> Floats:
        """Of the negative log likelihood, shape (n_parameters,).

        `outer` is half of (inverse - alpha alpha'), `alpha` the inverse times the residuals, `noise` the noise variance of each run.
        """
        out, count = np.zeros_like(theta), len(self.middle)
        for size in range(self.order):
            out[size] = 2 * made.weights[size] * float(np.vdot(outer, made.sums[size + 1]))
        lengths = np.exp(theta[self._length])
        for j in range(count):
            without, slope = np.ones_like(outer), np.zeros_like(outer)
            for size in range(self.order):
                slope += made.weights[size] * without
                without = made.sums[size + 1] - made.smooth[j] * without
            common = outer * slope * (made.steps[j] * (1 + made.steps[j]) / 3 * made.decay[j])
            out[self.order + j] = float(np.vdot(common, made.steps[j]))
            if j in self.columns:
                value, change = runs.straight[:, j], runs.change[j]
                widening = np.sign(value[:, None] - value[None, :]) * (change[:, None] - change[None, :])
                smooth = -float(np.vdot(common, widening)) * ROOT5 / lengths[j]
                linear = 2 * self.slope_sd[j] ** 2 * float(change @ outer @ value)
                trend = -self.slope_mean[j] * float(alpha @ (change - change.mean()))
                out[self._fixed.start + self.columns.index(j)] = smooth + linear + trend
        rough = outer * made.rough
        scalar, share = self._scalar.start, _share(theta[self._shared])
        out[scalar] = 2 * float(np.diag(outer) @ noise)
        out[scalar + 1] = 2 * float(rough.sum())
        if (wave := self.design.wave) is not None:
            fall = (1 - share[wave]) * made.fading[wave] / made.mixed[wave] * gaps[wave]
            out[scalar + 2] = float(np.vdot(rough, fall)) / float(np.exp(theta[scalar + 2]))
        for j in range(count):
            out[self._shared.start + j] = float(np.vdot(rough, (1 - made.fading[j]) / made.mixed[j])) * share[j] * (1 - share[j])
        return out


def _logs(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(float(np.log(median)), spread) for median, spread in pairs]


def _share(log_odds: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * log_odds), dtype=float)


def _symmetric(parts: Floats, order: int) -> list[Floats]:
    """Elementary symmetric polynomials e_0 .. e_order of the kernels, that is, sums of products over all subsets of each size."""
    sums = [np.ones(parts.shape[1:])] + [np.zeros(parts.shape[1:]) for _ in range(order)]
    for part in parts:
        for size in range(order, 0, -1):
            sums[size] = sums[size] + part * sums[size - 1]
    return sums
