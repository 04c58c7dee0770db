"""BM25 over key-aware tokens, in numpy: the lane that finds exact words, and all of the search when the encoder is missing."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

K1 = 1.2
B = 0.6


class Bm25:
    """An inverted index over token lists. Scores have shape (n_documents,), in the order given."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        lengths = np.array([len(d) for d in documents], dtype=np.float32)
        average = float(lengths.mean()) if len(documents) else 1.0
        postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, words in enumerate(documents):
            for word, count in Counter(words).items():
                postings[word].append((row, count))
        self._size = len(documents)
        self._norm = K1 * (1 - B + B * lengths / max(average, 1.0))
        self._postings = {
            word: (np.array([r for r, _ in found], dtype=np.int32), np.array([c for _, c in found], dtype=np.float32))
            for word, found in postings.items()
        }

    def idf(self, word: str) -> float:
        """How telling a word is; 0 for one that no document holds."""
        found = self._postings.get(word)
        return math.log(1 + (self._size - len(found[0]) + 0.5) / (len(found[0]) + 0.5)) if found is not None else 0.0

    def scores(self, query: Sequence[str]) -> npt.NDArray[np.float32]:
        """Every document's score for these tokens."""
        total = np.zeros(self._size, dtype=np.float32)
        for word in dict.fromkeys(query):
            found = self._postings.get(word)
            if found is not None:
                rows, counts = found
                total[rows] += self.idf(word) * counts * (K1 + 1) / (counts + self._norm[rows])
        return total
