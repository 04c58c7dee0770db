"""Hybrid search: words (BM25), meaning (vectors) and exact names, fused by reciprocal rank, with the question's own scope kept.

Cards are ranked as wholes and by their best passage, so that a card whose one sentence matches is found, and its best passage is what is shown.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spark_copilot.rag.chunks import Chunk
from spark_copilot.rag.embedder import Embedder, Vectors
from spark_copilot.rag.keys import known
from spark_copilot.rag.knowledge import Knowledge
from spark_copilot.rag.lexical import Bm25
from spark_copilot.rag.text import exceptions_in, exit_codes_in, keys_in, tokens
from spark_copilot.rules_engine.errors import CopilotError, Unavailable

log = logging.getLogger(__name__)

RRF = 20
"""Constant of reciprocal rank fusion: small lists of ~100 cards want a steeper curve than the usual 60."""
SAME_OWNER = 2
"""Passages of one card among the first results."""

_SCOPE_WORDS: dict[str, tuple[str, ...]] = {
    "driver": ("driver",),
    "executor": ("executor", "executors", "worker", "workers"),
    "kubernetes": ("kubernetes", "k8s", "pod", "pods", "eks", "gke", "aks", "helm"),
    "yarn": ("yarn", "hadoop", "nodemanager", "resourcemanager"),
    "emr": ("emr", "emrfs"),
    "glue": ("glue", "dpu"),
    "dataproc": ("dataproc",),
    "databricks": ("databricks", "photon", "dbu"),
    "delta": ("delta", "optimize", "vacuum", "zorder", "z-order", "liquid", "_delta_log"),
    "iceberg": ("iceberg",),
    "streaming": ("streaming", "stream", "micro-batch", "micro-batches", "watermark", "kafka", "trigger", "microbatch"),
    "gpu": ("gpu", "rapids", "gluten", "velox", "comet", "cuda"),
    "jdbc": ("jdbc", "postgres", "oracle", "mysql"),
    "python": ("pyspark", "python", "pandas", "udf"),
}
_EXCLUSIVE = ("kubernetes", "yarn", "emr", "glue", "dataproc", "databricks", "delta", "iceberg", "streaming", "gpu", "jdbc")
"""Scopes that a general question does not mean: their cards need one of the scope's words."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result; scores order the results of one search and mean nothing across searches."""

    chunk: Chunk
    score: float
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage of the user's own index with its similarity to the question."""

    chunk: Chunk
    similarity: float


class UserIndex(Protocol):
    """The passages a user added."""

    def nearest(self, vector: Vectors | None, words: Sequence[str], k: int) -> list[Candidate]:
        """The k passages nearest to the question's vector (shape (1, n)), or by words when there is none."""
        ...


def scopes_in(text: str) -> frozenset[str]:
    """Scopes the text names (driver, kubernetes, delta …)."""
    words = set(re.findall(r"[a-z0-9_\-]+", text.lower()))
    return frozenset(scope for scope, names in _SCOPE_WORDS.items() if words.intersection(names))


