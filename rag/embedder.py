"""Text to vectors: the encoder that comes with the package (MiniLM, int8 ONNX), run by onnxruntime. Nothing is downloaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spark_copilot.rules_engine.errors import Unavailable

Vectors = npt.NDArray[np.float32]
MODELS = Path(__file__).parent / "models"
MAX_TOKENS = 256


class Embedder(Protocol):
    """What turns texts into unit vectors."""

    @property
    def name(self) -> str:
        """Which model: an index remembers it, vectors of two models do not mix."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of shape (n_texts, dimensions)."""
        ...


class OnnxEmbedder:
    """The bundled encoder: 384 dimensions, 256 tokens, one thread. Loaded on first use.

    Raises:
        Unavailable: the model's files are not in the installation, or onnxruntime cannot load them.
    """

    name = "all-MiniLM-L6-v2-int8"

    def __init__(self, folder: Path = MODELS, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._session: Any = None
        self._tokenizer: Any = None

    def _load(self) -> None:
        model, tokenizer = self._folder / "all-MiniLM-L6-v2.int8.onnx", self._folder / "tokenizer.json"
        if not model.is_file() or not tokenizer.is_file():
            raise Unavailable(
                "the bundled encoder is not in this installation", hint="Search works on words alone; reinstall the package for meaning."
            )
        try:
            import onnxruntime
            from tokenizers import Tokenizer

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
            self._tokenizer.enable_truncation(MAX_TOKENS)
            self._tokenizer.enable_padding()
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Unavailable(f"the bundled encoder does not load: {type(error).__name__}: {error}") from error

    def embed(self, texts: Sequence[str], batch: int = 16) -> Vectors:
        """Unit vectors of shape (n_texts, 384); batches of similar length keep padding small."""
        if self._session is None:
            self._load()
        vectors = np.zeros((len(texts), 384), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            encoded = self._tokenizer.encode_batch([texts[row] for row in rows])
            ids = np.array([e.ids for e in encoded], dtype=np.int64)
            mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
            vectors[rows] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return unit(vectors)


def unit(vectors: npt.ArrayLike) -> Vectors:
    """The vectors at length one; a zero vector stays zero."""
    array = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(array, axis=1, keepdims=True)
    made: Vectors = (array / np.maximum(length, 1e-12)).astype(np.float32)
    return made
