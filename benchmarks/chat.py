"""Answers without a model: key facts covered in at most 200 words, keys that no catalog holds, words, CPU of the first answer.

usage: python benchmarks/chat.py [--json FILE]
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from knowledge_scores import questions, scorer

from spark_copilot.orchestration.ask import rule_pages
from spark_copilot.rag.answer import WORDS, Answerer, count_words
from spark_copilot.rag.embedder import OnnxEmbedder
from spark_copilot.rag.keys import exists
from spark_copilot.rag.knowledge import bundled
from spark_copilot.rag.retriever import Retriever
from spark_copilot.rag.text import keys_in

FIRST = """
import time
from spark_copilot.orchestration.ask import rule_pages
from spark_copilot.rag.answer import Answerer
from spark_copilot.rag.embedder import OnnxEmbedder
from spark_copilot.rag.knowledge import bundled
from spark_copilot.rag.retriever import Retriever
Answerer(Retriever(bundled(pages=rule_pages()), OnnxEmbedder())).answer("why do my executors run out of memory?")
import resource
print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(words_only: bool = False) -> dict[str, float]:
    """The figures on all questions."""
    answerer = Answerer(Retriever(bundled(pages=rule_pages()), None if words_only else OnnxEmbedder()))
    answerer.answer("warm up")
    coverage = scorer()
    covered, lengths, times, invented, keys, asked = [], [], [], 0, 0, 0
    for question in questions():
        start = time.perf_counter()
        answer = answerer.answer(question["question"])
        times.append((time.perf_counter() - start) * 1e3)
        covered.append(coverage(question, answer.text)[0])
        lengths.append(count_words(answer.text))
        invented += sum(not exists(k) and k.startswith(("spark.", "delta.")) and k.count(".") > 1 for k in keys_in(answer.text))
        keys += sum(key in answer.text for key in question["config_keys"])
        asked += len(question["config_keys"])
    times.sort()
    return {
        "facts covered": sum(covered) / len(covered),
        "needed keys named": keys / max(asked, 1),
        "keys in no catalog": float(invented),
        "most words": float(max(lengths)),
        "p95 ms": times[int(len(times) * 0.95)],
    }


def main() -> None:
    """Print the figures and write them where asked."""
    print("facts a right answer needs, present in the top five passages: BM25 0.288, fused 0.318, fused + 81 cards 0.431")
    ours = {"hybrid": measure(), "words only": measure(words_only=True)}
    for name, figures in ours.items():
        print(f"ours, {name:11} in {WORDS} words: " + "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    cpu, rss = map(float, subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True).stdout.split())
    ours["start"] = {"first answer CPU s": cpu, "peak memory MB": rss}
    print(f"first answer after start: {cpu:.2f} s CPU (limit 2.5), peak memory {rss:.0f} MB (limit 300)")
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(ours, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
