"""Answers without a model: the sentences of the best cards that fit the question, under their card's title, with their sources.

Nothing is invented here: every sentence stands in a card, a key row or a passage of the user's index, and each group names its source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spark_copilot.rag.chunks import Chunk
from spark_copilot.rag.knowledge import Sentence
from spark_copilot.rag.lexical import Bm25
from spark_copilot.rag.retriever import Hit, Retriever
from spark_copilot.rag.safe_text import ADDRESSES_A_MODEL
from spark_copilot.rag.text import exceptions_in, sentences, tokens

WORDS = 200
WORDS_LONG = 600
CARDS = 3
"""Cards an answer draws on."""
TWO_READINGS = 0.85
"""A second card is a second reading of the question when it scores at least this share of the first."""
SEVERAL = "More than one thing fits this question:"
UNRELATED = 0.38
"""Similarity of the nearest phrase below which a question is about something else; questions about Spark lie above 0.49."""
NEAR = 0.55
"""A further card is drawn on when it scores at least this share of the first."""
LEAD = 0.25
"""Added to the first sentence of a card: it says what the matter is, the others need it."""
_PRIOR = {
    "": 0.10,
    "Fix": 0.12,
    "Why": 0.10,
    "Facts": 0.10,
    "Codes": 0.10,
    "Rule": 0.10,
    "Do": 0.10,
    "Signs": 0.03,
    "Check": 0.04,
    "Do not": 0.03,
}
_MARKUP = re.compile(r"\*\*")


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a part of an answer comes from; `[n]` in the text is its place in the list, from 1."""

    id: str
    title: str
    source: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Text with its citations; `sure` False: nothing that fits was found, and the text says so."""

    text: str
    citations: tuple[Citation, ...]
    sure: bool = True


@dataclass(frozen=True, slots=True)
class _Pick:
    score: float
    sentence: Sentence
    words: int


def count_words(text: str) -> int:
    """Words as people count them: stretches without white space."""
    return len(text.split())


class Answerer:
    """Composes answers over one retriever; what it needs of the cards' sentences is made once."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._sentences = retriever.knowledge.sentences
        self._rows: dict[str, list[int]] = {}
        for row, sentence in enumerate(self._sentences):
            self._rows.setdefault(sentence.card, []).append(row)
        self._tokens: dict[int, list[str]] = {}

    def _words_of(self, row: int) -> list[str]:
        if row not in self._tokens:
            self._tokens[row] = tokens(self._sentences[row].text)
        return self._tokens[row]

    def answer(self, question: str, *, words: int = WORDS) -> Answer:
        """The answer in at most so many words, citations not counted."""
        scores = self._retriever.card_scores(question)
        cards = [c for c in scores if c in self._retriever.knowledge.by_id][:CARDS]
        cards = [c for c in cards if scores[c] >= NEAR * scores[cards[0]]]
        keys = self._retriever.exact_keys(question)[:2]
        own = self._own_passages(question, scores)
        named = keys or exceptions_in(question)
        if not named and not own and self._retriever.nearness(question) < UNRELATED:
            cards = []
        if not cards and not keys and not own:
            return Answer(
                "Nothing in the knowledge fits this question. Ask about a symptom, an error message or a setting of Spark.", (), sure=False
            )
        lines: list[str] = []
        citations: list[Citation] = []
        budget = words - count_words(SEVERAL)
        for chunk in keys:
            budget -= self._add(lines, citations, chunk.source, chunk.id, chunk.title, [_short_key(chunk)], budget, header=False)
        for chunk in own[:2]:
            budget -= self._add(
                lines, citations, chunk.source, chunk.id, chunk.title, self._best_lines(question, chunk, budget // 2), budget
            )
        picked = self._pick(question, cards, scores, budget)
        for card_id in [c for c in cards if c in picked]:
            card = self._retriever.knowledge.by_id[card_id]
            self._add(lines, citations, card.source, card.id, card.title, [p.sentence.text for p in picked[card_id]], words)
        said = [card for card in cards if card in picked]
        if not keys and not own and len(said) > 1 and scores[said[1]] >= TWO_READINGS * scores[said[0]]:
            lines.insert(0, SEVERAL)
        return Answer("\n".join(lines).strip(), tuple(citations))

    @staticmethod
    def _add(
        lines: list[str],
        citations: list[Citation],
        source: str,
        name: str,
        title: str,
        said: Sequence[str],
        budget: int,
        *,
        header: bool = True,
    ) -> int:
        """Append one group; returns its words, 0 when it does not fit."""
        number = len(citations) + 1
        group = [f"{title} [{number}]", *(f"- {text}" for text in said)] if header else [f"- {text} [{number}]" for text in said]
        used = sum(count_words(line) for line in group)
        if not said or used > budget:
            return 0
        lines += group
        citations.append(Citation(name, title, source))
        return used

    def _own_passages(self, question: str, scores: dict[str, float]) -> list[Chunk]:
        """Passages of the user's own index that stand above the cards for this question."""
        if self._retriever.user is None:
            return []
        hits: list[Hit] = self._retriever.search(question, 4)
        return [hit.chunk for hit in hits if hit.chunk.kind not in ("card", "key", "rule")]

    def _best_lines(self, question: str, chunk: Chunk, budget: int) -> list[str]:
        parts = [part for part in sentences(chunk.text) if not ADDRESSES_A_MODEL.search(part)]
        if not parts:
            return []
        scores = Bm25([tokens(part) for part in parts]).scores(tokens(question, expand=True))
        chosen: list[int] = []
        used = count_words(chunk.title) + 2
        for row in np.argsort(-scores, kind="stable"):
            need = count_words(parts[row]) + 1
            if used + need <= budget:
                chosen.append(int(row))
                used += need
        return [parts[row] for row in sorted(chosen)]

    def _pick(self, question: str, cards: Sequence[str], scores: dict[str, float], budget: int) -> dict[str, list[_Pick]]:
        """The sentences to say, by card and in the card's order."""
        rows = [row for card in cards for row in self._rows.get(card, ())]
        if not rows:
            return {}
        best = max(scores[card] for card in cards)
        asked = set(tokens(question, expand=True))
        lexical = Bm25([self._words_of(row) for row in rows])
        by_words = lexical.scores(sorted(asked))
        by_words = by_words / max(float(by_words.max()), 1e-6)
        vector = self._retriever.vector(question)
        texts = (self._sentences[row].text for row in rows)
        by_meaning = self._retriever.knowledge.vectors_of(texts) @ vector[0] if vector is not None else by_words
        weights = CardWeights()
        value = np.array(
            [
                weights.meaning * float(by_meaning[n])
                + weights.words * float(by_words[n])
                + _PRIOR.get(self._sentences[row].section, 0.06)
                + (LEAD if self._sentences[row].place == 0 else 0.0)
                + weights.card * scores[self._sentences[row].card] / best
                for n, row in enumerate(rows)
            ]
        )
        return self._fill(rows, value, budget)

    def _fill(self, rows: Sequence[int], value: np.ndarray[tuple[int, ...], np.dtype[np.float64]], budget: int) -> dict[str, list[_Pick]]:
        chosen: dict[str, list[_Pick]] = {}
        said: list[set[str]] = []
        used = 0
        for n in np.argsort(-value, kind="stable"):
            sentence = self._sentences[rows[n]]
            words = set(self._words_of(rows[n]))
            if sentence.text.endswith("?") or any(len(words & other) > 0.6 * min(len(words), len(other)) for other in said):
                continue
            need = count_words(sentence.text) + 1
            if sentence.card not in chosen:
                need += count_words(self._retriever.knowledge.by_id[sentence.card].title) + 1
            if used + need > budget:
                continue
            chosen.setdefault(sentence.card, []).append(_Pick(float(value[n]), sentence, need))
            said.append(words)
            used += need
        return {card: sorted(picks, key=lambda pick: pick.sentence.place) for card, picks in chosen.items()}


@dataclass(frozen=True, slots=True)
class CardWeights:
    """How much nearness in meaning, shared words and the card's own rank count for a sentence. Measured on benchmarks/chat.py."""

    meaning: float = 1.0
    words: float = 0.35
    card: float = 1.6


def _short_key(chunk: Chunk) -> str:
    """A key's row without what the cards say of it when that is long."""
    parts = sentences(chunk.text)
    text = parts[0]
    for part in parts[1:]:
        if count_words(text) + count_words(part) > 60:
            break
        text += f" {part}"
    return _MARKUP.sub("", text)
