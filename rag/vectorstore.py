"""The user's index: passages added with `index add`, kept in Chroma, in a folder of the home or on a Chroma server.

A generation file beside the folder tells other processes that something changed: they look at it with each question and open the index again,
so an addition is seen by a running server at once. chromadb is imported only when there is an index, since its import takes a second.
"""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from spark_copilot.rag.chunks import Chunk
from spark_copilot.rag.embedder import Embedder, Vectors
from spark_copilot.rag.lexical import Bm25
from spark_copilot.rag.lock import locked
from spark_copilot.rag.retriever import Candidate
from spark_copilot.rag.text import tokens
from spark_copilot.rules_engine.errors import BadInput, Unavailable

COLLECTION = "spark-copilot-knowledge"
BATCH = 64
"""Passages encoded and written at once: memory stays small, progress shows."""
SEEN_EVERY_S = 3.0
"""A Chroma server has no generation file: its contents are read again at most so often."""
_MANY = 20_000
"""Passages up to which words are searched too; beyond it meaning alone finds the candidates."""


class IndexOfAnotherModel(BadInput):
    """The index was built with another encoder: vectors of two models do not mix."""

    code = "index-of-another-model"
    hint = "Build it again with `spark-copilot index build --fresh`, or set the encoder it was built with."


@dataclass(frozen=True, slots=True)
class Stored:
    """One document of the index."""

    source: str
    digest: str
    passages: int


