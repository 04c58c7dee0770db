"""Rows of one job's history, by a law that tests know."""

from typing import Any

import numpy as np

from spark_copilot.ml.feature_builder import FEATURES, HistoryRow

DAY_MS = 86_400_000


def row(day: int, gigabytes: float = 10.0, *, slots: int = 8, factor: float = 1.0, plan: str = "p", **changed: Any) -> HistoryRow:
    """A run on some day: 30 s, and 40 s a gigabyte and slot."""
    features = dict.fromkeys(FEATURES, 1.0) | {"input_bytes": gigabytes * 1e9, "slots": float(slots), "cores": float(slots)}
    wall = factor * (30 + 40 * gigabytes / slots)
    given = {
        "job": "daily", "app_id": f"app-{day}", "attempt": None, "started_ms": 1_700_000_000_000 + day * DAY_MS,
        "wall_ms": round(1000 * wall), "complete": True, "plan": plan, "features": features,
    }  # fmt: skip
    return HistoryRow(**(given | changed))


def rows(count: int, *, noise: float = 0.02, seed: int = 0, varied: bool = True) -> list[HistoryRow]:
    """That many days of it, with input that varies (or not at all) and some noise."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(5, 20, count) if varied else np.full(count, 10.0)
    return [row(day, float(size), factor=float(np.exp(noise * rng.normal()))) for day, size in enumerate(sizes)]