def _ranks(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reciprocal rank of every row with a positive score, 0 for the others."""
    out = np.zeros(len(scores), dtype=np.float32)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    out[order] = 1 / (RRF + np.arange(1, len(order) + 1, dtype=np.float32))
    return out


class Retriever:
    """Search over the bundled knowledge and, where there is one, the user's index. Without an encoder it works on words alone."""

    def __init__(
        self, knowledge: Knowledge, embedder: Embedder | None, user: UserIndex | None = None, user_embedder: Embedder | None = None
    ) -> None:
        """`user_embedder`: the encoder of the user's index, where it is not that of the bundled knowledge."""
        self.knowledge = knowledge
        self.user = user
        self._embedder = embedder
        self._user_embedder = user_embedder
        self._vector_cache: dict[str, Vectors | None] = {}
        self._chunks = knowledge.card_chunks
        self._owners = list(dict.fromkeys(chunk.owner for chunk in self._chunks))
        place = {owner: row for row, owner in enumerate(self._owners)}
        self._owner_of = np.array([place[chunk.owner] for chunk in self._chunks], dtype=np.int64)
        self._scope_of = [frozenset(next(c.scope for c in self._chunks if c.owner == owner)) for owner in self._owners]

    def vector(self, query: str) -> Vectors | None:
        """The question's unit vector, shape (1, n); None when no encoder loads."""
        if query not in self._vector_cache:
            if len(self._vector_cache) > 256:
                self._vector_cache.clear()
            try:
                self._vector_cache[query] = self._embedder.embed([query]) if self._embedder is not None else None
            except Unavailable:
                self._embedder = None
                self._vector_cache[query] = None
        return self._vector_cache[query]

    @cached_property
    def _chunk_words(self) -> Bm25:
        return Bm25([tokens(f"{chunk.title}\n{chunk.title}\n{chunk.text}") for chunk in self._chunks])

    @cached_property
    def _card_words(self) -> Bm25:
        texts: dict[str, list[str]] = {owner: [] for owner in self._owners}
        for chunk in self._chunks:
            texts[chunk.owner] += tokens(chunk.text)
        for card in self.knowledge.cards:
            texts[card.id] += tokens(
                f"{card.title} {card.title} {' '.join(card.topics)} {' '.join(card.exceptions)} {' '.join(card.asks)} {' '.join(card.asks)}"
            )
        return Bm25([texts[owner] for owner in self._owners])

    @cached_property
    def _key_words(self) -> Bm25:
        return Bm25([tokens(chunk.searchable) for chunk in self.knowledge.key_chunks])

    @cached_property
    def _chunk_vectors(self) -> Vectors:
        return self.knowledge.vectors_of(chunk.searchable for chunk in self._chunks)

    @cached_property
    def _ask_vectors(self) -> tuple[npt.NDArray[np.int64], Vectors]:
        place = {owner: row for row, owner in enumerate(self._owners)}
        asks = self.knowledge.asks
        return np.array([place[owner] for owner, _ in asks], dtype=np.int64), self.knowledge.vectors_of(phrase for _, phrase in asks)

    @cached_property
    def _key_vectors(self) -> Vectors:
        return self.knowledge.vectors_of(chunk.searchable for chunk in self.knowledge.key_chunks)

    @cached_property
    def _exact_names(self) -> dict[str, tuple[str, ...]]:
        table: dict[str, tuple[str, ...]] = {}
        for card in self.knowledge.cards:
            for name in (*card.keys, *card.exceptions, *card.codes):
                table[name.lower()] = (*table.get(name.lower(), ()), card.id)
        return table

    def card_scores(self, query: str) -> dict[str, float]:
        """Every card (and page) with a positive score for this question, best first."""
        words = tokens(query, expand=True)
        vector = self.vector(query)
        n = len(self._owners)
        chunk_words = self._best_of_owner(self._chunk_words.scores(words), self._owner_of, n)
        total = 1.0 * _ranks(self._card_words.scores(words)) + 0.6 * _ranks(chunk_words)
        if vector is not None:
            owners, phrases = self._ask_vectors
            total += 0.8 * _ranks(self._best_of_owner(self._chunk_vectors @ vector[0], self._owner_of, n))
            total += 1.2 * _ranks(self._best_of_owner(phrases @ vector[0], owners, n))
        total *= self._scope_factor(query)
        for owner, bonus in self._named(query).items():
            total[self._owners.index(owner)] += bonus
        order = np.argsort(-total, kind="stable")
        return {self._owners[row]: float(total[row]) for row in order if total[row] > 0}

    @staticmethod
    def _best_of_owner(scores: npt.NDArray[np.float32], owner_of: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float32]:
        best = np.zeros(n, dtype=np.float32)
        np.maximum.at(best, owner_of, scores)
        return best

    def _scope_factor(self, query: str) -> npt.NDArray[np.float32]:
        """Below one for cards of another scope than the question's: a driver question gets no executor card."""
        named = scopes_in(query)
        factor = np.ones(len(self._owners), dtype=np.float32)
        for row, scope in enumerate(self._scope_of):
            foreign = scope.intersection(_EXCLUSIVE) - named
            if foreign and not scope.intersection(named):
                factor[row] *= 0.9 if len(scope - set(_EXCLUSIVE)) else 0.7
            if "driver" in named and "executor" not in named and "executor" in scope and "driver" not in scope:
                factor[row] *= 0.8
            if "executor" in named and "driver" not in named and "driver" in scope and "executor" not in scope:
                factor[row] *= 0.8
        return factor

    def _named(self, query: str) -> dict[str, float]:
        """Cards that hold a key, exception, finding code or exit code the question names literally, rarer names more."""
        found: dict[str, float] = {}
        names = [*keys_in(query), *exceptions_in(query), *re.findall(r"\b[a-z]+(?:-[a-z]+)+\b", query)]
        for name in names:
            owners = self._exact_names.get(name.lower(), ())
            for owner in owners:
                found[owner] = found.get(owner, 0.0) + 0.03 / len(owners) ** 0.5
        if exit_codes_in(query) and re.search(r"exit|status|code|signal", query, re.IGNORECASE) and "exit-codes" in self.knowledge.by_id:
            found["exit-codes"] = found.get("exit-codes", 0.0) + 0.02
        return found

    def nearness(self, query: str) -> float:
        """Similarity of the nearest way of asking or passage; 1 when no encoder can tell."""
        vector = self.vector(query)
        if vector is None:
            return 1.0
        return max(float((self._ask_vectors[1] @ vector[0]).max(initial=0)), float((self._chunk_vectors @ vector[0]).max(initial=0)))

    def exact_keys(self, query: str) -> list[Chunk]:
        """The rows of keys the question names in full."""
        rows = {chunk.owner: chunk for chunk in self.knowledge.key_chunks}
        facts = [known(key) for key in keys_in(query)]
        return [rows[f"key:{fact.key}"] for fact in facts if fact is not None]

    def search(self, query: str, k: int = 5, scope: Iterable[str] = ()) -> list[Hit]:
        """The k best passages. `scope`: only passages of one of these scopes."""
        wanted = frozenset(scope)
        cards = self.card_scores(query)
        words = tokens(query, expand=True)
        vector = self.vector(query)
        passages = _ranks(self._chunk_words.scores(words))
        if vector is not None:
            passages += _ranks(self._chunk_vectors @ vector[0])
        for code in exit_codes_in(query):
            named = re.compile(rf"(?<![\w-]){code}\b")
            passages += np.array([0.04 * bool(named.search(chunk.text)) for chunk in self._chunks], dtype=np.float32)
        hits = [Hit(chunk, 1.0, exact=True) for chunk in self.exact_keys(query)]
        by_owner: dict[str, list[int]] = {}
        for row in np.argsort(-passages, kind="stable"):
            by_owner.setdefault(self._chunks[row].owner, []).append(int(row))
        ranked: list[tuple[float, Chunk]] = []
        for owner, score in list(cards.items())[: 2 * k + 10]:
            for place, row in enumerate(by_owner[owner][: SAME_OWNER + 1]):
                ranked.append((score * 0.82**place + 0.15 * float(passages[row]), self._chunks[row]))
        ranked += self._key_hits(words, vector)
        ranked += self._user_hits(query, vector, k, max((score for score, _ in ranked), default=1.0))
        ranked.sort(key=lambda pair: -pair[0])
        hits += [Hit(chunk, round(score, 5)) for score, chunk in ranked if all(h.chunk.id != chunk.id for h in hits[:8])]
        if wanted:
            hits = [hit for hit in hits if wanted.intersection(hit.chunk.scope)]
        return hits[:k]

    def _key_hits(self, words: list[str], vector: Vectors | None) -> list[tuple[float, Chunk]]:
        """Rows of keys the question describes without naming them; they stand below the cards unless they match well."""
        scores = 0.5 * _ranks(self._key_words.scores(words))
        if vector is not None:
            scores += 0.5 * _ranks(self._key_vectors @ vector[0])
        best = np.argsort(-scores, kind="stable")[:5]
        return [(float(scores[row]), self.knowledge.key_chunks[row]) for row in best if scores[row] > 0]

    def _user_hits(self, query: str, vector: Vectors | None, k: int, best: float) -> list[tuple[float, Chunk]]:
        """A user's own passages: above the best card when they are nearer to the question than any of our phrases, else below it."""
        if self.user is None:
            return []
        try:
            if self._user_embedder is not None:
                vector = self._user_embedder.embed([query])
            found = self.user.nearest(vector, tokens(query, expand=True), k)
        except CopilotError as error:
            log.warning("answered without your index: %s", error)
            return []
        near = self.nearness(query) if self._embedder is not None else 0.5
        lift = [min((max(c.similarity, 0.0) / max(near, 0.2)) ** 2, 1.5) for c in found]
        return [(best * share, candidate.chunk) for share, candidate in zip(lift, found, strict=True)]
