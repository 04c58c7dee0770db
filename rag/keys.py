"""Which configuration keys exist: Spark's own catalog by version, and the keys of the systems beside it (Delta, Hadoop, RAPIDS …)."""

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from spark_copilot.rag.chunks import Chunk

OTHER = Path(__file__).parent / "data" / "other_keys.json"
SPARK_PAGE = "https://spark.apache.org/docs/latest/configuration.html"
_UNITS = {
    "bytes:B": "a size, bytes without a unit",
    "bytes:KiB": "a size, KiB without a unit",
    "bytes:MiB+": "a size, MiB without a unit",
    "time:ms": "a time, ms without a unit",
    "time:s": "a time, seconds without a unit",
    "bool": "true or false",
    "int": "a whole number",
    "double": "a number",
    "choice": "one of fixed words",
}


@dataclass(frozen=True, slots=True)
class KeyFact:
    """One configuration key as the catalogs know it. `default` "" means empty, None means not known."""

    key: str
    default: str | None
    kind: str
    since: str
    first: str
    last: str
    history: tuple[tuple[str, str], ...]
    static: bool
    public: bool
    owner: str
    source: str
    note: str = ""

    @property
    def text(self) -> str:
        """What is known about the key, in one or two sentences."""
        said = [f"`{self.key}`: {self.note}" if self.note else f"`{self.key}`"]
        if self.default is not None:
            said.append(f"default {self.default or '(empty)'}")
        if self.kind:
            said.append(_UNITS.get(self.kind, self.kind))
        if self.since:
            said.append(f"since {self.since}")
        if self.static:
            said.append("static: set it before the session starts")
        if not self.public:
            said.append("internal")
        text = "; ".join(said) + "."
        if len({value for _, value in self.history}) > 1:
            text += (
                " Default by version: "
                + ", ".join(f"{value or '(empty)'} from {version}" for version, value in _changes(self.history))
                + "."
            )
        if self.last and self.last != newest():
            text += f" Last seen in Spark {self.last}: gone in later versions."
        return text


def _changes(history: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    changes: list[tuple[str, str]] = []
    for version, value in history:
        if not changes or changes[-1][1] != value:
            changes.append((version, value))
    return changes


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@lru_cache(maxsize=1)
def _timeline() -> dict[str, dict[str, object]]:
    packed = files("spark_copilot.rules_engine.gate").joinpath("timeline.json.gz").read_bytes()
    table: dict[str, dict[str, object]] = json.loads(gzip.decompress(packed))
    return table


def _shown(default: str) -> str:
    """A default as people read it; Spark marks keys without one as undefined."""
    return "(not set)" if default == "<undefined>" else default


@lru_cache(maxsize=1)
def newest() -> str:
    """The newest Spark version of the catalog."""
    return max((str(row["last"]) for row in _timeline().values()), key=_order)


@lru_cache(maxsize=1)
def catalog() -> Mapping[str, KeyFact]:
    """Every known key: Spark's own, then those of `other_keys.json`."""
    known: dict[str, KeyFact] = {}
    for key, row in _timeline().items():
        defaults = row["defaults"]
        history = (
            tuple(sorted(((at, _shown(value)) for at, value in defaults.items()), key=lambda item: _order(item[0])))
            if isinstance(defaults, dict)
            else ()
        )
        known[key] = KeyFact(
            key=key,
            default=history[-1][1] if history else None,
            kind=str(row.get("type") or ""),
            since=str(row.get("since") or ""),
            first=str(row["first"]),
            last=str(row["last"]),
            history=history,
            static=bool(row.get("static")),
            public=bool(row.get("public")),
            owner="Spark",
            source=SPARK_PAGE,
        )
    for key, row in json.loads(OTHER.read_text(encoding="utf-8")).items():
        known[key] = KeyFact(key, row.get("default"), "", "", "", newest(), (), False, True, row["owner"], row["source"], row["note"])
    return known


@lru_cache(maxsize=1)
def _folded() -> Mapping[str, str]:
    return {key.lower(): key for key in catalog()}


def known(key: str) -> KeyFact | None:
    """The key's facts, also when it is written in another case; None for a key that no catalog holds."""
    exact = _folded().get(key.lower().rstrip("."))
    return catalog()[exact] if exact is not None else None


_FAMILIES = re.compile(
    r"spark\.(?:executorEnv|hadoop|yarn\.appMasterEnv|sql\.catalog|(?:driver|executor|task)\.resource|sql\.legacy"
    r"|kubernetes\.(?:driver|executor)\.(?:label|annotation|volumes|secrets|secretKeyRef|node\.selector)|kubernetes\.node\.selector)(?:\.|$)"
)
"""Keys that end in a name of the user's choice."""


def exists(key: str) -> bool:
    """Whether a catalog holds the key, or it belongs to a family whose last part is free (`spark.executorEnv.NAME`)."""
    return known(key) is not None or bool(_FAMILIES.match(key))


def default_in(fact: KeyFact, version: str) -> str | None:
    """The key's default in this Spark version: that of the newest catalogued version not after it; None when the key came later."""
    before = [value for at, value in fact.history if _order(at)[:2] <= _order(version)[:2]]
    return before[-1] if before else (fact.default if not fact.history else None)


def key_chunks(mentions: Mapping[str, str]) -> list[Chunk]:
    """One chunk a key, in the catalog's order. `mentions`: key -> what the cards say about it."""
    return [
        Chunk(f"key:{key}", f"key:{key}", "key", key, f"{fact.text} {mentions.get(key, '')}".strip()[:900], fact.source, _scope(key))
        for key, fact in catalog().items()
    ]


_SCOPES = (
    ("spark.kubernetes", "kubernetes"),
    ("spark.yarn", "yarn"),
    ("spark.driver", "driver"),
    ("spark.executor", "executor"),
    ("spark.sql.streaming", "streaming"),
    ("spark.databricks", "delta"),
    ("delta.", "delta"),
    ("spark.rapids", "gpu"),
    ("spark.shuffle", "shuffle"),
    ("spark.python", "python"),
)


def _scope(key: str) -> tuple[str, ...]:
    return ("settings", *(scope for prefix, scope in _SCOPES if key.startswith(prefix)))
