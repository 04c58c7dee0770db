"""What the columns of a run history mean, and how they are scaled before a model sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spark_copilot.ml.runtime_kernels import Design, Floats
from spark_copilot.rules_engine.errors import BadInput

# Slope of log seconds on the (scaled) column, before any run is seen: mean and spread. Twice the nodes rarely halves the time.
SLOPES: Final[Mapping[str, tuple[float, float]]] = {
    "scale_out": (-0.8, 0.5),
    "input_size": (0.5, 0.5),
    "count": (0.0, 0.5),
    "fraction": (0.0, 0.5),
    "tolerance": (0.0, 0.5),
    "memory": (0.0, 0.5),
    "memory_per_node": (0.0, 0.5),
    "machine": (0.0, 0.5),
}
PRESSURE_SLOPE: Final = (0.25, 0.5)  # of data per memory, beyond what size and memory do each by itself
# The part of the seconds that the column leaves alone, as a share of the part it scales, at the median run: which way the column
# scales, and median and spread (natural log) of that share. Adding nodes ends at the serial part; so little of it is known
# beforehand for sizes and counts that the runs must say it.
FIXED: Final[Mapping[str, tuple[float, float, float]]] = {
    "scale_out": (-1.0, 0.7, 0.8),
    "input_size": (1.0, 0.05, 2.0),
    "count": (1.0, 0.05, 2.0),
}
NOT_FIXED: Final = (0.0, 1.0, 1.0)
POSITIVE: Final = frozenset({"scale_out", "input_size", "memory", "memory_per_node"})
FRACTION_SCALE: Final = 2.0  # puts 0 .. 1 on about the same footing as one e-fold of a count


class BadHistory(BadInput, ValueError):
    """The run history, or the rows to predict, cannot be used; also a ValueError, as scikit-learn's callers expect."""

    code = "bad-run-history"


def names_of(table: Any) -> list[str] | None:
    """Column names when `table` has any (a DataFrame or something shaped like one)."""
    columns = getattr(table, "columns", None)
    return None if columns is None or callable(columns) else [str(c) for c in columns]


def columns_of(table: Any, features: Sequence[str]) -> list[Any]:
    """The values of each feature, from a table by name or from an array by position."""
    names = names_of(table)
    if names is not None:
        missing = [f for f in features if f not in names]
        if missing:
            raise BadHistory(f"column {', '.join(missing)} is missing; the rows have {', '.join(names) or 'no columns'}")
        return [np.asarray(table[f]) for f in features]
    array = np.asarray(table)
    if array.ndim != 2:
        raise BadHistory(f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: one row a run, one column a feature")
    if array.shape[1] != len(features):
        raise BadHistory(f"X has {array.shape[1]} features, but RuntimePredictor is expecting {len(features)} features as input")
    return [array[:, i] for i in range(len(features))]


def encode(columns: Sequence[Any], features: Sequence[str], kinds: Mapping[str, str], machines: dict[str, dict[str, int]]) -> Floats:
    """Numbers, shape (n_runs, n_features). Machine types become codes; one never seen at fitting becomes -1, unlike any other."""
    numbers = []
    for name, values in zip(features, columns, strict=True):
        if kinds.get(name) == "machine":
            text = [str(v).strip() for v in values]
            absent = [i for i, (v, t) in enumerate(zip(values, text, strict=True)) if v is None or t.lower() in {"", "nan", "none"}]
            if absent:
                raise BadHistory(f"column {name}, row {absent[0]}: the machine type is NaN or empty")
            known = machines.setdefault(name, {t: i for i, t in enumerate(sorted(set(text)))})
            numbers.append(np.array([known.get(t, -1) for t in text], dtype=float))
            continue
        try:
            numbers.append(np.asarray(values, dtype=float).reshape(len(values)))
        except (TypeError, ValueError) as error:
            raise BadHistory(f"column {name} is not numeric: {error}") from error
    return np.column_stack(numbers)


def check(x: Floats, features: Sequence[str], kinds: Mapping[str, str]) -> None:
    """One clear sentence for the first value that no model can use."""
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise BadHistory(f"column {features[column]}, row {row}: X contains NaN or infinity; leave such runs out")
    for column, name in enumerate(features):
        if kinds.get(name) in POSITIVE and (x[:, column] <= 0).any():
            row = int(np.argmax(x[:, column] <= 0))
            raise BadHistory(f"column {name}, row {row}: {kinds[name]} must be above 0, got {x[row, column]:g}")


@dataclass(frozen=True, slots=True)
class Scaling:
    """Raw columns to model inputs. The last input is data per memory where the columns allow it: memory cliffs are steps in it."""

    log: NDArray[np.bool_]
    floor: Floats
    offset: Floats
    factor: Floats
    size: int | None
    nodes: int | None
    memory: int | None
    per_node: bool
    design: Design

    @classmethod
    def of(cls, x: Floats, kinds: Sequence[str]) -> "Scaling":
        """Logs for positive columns; shares, and columns that are ever zero or negative, stay linear."""
        is_machine = np.array([k == "machine" for k in kinds], dtype=bool)
        linear = np.array([k == "fraction" for k in kinds], dtype=bool) | (x <= 0).any(axis=0) | is_machine
        spread = x.std(axis=0)
        factor = np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 1.0)
        offset = x.mean(axis=0)
        for column, kind in enumerate(kinds):
            if kind == "fraction":
                offset[column], factor[column] = 0.0, FRACTION_SCALE
            elif kind == "machine":
                offset[column], factor[column] = 0.0, 1.0
        place = {kind: kinds.index(kind) for kind in ("scale_out", "input_size", "memory", "memory_per_node") if kind in kinds}
        memory = place.get("memory", place.get("memory_per_node"))
        pressure = memory is not None and "input_size" in place
        slopes = [SLOPES.get(k, (0.0, 0.5)) for k in kinds] + [PRESSURE_SLOPE] * pressure
        parts = [FIXED.get(k, NOT_FIXED) if log else NOT_FIXED for k, log in zip(kinds, ~linear, strict=True)] + [NOT_FIXED] * pressure
        groups = np.append(is_machine, np.zeros(int(pressure), dtype=bool))
        (slope, slope_sd), (fixed, fixed_at, fixed_sd) = np.array(slopes).T, np.array(parts).T
        design = Design(slope, slope_sd, fixed, np.log(fixed_at), fixed_sd, groups, place.get("scale_out"))
        floor = np.where(linear, 1.0, x.min(axis=0) * 1e-3)
        return cls(
            log=~linear,
            floor=floor,
            offset=offset,
            factor=factor,
            size=place.get("input_size") if pressure else None,
            nodes=place.get("scale_out"),
            memory=memory,
            per_node="memory" not in place,
            design=design,
        )

    def __call__(self, x: Floats) -> Floats:
        """Shape (n_runs, n_inputs)."""
        out = np.where(self.log, np.log(np.maximum(x, self.floor)), (x - self.offset) * self.factor)
        if self.size is not None and self.memory is not None:
            pressure = out[:, self.size] - out[:, self.memory]
            if self.per_node and self.nodes is not None:
                pressure = pressure - out[:, self.nodes]
            out = np.column_stack([out, pressure])
        return np.asarray(out, dtype=float)
