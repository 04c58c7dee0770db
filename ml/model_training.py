"""A model of one job's run time, fitted to rows of its history; and the file it is kept in.

The file is JSON and holds the rows it was fitted to, in numbers: loading fits again, which is exact and takes well under a second, and runs
nothing that the file says.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from scipy.stats import t as student

from spark_copilot.ml.feature_builder import FEATURES, HistoryRow
from spark_copilot.rules_engine.errors import BadInput, NotFound

if TYPE_CHECKING:
    from spark_copilot.ml.runtime_predictor import RuntimePredictor

VERSION: Final = 1
KIND: Final = "spark-copilot runtime model"
MIN_RUNS: Final = 3
MIN_RUNS_FOR_MEMORY: Final = 8
VARIES_FROM: Final = 1.02
"""A column whose largest value is less than this times the smallest says nothing."""
COVERAGE: Final = 0.9
PRIOR_SD, PRIOR_RUNS = 0.05, 2
"""Where nothing varies: what a run is taken to deviate before any is seen, and how many runs that counts for."""
MAX_MODEL_BYTES: Final = 64 << 20


class UnusableModel(BadInput):
    """A model file that this program does not take."""

    code = "model-unusable"
    hint = "Train it again: spark-copilot train LOG_OR_DIR... --out MODEL.json"


class TooFewRuns(BadInput):
    """Not enough runs that a model can be fitted to."""

    code = "too-few-runs"
    hint = "A model needs at least 3 complete runs of the same job."


@dataclass(frozen=True, slots=True)
class RuntimeModel:
    """Fitted to `rows`. `columns` are the features it reads; with none it is the level of the runs, since nothing it could read varies."""

    rows: tuple[HistoryRow, ...]
    columns: tuple[str, ...]
    scores: dict[str, float]
    """Mean absolute leave-one-out error, as a share of the duration, by model."""
    predictor: "RuntimePredictor | None"
    centre: float
    spread: float
    """Log seconds: the level, and how much runs of the same configuration deviate from each other."""

    @property
    def explained_by(self) -> str:
        """What the prediction takes into account, in words."""
        words = {"input_bytes": "input", "input_rows": "input", "slots": "cluster", "memory_bytes": "memory"}
        said = list(dict.fromkeys(words[c] for c in self.columns))
        return " and ".join(said) if len(said) < 3 else f"{', '.join(said[:-1])} and {said[-1]}"

    def predict_ms(self, features: Mapping[str, float], coverage: float = COVERAGE) -> tuple[float, float, float]:
        """Low, mid and high of one new run's wall clock, in milliseconds.

        Raises:
            BadHistory: a feature that the model reads is missing, not finite, or not above 0.
        """
        reach = float(student.ppf(0.5 + coverage / 2, len(self.rows) + PRIOR_RUNS - 1)) * self.spread
        if self.predictor is None:
            reach *= math.sqrt(1 + 1 / len(self.rows))
            return tuple(1000 * math.exp(self.centre + side * reach) for side in (-1, 0, 1))  # type: ignore[return-value]
        table = _Table(self.columns, [features])
        mid = float(self.predictor.predict(table)[0])
        low, high = (float(side[0]) for side in self.predictor.predict_interval(table, coverage))
        return 1000 * min(low, mid * math.exp(-reach)), 1000 * mid, 1000 * max(high, mid * math.exp(reach))

    def within_ms(self, features: Mapping[str, float]) -> bool:
        """Whether the run lies near enough to the runs of the model that a deviation can be told from extrapolation."""
        for name in self.columns:
            seen = [row.features[name] for row in self.rows]
            if not min(seen) / 1.5 <= features.get(name, 0.0) <= max(seen) * 1.5:
                return False
        return True


class _Table:
    """Rows of features by name: what the predictor takes for a DataFrame."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
        self.columns = [c for c in columns if all(c in row for row in rows)]
        self._rows = rows

    def __getitem__(self, name: str) -> list[float]:
        return [row[name] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)


_KINDS: Final = {"input_bytes": "input_size", "input_rows": "input_size", "slots": "scale_out", "memory_bytes": "memory"}


