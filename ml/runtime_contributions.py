"""Shapley values of a prediction against one reference run: exact for a handful of features, sampled orders for more."""

from collections.abc import Callable
from itertools import combinations
from math import factorial

import numpy as np

from spark_copilot.ml.runtime_kernels import Floats

EXACT_UP_TO = 8  # 256 predictions a row
ORDERS = 64


def contributions(predict: Callable[[Floats], Floats], x: Floats, reference: Floats) -> Floats:
    """Shape (n_runs, n_features); a row sums to its prediction minus the reference's."""
    count = x.shape[1]
    out = np.zeros_like(x)
    if count <= EXACT_UP_TO:
        values = {subset: predict(_mixed(x, reference, subset)) for size in range(count + 1) for subset in combinations(range(count), size)}
        for subset, value in values.items():
            for feature in set(range(count)) - set(subset):
                weight = factorial(len(subset)) * factorial(count - len(subset) - 1) / factorial(count)
                out[:, feature] += weight * (values[tuple(sorted((*subset, feature)))] - value)
        return out
    rng = np.random.default_rng(0)
    for _ in range(ORDERS):
        mixed = np.repeat(reference[None, :], len(x), axis=0)
        before = predict(mixed)
        for feature in rng.permutation(count):
            mixed[:, feature] = x[:, feature]
            after = predict(mixed)
            out[:, feature] += (after - before) / ORDERS
            before = after
    return out


def _mixed(x: Floats, reference: Floats, subset: tuple[int, ...]) -> Floats:
    mixed = np.repeat(reference[None, :], len(x), axis=0)
    mixed[:, list(subset)] = x[:, list(subset)]
    return mixed