class ChromaIndex:
    """Passages in Chroma. `url` names a server; without it the folder holds them."""

    def __init__(self, folder: Path, embedder: Embedder, url: str | None = None) -> None:
        self._folder = folder
        self._embedder = embedder
        self._url = url
        self._mutex = threading.RLock()
        self._collection: Any = None
        self._generation = ""
        self._read_at = 0.0
        self._chunks: list[Chunk] = []
        self._words: Bm25 | None = None
        self._documents: dict[str, Stored] = {}

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a folder holds an index; asks no library."""
        return (folder / "chroma.sqlite3").is_file()

    def _client(self) -> Any:
        import chromadb
        from chromadb.api.shared_system_client import SharedSystemClient
        from chromadb.config import Settings

        quiet = Settings(anonymized_telemetry=False)
        try:
            if self._url is not None:
                at = urlsplit(self._url)
                return chromadb.HttpClient(host=at.hostname or "localhost", port=at.port or 8000, ssl=at.scheme == "https", settings=quiet)
            self._folder.mkdir(parents=True, exist_ok=True)
            SharedSystemClient.clear_system_cache()
            return chromadb.PersistentClient(path=str(self._folder), settings=quiet)
        except Exception as error:
            raise Unavailable(f"the index cannot be opened: {type(error).__name__}: {str(error)[:200]}") from error

    def _open(self) -> Any:
        client = self._client()
        try:
            collection = client.get_or_create_collection(
                COLLECTION, embedding_function=None, metadata={"encoder": self._embedder.name}, configuration={"hnsw": {"space": "cosine"}}
            )
        except Exception as error:
            raise Unavailable(f"the index cannot be opened: {type(error).__name__}: {str(error)[:200]}") from error
        built_with = (collection.metadata or {}).get("encoder")
        if built_with not in (None, self._embedder.name):
            raise IndexOfAnotherModel(f"the index was built with {built_with}, the encoder is {self._embedder.name}")
        return collection

    def _stamp(self) -> str:
        if self._url is not None:
            return str(int(time.monotonic() / SEEN_EVERY_S))
        try:
            return (self._folder / ".generation").read_text(encoding="ascii")
        except OSError:
            return "0"

    def _fresh(self) -> Any:
        """The collection as it is now; read again when another process wrote."""
        stamp = self._stamp()
        if self._collection is None or stamp != self._generation:
            self._collection = self._open()
            self._generation = stamp
            self._load()
        return self._collection

    def _load(self) -> None:
        rows = self._collection.get(include=["documents", "metadatas"])
        self._chunks = [
            _chunk(i, d or "", m or {}) for i, d, m in zip(rows["ids"], rows["documents"] or [], rows["metadatas"] or [], strict=True)
        ]
        self._documents = {}
        for meta in rows["metadatas"] or []:
            source, digest = str(meta["source"]), str(meta["digest"])
            before = self._documents.get(source)
            self._documents[source] = Stored(source, digest, before.passages + 1 if before else 1)
        self._words = Bm25([tokens(chunk.searchable) for chunk in self._chunks]) if len(self._chunks) <= _MANY else None

    def documents(self) -> list[Stored]:
        """What the index holds, by source."""
        with self._mutex:
            self._fresh()
            return sorted(self._documents.values(), key=lambda stored: stored.source)

    def put(self, source: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Store a document's passages in place of what its source had before."""
        self._write(remove=[source], chunks=chunks, digest=digest)

    def remove(self, sources: Sequence[str]) -> None:
        """Take documents out."""
        if sources:
            self._write(remove=list(sources), chunks=(), digest="")

    def reset(self) -> list[str]:
        """Drop everything, whatever encoder it was built with; returns the sources it held."""
        with locked(self._folder), self._mutex:
            client = self._client()
            held: list[str] = []
            if COLLECTION in {collection.name for collection in client.list_collections()}:
                rows = client.get_collection(COLLECTION, embedding_function=None).get(include=["metadatas"])
                held = list(dict.fromkeys(str(meta["source"]) for meta in rows["metadatas"] or []))
                client.delete_collection(COLLECTION)
            self._documents = {}
            self._note_change()
            self._collection = None
            return held

    def _write(self, remove: list[str], chunks: Sequence[Chunk], digest: str) -> None:
        with locked(self._folder), self._mutex:
            collection = self._fresh()
            stale = [source for source in remove if source in self._documents]
            if stale:
                collection.delete(where={"source": {"$in": stale}} if len(stale) > 1 else {"source": stale[0]})
            for start in range(0, len(chunks), BATCH):
                part = chunks[start : start + BATCH]
                vectors = self._embedder.embed([chunk.searchable for chunk in part])
                collection.add(
                    ids=[chunk.id for chunk in part],
                    embeddings=vectors,
                    documents=[chunk.text for chunk in part],
                    metadatas=[
                        {"source": chunk.source, "title": chunk.title, "kind": chunk.kind, "scope": " ".join(chunk.scope), "digest": digest}
                        for chunk in part
                    ],
                )
            for source in stale:
                self._documents.pop(source, None)
            if chunks:
                self._documents[chunks[0].source] = Stored(chunks[0].source, digest, len(chunks))
            self._note_change()

    def _note_change(self) -> None:
        """Tell readers; this process loads its passages again at its next question."""
        stamp = f"{time.time_ns()}-{os.getpid()}"
        temporary = self._folder / f".generation.{os.getpid()}"
        temporary.write_text(stamp, encoding="ascii")
        temporary.replace(self._folder / ".generation")
        self._generation = stamp
        self._words = None
        self._chunks = []

    def nearest(self, vector: Vectors | None, words: Sequence[str], k: int) -> list[Candidate]:
        """The k passages nearest in meaning, then the best by words that are not among them."""
        with self._mutex:
            collection = self._fresh()
            if not self._chunks:
                self._load()
            if not self._chunks:
                return []
            found: dict[str, Candidate] = {}
            if vector is not None:
                near = collection.query(
                    query_embeddings=vector, n_results=min(k, len(self._chunks)), include=["documents", "metadatas", "distances"]
                )
                rows = zip(near["ids"][0], near["documents"][0], near["metadatas"][0], near["distances"][0], strict=True)
                found = {i: Candidate(_chunk(i, d, m), 1 - float(distance)) for i, d, m, distance in rows}
            if self._words is not None:
                scores = self._words.scores(words)
                ceiling = sum(self._words.idf(word) for word in set(words)) * 2.2 or 1.0
                for row in np.argsort(-scores, kind="stable")[:k]:
                    chunk, share = self._chunks[row], float(scores[row]) / ceiling
                    if scores[row] > 0 and (chunk.id not in found or found[chunk.id].similarity < share):
                        found[chunk.id] = Candidate(chunk, share)
            return sorted(found.values(), key=lambda candidate: -candidate.similarity)[:k]


def _chunk(name: str, text: str, meta: dict[str, Any]) -> Chunk:
    owner = str(meta.get("source", ""))
    return Chunk(
        name, owner, str(meta.get("kind", "document")), str(meta.get("title", "")), text, owner, tuple(str(meta.get("scope", "")).split())
    )
