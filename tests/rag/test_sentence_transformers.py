"""Another encoder for real, where the extra `embeddings` and a model are installed."""

import os

import numpy as np
import pytest

from spark_copilot.rag.other_embedders import SentenceTransformerEmbedder
from spark_copilot.rules_engine.errors import Unavailable


def test_a_sentence_transformers_model() -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `embeddings` is not installed")
    model = os.environ.get("SPARK_COPILOT_TEST_ENCODER")
    if model is None:
        pytest.skip("SPARK_COPILOT_TEST_ENCODER names no model folder")
    vectors = SentenceTransformerEmbedder(model).embed(["tasks spill to disk", "spilling tasks", "a walk in the park"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_without_the_extra_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(Unavailable, match="is not installed"):
        SentenceTransformerEmbedder("m").embed(["x"])
