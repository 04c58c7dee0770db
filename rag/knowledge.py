"""What ships: the cards and one row a configuration key, with vectors made beforehand (`prebuild`), so that the first answer comes at once.

Vectors lie in `data/vectors.npz` by content hash of their text, quantised to int8. A text that has none (an edited card, a user's card) is found
by words; `prebuild` makes its vector.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spark_copilot.rag.card_store import Card, load_cards
from spark_copilot.rag.chunks import Chunk
from spark_copilot.rag.embedder import Vectors
from spark_copilot.rag.keys import key_chunks
from spark_copilot.rag.text import sentences
from spark_copilot.rag.unpacked import mapped, unit_vectors, unpacked

VECTORS = Path(__file__).parent / "data" / "vectors.npz"
DIMENSIONS = 384


def digest(text: str) -> str:
    """Content hash of a text that has a vector."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a card: what answers are composed of. `place` is its position in the card, `section` its heading."""

    card: str
    section: str
    place: int
    text: str


@lru_cache(maxsize=2)
def stored_vectors(home: Path | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """Content hash -> unit vector, as shipped: from the home's copy, made when it is missing, or from the package; empty when there are none."""
    folder = None if home is None else unpacked(VECTORS, home)[0]
    if folder is not None:
        with contextlib.suppress(OSError, ValueError):  # a damaged copy: the package has it too
            names, vectors = mapped(folder)
            return dict(zip((str(n) for n in names), vectors, strict=True))
    if not VECTORS.is_file():
        return {}
    names, vectors = unit_vectors(VECTORS)
    return dict(zip((str(n) for n in names), vectors, strict=True))


@dataclass(frozen=True)
class Knowledge:
    """Cards, their passages and sentences, the key rows and passages given by the caller (rule pages)."""

    cards: tuple[Card, ...]
    pages: tuple[Chunk, ...] = ()
    home: Path | None = None
    """Where the vectors are unpacked to; None reads the package's own file."""

    def vectors_of(self, texts: Iterable[str]) -> Vectors:
        """Shipped vectors of these texts, shape (n, 384); a row of zeros where there is none."""
        stored = stored_vectors(self.home)
        zero = np.zeros(DIMENSIONS, dtype=np.float32)
        found = [stored.get(digest(text), zero) for text in texts]
        return np.stack(found) if found else np.zeros((0, DIMENSIONS), dtype=np.float32)

    @cached_property
    def by_id(self) -> dict[str, Card]:
        """Card id -> card."""
        return {card.id: card for card in self.cards}

    @cached_property
    def card_chunks(self) -> tuple[Chunk, ...]:
        """The cards in passages, then the caller's pages."""
        return (*(chunk for card in self.cards for chunk in card.chunks()), *self.pages)

    @cached_property
    def key_chunks(self) -> tuple[Chunk, ...]:
        """One passage a configuration key, with the sentence of a card that says most about it."""
        mentions: dict[str, str] = {}
        for card in self.cards:
            lines = [line for line in sentences(card.body) if "`" in line]
            for key in card.keys:
                said = next((line for line in lines if f"`{key}`" in line or key in line), None)
                if said is not None and len(said) < len(mentions.get(key, "x" * 400)):
                    mentions[key] = said
        return tuple(key_chunks(mentions))

    @cached_property
    def asks(self) -> tuple[tuple[str, str], ...]:
        """(card id, phrase) for every way of asking, and for each title."""
        return tuple((card.id, phrase) for card in self.cards for phrase in (*card.asks, card.title))

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """Every sentence of every card, in order."""
        found: list[Sentence] = []
        for card in self.cards:
            place = 0
            for section in card.sections:
                for text in sentences(section.text):
                    found.append(Sentence(card.id, section.heading, place, text))
                    place += 1
        return tuple(found)

    def embedded_texts(self) -> list[str]:
        """Every text that `prebuild` makes a vector of."""
        texts = [c.searchable for c in self.card_chunks] + [c.searchable for c in self.key_chunks]
        return list(dict.fromkeys([*texts, *(phrase for _, phrase in self.asks), *(s.text for s in self.sentences)]))


def bundled(extra: Path | None = None, pages: Sequence[Chunk] = (), home: Path | None = None) -> Knowledge:
    """Our knowledge with a user's folder of cards and further pages; its vectors are kept unpacked in `home`, where one is given."""
    return Knowledge(load_cards(extra), tuple(pages), home)
