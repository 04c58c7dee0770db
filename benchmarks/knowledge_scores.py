"""How retrieval and answers are scored on questions with key facts: a fact is covered by text that holds enough of its telling words.

The measure is that of `score_answer.py`, which lies beside the questions: it is loaded from there, so both say the same.
"""

import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("SPARK_COPILOT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "rag"


def questions() -> list[dict[str, Any]]:
    """The questions, one dict each: id, question, topics, config_keys, key_facts."""
    return [json.loads(line) for line in (SHARED / "dev_questions.jsonl").read_text(encoding="utf-8").splitlines()]


def scorer() -> Callable[[dict[str, Any], str], tuple[float, list[float]]]:
    """`coverage(question, text)` -> (share of facts covered, score of each fact)."""
    sys.path.insert(0, str(SHARED))
    arguments, sys.argv = sys.argv, [sys.argv[0]]
    try:
        spec = importlib.util.spec_from_file_location("score_answer", SHARED / "score_answer.py")
        if spec is None or spec.loader is None:
            raise SystemExit(f"no score_answer.py in {SHARED}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.argv = arguments
        sys.path.remove(str(SHARED))
    coverage: Callable[[dict[str, Any], str], tuple[float, list[float]]] = module.coverage
    return coverage


def ndcg(gains: Sequence[float], ideal: Sequence[float], k: int = 10) -> float:
    """Discounted gain of the first k results over that of the best order."""

    def total(values: Sequence[float]) -> float:
        return sum(gain / math.log2(place + 2) for place, gain in enumerate(values[:k]))

    best = total(sorted(ideal, reverse=True))
    return total(gains) / best if best else 0.0
