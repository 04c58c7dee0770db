"""The vectors of the bundled knowledge, made again; only texts that changed are encoded."""

from collections.abc import Sequence

import numpy as np

from spark_copilot.rag.chunks import Chunk
from spark_copilot.rag.embedder import OnnxEmbedder
from spark_copilot.rag.knowledge import DIMENSIONS, VECTORS, bundled, digest, stored_vectors


def build(pages: Sequence[Chunk], threads: int = 2) -> tuple[int, int]:
    """Write `data/vectors.npz`; returns (texts, how many of them were encoded now)."""
    texts = bundled(pages=pages).embedded_texts()
    kept: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = dict(stored_vectors())
    missing = [text for text in texts if digest(text) not in kept]
    if missing:
        kept |= dict(zip((digest(t) for t in missing), OnnxEmbedder(threads=threads).embed(missing), strict=True))
    names = sorted({digest(text) for text in texts})
    vectors = np.stack([kept[name] for name in names]) if names else np.zeros((0, DIMENSIONS), dtype=np.float32)
    scale = (np.abs(vectors).max(axis=1) / 127).astype(np.float16)
    packed = np.clip(np.round(vectors / scale.astype(np.float32)[:, None]), -127, 127).astype(np.int8)
    VECTORS.parent.mkdir(exist_ok=True)
    np.savez_compressed(VECTORS, digests=np.array(names), vectors=packed, scale=scale)
    stored_vectors.cache_clear()
    return len(names), len(missing)
