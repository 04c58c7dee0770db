"""Encoders other than the bundled one: any sentence-transformers model (extra `embeddings`), any OpenAI-compatible `/embeddings` endpoint."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spark_copilot.rag.embedder import Embedder, OnnxEmbedder, Vectors, unit
from spark_copilot.rules_engine.errors import Unavailable, UsageError

TIMEOUT_S = 60.0
BATCH = 64


class SentenceTransformerEmbedder:
    """A sentence-transformers model by name or folder. Loaded on first use.

    Raises:
        Unavailable: the extra is not installed, or the model does not load.
    """

    def __init__(self, model: str) -> None:
        self.name = f"sentence-transformers:{model}"
        self._model_name = model
        self._model: Any = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of shape (n_texts, the model's dimensions)."""
        if self._model is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise Unavailable(
                    "sentence-transformers is not installed", hint="pip install 'spark-intelligence-copilot[embeddings]'"
                ) from error
            try:
                self._model = SentenceTransformer(self._model_name)
            except Exception as error:
                raise Unavailable(f"the encoder {self._model_name} does not load: {type(error).__name__}: {str(error)[:200]}") from error
        return unit(np.asarray(self._model.encode(list(texts), batch_size=32, show_progress_bar=False), dtype=np.float32))


class HttpEmbedder:
    """An OpenAI-compatible endpoint: `POST {url}/embeddings {model, input}`.

    Raises:
        Unavailable: it does not answer, answers an error, or not with vectors.
    """

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        self.name = f"http:{model}"
        self._url = url.rstrip("/") + "/embeddings"
        self._model = model
        self._key = key

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of shape (n_texts, the model's dimensions), in the order of the texts."""
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        rows: list[list[float]] = []
        try:
            with httpx.Client(timeout=TIMEOUT_S, headers=headers) as client:
                for start in range(0, len(texts), BATCH):
                    part = list(texts[start : start + BATCH])
                    answer = client.post(self._url, json={"model": self._model, "input": part}).raise_for_status().json()
                    data = sorted(answer["data"], key=lambda row: row["index"])
                    if len(data) != len(part):
                        raise Unavailable(f"the embeddings endpoint gave {len(data)} vectors for {len(part)} texts")
                    rows += [row["embedding"] for row in data]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"the embeddings endpoint does not answer as it should: {type(error).__name__}: {str(error)[:200]}"
            ) from error
        return unit(np.asarray(rows, dtype=np.float32))


def embedder_of(spec: str | None, *, url: str | None = None, key: str | None = None) -> Embedder:
    """The encoder a setting names: absent or "bundled", "sentence-transformers:MODEL", or "http:MODEL" with a URL.

    Raises:
        UsageError: none of these.
    """
    if spec in (None, "", "bundled"):
        return OnnxEmbedder()
    assert spec is not None
    kind, _, model = spec.partition(":")
    if kind == "sentence-transformers" and model:
        return SentenceTransformerEmbedder(model)
    if kind == "http" and model and url:
        return HttpEmbedder(url, model, key)
    raise UsageError(f"no encoder {spec!r}", hint="known: bundled, sentence-transformers:MODEL, http:MODEL (with the endpoint's URL)")
