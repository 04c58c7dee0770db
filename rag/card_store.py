"""Topic cards: our own pages in `rag/cards`, and a user's folder of the same form, read into frozen values.

A card is a Markdown file with YAML front matter: id, title, topics, codes, keys, exceptions, scope, source, asks (how people put the question).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from spark_copilot.rag.chunks import LIMIT, Chunk
from spark_copilot.rules_engine.errors import BadInput

CARDS = Path(__file__).parent / "cards"
SCOPES = (
    "driver", "executor", "sql", "delta", "iceberg", "streaming", "kubernetes", "yarn", "standalone", "databricks", "emr", "glue", "dataproc",
    "python", "storage", "shuffle", "jdbc", "gpu", "cost", "settings",
)  # fmt: skip
FIRST: dict[str, str] = {
    "too-few-partitions": "input-parallelism",
    "too-many-small-tasks": "shuffle-partitions",
    "oversized-partitions": "shuffle-partitions",
    "unsplittable-input": "non-splittable",
    "small-files-written": "small-files-write",
    "missing-partition-filter": "partition-pruning",
    "single-partition-window": "window-single-partition",
    "data-skew": "skewed-join",
    "slow-node": "straggler-node",
    "gc-pressure": "gc-overhead",
    "out-of-memory": "executor-oom",
    "cache-evicted-or-unused": "caching",
    "cartesian-or-nested-loop-join": "nested-loop-join",
    "broadcast-missed": "join-strategy",
    "broadcast-too-large": "broadcast-oom",
    "large-driver-result": "max-result-size",
    "driver-bound": "driver-idle-gap",
    "speculation-waste": "speculative",
    "job-failed": "task-failures",
    "delta-small-files": "delta-compaction",
    "delta-rewrite-amplification": "delta-rewrite",
    "delta-maintenance-missing": "delta-compaction",
    "delta-log-growth": "delta-log-checkpoint",
    "delta-over-partitioned": "delta-partitioning",
    "batch-slower-than-trigger": "streaming-slow-batch",
    "state-growth": "streaming-state",
}
"""The card that is about a finding code, where its id is not the code itself."""
_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_LISTS = ("topics", "codes", "keys", "exceptions", "scope", "asks")


class BrokenCard(BadInput):
    """A card that cannot be used; says which file and why."""

    code = "card-broken"
    hint = "A card starts with YAML between two --- lines: id, title, topics, codes, keys, exceptions, scope, source, asks."

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}")


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a card: its heading ("" for the opening) and its Markdown."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """One topic. `codes` are the finding codes it explains, `asks` phrases people type, `source` the official page."""

    id: str
    title: str
    topics: tuple[str, ...]
    codes: tuple[str, ...]
    keys: tuple[str, ...]
    exceptions: tuple[str, ...]
    scope: tuple[str, ...]
    source: str
    asks: tuple[str, ...]
    body: str

    @property
    def sections(self) -> tuple[Section, ...]:
        """The opening and every `##` part, in order."""
        parts = re.split(r"^## +(.+)$", self.body, flags=re.MULTILINE)
        named = zip(parts[1::2], parts[2::2], strict=True)
        opening = Section("", parts[0].strip())
        return tuple(s for s in (opening, *(Section(h.strip(), t.strip()) for h, t in named)) if s.text)

    def chunks(self) -> list[Chunk]:
        """The card in passages: neighbouring sections joined up to the limit, each under the card's title."""
        made: list[Chunk] = []
        pending = ""
        for section in self.sections:
            text = f"{section.heading}:\n{section.text}" if section.heading else section.text
            if pending and len(pending) + len(text) + 2 > LIMIT:
                made += self._passages(pending, len(made))
                pending = ""
            pending = f"{pending}\n\n{text}".strip()
        if pending:
            made += self._passages(pending, len(made))
        return made

    def _passages(self, text: str, start: int) -> list[Chunk]:
        parts: list[str] = []
        for line in text.split("\n"):
            if parts and len(parts[-1]) + len(line) + 1 <= LIMIT:
                parts[-1] += f"\n{line}"
            else:
                parts += [line[at : at + LIMIT] for at in range(0, max(len(line), 1), LIMIT)]
        return [
            Chunk(f"{self.id}#{start + n}", self.id, "card", self.title, part.strip(), self.source, self.scope)
            for n, part in enumerate(parts)
            if part.strip()
        ]


def parse_card(path: Path, text: str) -> Card:
    """The card in this text.

    Raises:
        BrokenCard: front matter missing, not YAML, a field missing or of the wrong kind.
    """
    match = _FRONT.match(text.replace("\r\n", "\n"))
    if match is None:
        raise BrokenCard(path, "no front matter between --- lines")
    try:
        front: Any = yaml.load(match[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise BrokenCard(path, f"front matter is not YAML: {' '.join(str(error).split())[:160]}") from None
    if not isinstance(front, dict):
        raise BrokenCard(path, "front matter is not a mapping")
    values: dict[str, Any] = {}
    for name in ("id", "title", "source"):
        value = front.get(name, "" if name == "source" else None)
        if not isinstance(value, str) or (name != "source" and not value.strip()):
            raise BrokenCard(path, f"{name} is missing or not text")
        values[name] = value.strip()
    for name in _LISTS:
        value = front.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
            raise BrokenCard(path, f"{name} is not a list of words")
        values[name] = tuple(str(item) for item in value)
    return Card(**values, body=match[2].strip())


def read_folder(folder: Path) -> tuple[Card, ...]:
    """The cards of a folder, by file name.

    Raises:
        BrokenCard: one of them cannot be used, or two have the same id.
    """
    cards: dict[str, Card] = {}
    for path in sorted(folder.glob("*.md")):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise BrokenCard(path, "not UTF-8 text") from None
        card = parse_card(path, text)
        if card.id in cards:
            raise BrokenCard(path, f"the id {card.id} is taken by another card of this folder")
        cards[card.id] = card
    return tuple(cards.values())


@lru_cache(maxsize=4)
def load_cards(extra: Path | None = None) -> tuple[Card, ...]:
    """Our cards, and those of the user's folder; a user's card replaces ours of the same id."""
    cards = {card.id: card for card in read_folder(CARDS)}
    if extra is not None:
        cards |= {card.id: card for card in read_folder(extra)}
    return tuple(cards.values())


def cards_by_code(cards: Iterable[Card]) -> dict[str, tuple[str, ...]]:
    """Finding code -> ids of the cards that explain it: the one about it first, then those that name it first. What a finding cites."""
    found: dict[str, list[tuple[bool, int, int, str]]] = {}
    for card in cards:
        for place, code in enumerate(card.codes):
            found.setdefault(code, []).append((card.id != FIRST.get(code, code), place, -len(card.asks), card.id))
    return {code: tuple(rank[-1] for rank in sorted(ranked)) for code, ranked in found.items()}
