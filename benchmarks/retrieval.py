"""Retrieval over the bundled knowledge: hit@1, hit@5, nDCG@10, facts in the first five passages, time a query.

A passage is relevant when its card has one of the question's topics, or when it covers a key fact. Baselines: the same questions over 41 Spark, 20 Delta
and 13 Iceberg pages with BM25, MiniLM and their fusion, and with 81 cards.
usage: python benchmarks/retrieval.py [--json FILE]
"""

import json
import sys
import time
from pathlib import Path

from knowledge_scores import ndcg, questions, scorer

from spark_copilot.orchestration.ask import rule_pages
from spark_copilot.rag.embedder import OnnxEmbedder
from spark_copilot.rag.knowledge import bundled
from spark_copilot.rag.retriever import Retriever

BASELINES = {
    "BM25 plain": (0.430, 0.692, 0.310),
    "BM25, key-aware": (0.505, 0.720, 0.391),
    "MiniLM": (0.449, 0.673, 0.361),
    "fused": (0.523, 0.804, 0.431),
    "fused + 81 cards": (0.664, 0.888, 0.483),
}


def measure(words_only: bool = False) -> dict[str, float]:
    """The figures on all questions."""
    knowledge = bundled(pages=rule_pages())
    retriever = Retriever(knowledge, None if words_only else OnnxEmbedder())
    retriever.search("warm up", 1)
    coverage = scorer()
    topics = {card.id: set(card.topics) for card in knowledge.cards}
    texts = {chunk.id: chunk for chunk in (*knowledge.card_chunks, *knowledge.key_chunks)}
    rows, times, facts_top5, hit_facts = [], [], [], []
    for question in questions():
        start = time.perf_counter()
        hits = retriever.search(question["question"], 10)
        times.append((time.perf_counter() - start) * 1e3)

        def relevant(chunk_id: str, owner: str, question: dict = question) -> float:  # type: ignore[type-arg]
            covered = any(score >= 0.45 for score in coverage(question, texts[chunk_id].text)[1])
            return float(bool(topics.get(owner, set()) & set(question["topics"])) or covered)

        gains = [relevant(h.chunk.id, h.chunk.owner) for h in hits]
        ideal = [relevant(c.id, c.owner) for c in knowledge.card_chunks]
        rows.append((gains[0], max(gains[:5]), ndcg(gains, ideal)))
        covers = [coverage(question, h.chunk.text)[0] for h in hits[:5]]
        hit_facts.append(float(max(covers) > 0))
        best = [max(s) for s in zip(*(coverage(question, h.chunk.text)[1] for h in hits[:5]), strict=True)]
        facts_top5.append(sum(s >= 0.45 for s in best) / len(best))
    n = len(rows)
    times.sort()
    return {
        "hit@1": sum(r[0] for r in rows) / n,
        "hit@5": sum(r[1] for r in rows) / n,
        "nDCG@10": sum(r[2] for r in rows) / n,
        "hit@5 by facts alone": sum(hit_facts) / n,
        "facts in the first five": sum(facts_top5) / n,
        "median ms": times[n // 2],
        "p95 ms": times[int(n * 0.95)],
    }


def main() -> None:
    """Print the table and write the figures where asked."""
    for name, (hit1, hit5, gain) in BASELINES.items():
        print(f"{name:24} hit@1 {hit1:.3f}  hit@5 {hit5:.3f}  nDCG@10 {gain:.3f}")
    ours = {"hybrid": measure(), "words only": measure(words_only=True)}
    for name, figures in ours.items():
        print(f"ours, {name:18} " + "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(ours, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