def columns_for(rows: Sequence[HistoryRow], wanted: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """The features that explain the rows: how much came in and what it ran on, where these vary (among the rows, or in the run to predict).

    What a run wrote, shuffled or spilled is its outcome, and would explain a regression away.
    """
    table = [row.features for row in rows] + ([wanted] if wanted is not None else [])
    known = {name for name in _KINDS if all(math.isfinite(f.get(name, 0.0)) and f.get(name, 0.0) > 0 for f in table)}
    chosen = []
    size = "input_bytes" if "input_bytes" in known else "input_rows"
    for name in (size, "slots", "memory_bytes"):
        if name not in known or (name == "memory_bytes" and len(rows) < MIN_RUNS_FOR_MEMORY):
            continue
        values = [f[name] for f in table]
        if max(values) >= VARIES_FROM * min(values):
            chosen.append(name)
    return tuple(chosen)


def train(rows: Sequence[HistoryRow], wanted: Mapping[str, float] | None = None) -> RuntimeModel:
    """Fit to the complete ones of these rows; `wanted` are features of a run that is to be predicted.

    Raises:
        TooFewRuns: fewer than three complete ones.
    """
    rows = tuple(sorted((r for r in rows if r.complete and r.wall_ms > 0), key=lambda r: (r.started_ms, r.app_id, r.attempt or "")))
    if len(rows) < MIN_RUNS:
        raise TooFewRuns(f"{len(rows)} complete run{'' if len(rows) == 1 else 's'} of the job; a model needs at least {MIN_RUNS}")
    columns = columns_for(rows, wanted)
    seconds = np.array([row.wall_ms / 1000 for row in rows])
    logs = np.log(seconds)
    if not columns:
        centre = float(np.median(logs))
        spread = math.sqrt((float(((logs - logs.mean()) ** 2).sum()) + PRIOR_RUNS * PRIOR_SD**2) / (len(rows) - 1 + PRIOR_RUNS))
        left_out = [abs(math.expm1(float(np.median(np.delete(logs, i)) - logs[i]))) for i in range(len(rows))]
        return RuntimeModel(rows, (), {"level": float(np.mean(left_out))}, None, centre, spread)
    from spark_copilot.ml.runtime_predictor import RuntimePredictor

    table = _Table(columns, [row.features for row in rows])
    predictor = RuntimePredictor(list(columns), {c: _KINDS[c] for c in columns}).fit(table, seconds)
    scores = {name: float(score) for name, score in predictor.scores_.items()}
    return RuntimeModel(rows, columns, scores, predictor, float(np.median(logs)), _repeats(rows, columns, logs))


def _repeats(rows: Sequence[HistoryRow], columns: Sequence[str], logs: Any) -> float:
    """How much runs of the very same configuration deviate from each other; 0 where none repeats."""
    groups: dict[tuple[float, ...], list[float]] = {}
    for row, value in zip(rows, logs, strict=True):
        groups.setdefault(tuple(row.features[c] for c in columns), []).append(float(value))
    squares = sum(float(((np.array(g) - np.mean(g)) ** 2).sum()) for g in groups.values())
    free = len(rows) - len(groups)
    return math.sqrt((squares + PRIOR_RUNS * PRIOR_SD**2) / (free + PRIOR_RUNS)) if free else 0.0


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    job: str
    features: list[str]
    columns: list[str]
    summary: dict[str, Any]
    scores: dict[str, float]
    rows: list[HistoryRow]


def summary(model: RuntimeModel) -> dict[str, Any]:
    """What the model rests on: how many runs, when they started, how long they took, and the range of each column."""
    walls = [row.wall_ms for row in model.rows]
    return {
        "runs": len(model.rows),
        "first_started_ms": model.rows[0].started_ms,
        "last_started_ms": model.rows[-1].started_ms,
        "wall_ms": [min(walls), max(walls)],
        "plans": len({row.plan for row in model.rows}),
        "ranges": {c: [min(r.features[c] for r in model.rows), max(r.features[c] for r in model.rows)] for c in model.columns},
    }


def model_text(model: RuntimeModel) -> str:
    """The model file: version, hash of the body, body."""
    body = _Body(model.rows[0].job, list(FEATURES), list(model.columns), summary(model), model.scores, list(model.rows))
    packed = msgspec.json.encode(body)
    document = {"kind": KIND, "version": VERSION, "sha256": hashlib.sha256(packed).hexdigest(), "model": msgspec.Raw(packed)}
    return msgspec.json.encode(document).decode() + "\n"


class _Document(msgspec.Struct):
    kind: str
    version: int
    sha256: str = ""
    model: msgspec.Raw = msgspec.Raw(b"null")


def load_rows(path: Path) -> tuple[HistoryRow, ...]:
    """The runs a model file rests on; `train` makes the model of them again.

    Raises:
        NotFound: no such file.
        UnusableModel: not a model file, of another version, changed, or with rows that are none.
    """
    try:
        size = path.stat().st_size
        text = path.read_bytes() if size <= MAX_MODEL_BYTES else b""
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    if not text:
        raise UnusableModel(f"{path}: {'empty' if not size else 'larger than any model file'}")
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableModel(f"{path}: not a model file ({error})") from error
    if document.kind != KIND:
        raise UnusableModel(f"{path}: not a model file, but {document.kind[:60]!r}")
    if document.version != VERSION:
        raise UnusableModel(f"{path}: a model file of version {document.version}; this program reads {VERSION}")
    if hashlib.sha256(bytes(document.model)).hexdigest() != document.sha256:
        raise UnusableModel(f"{path}: its hash is not that of its content: it was changed or damaged")
    try:
        body = msgspec.json.decode(document.model, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableModel(f"{path}: damaged model ({error})") from error
    for at, row in enumerate(body.rows):
        if bad := [n for n, v in row.features.items() if not math.isfinite(v) or v < 0]:
            raise UnusableModel(f"{path}: row {at}, {bad[0]}: not a finite number from 0")
        if missing := [c for c in body.columns if c not in row.features]:
            raise UnusableModel(f"{path}: row {at}: column {missing[0]} is missing")
    return tuple(body.rows)
