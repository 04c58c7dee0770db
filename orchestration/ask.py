"""Search and ask: the bundled knowledge, the user's index and, where a run is given, its report and facts. No model is used here."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from spark_copilot.orchestration.whatif import what_if as replay
from spark_copilot.rag.answer import WORDS, WORDS_LONG, Answer, Answerer, Citation, count_words
from spark_copilot.rag.card_store import SCOPES, cards_by_code, load_cards
from spark_copilot.rag.chunks import Chunk
from spark_copilot.rag.embedder import OnnxEmbedder
from spark_copilot.rag.keys import exists
from spark_copilot.rag.knowledge import bundled
from spark_copilot.rag.other_embedders import embedder_of
from spark_copilot.rag.retriever import Retriever
from spark_copilot.rag.run_answers import RunAnswer, WhatIf, WhatIfSet, answer_about_run
from spark_copilot.rag.safe_text import shown, visible
from spark_copilot.rag.vectorstore import ChromaIndex
from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Report, Value
from spark_copilot.rules_engine.gate.rules import RULES as GATE_RULES
from spark_copilot.rules_engine.gate.run_pages import RUN_PAGES
from spark_copilot.rules_engine.units import show_ms

INDEX_FOLDER = "index"
MOST_EXECUTORS = 10_000
QUESTION_LIMIT = 4_000
"""Characters of a question; what is longer is cut, the end of a pasted stack trace says little."""


@dataclass(frozen=True, slots=True)
class KnowledgePlace:
    """Where knowledge lies: the home with the user's index, a folder of own cards, a Chroma server, another encoder for the user's index."""

    home: Path
    cards: Path | None = None
    chroma_url: str | None = None
    encoder: str | None = None
    encoder_url: str | None = None
    encoder_key: str | None = None

    @property
    def index_folder(self) -> Path:
        """Where the user's index lies."""
        return self.home / INDEX_FOLDER

    def index(self) -> ChromaIndex:
        """The user's index, made on the first addition."""
        return ChromaIndex(self.index_folder, embedder_of(self.encoder, url=self.encoder_url, key=self.encoder_key), self.chroma_url)

    def has_index(self) -> bool:
        """Whether the user added anything, as far as can be told without opening it."""
        return self.chroma_url is not None or ChromaIndex.exists(self.index_folder)


class SearchHit(Value):
    """One passage found."""

    id: str
    title: str
    source: str
    score: float
    text: str


class SearchAnswer(Value):
    """The JSON of `search`."""

    schema_version: Literal[1] = 1
    results: tuple[SearchHit, ...]


class CitationValue(Value):
    """One source of an answer; `[n]` in the text counts from 1."""

    id: str
    title: str
    source: str


class AskAnswer(Value):
    """The JSON of `ask`. `findings`: keys of the report the answer rests on; `model`: None when none was asked."""

    schema_version: Literal[1] = 1
    answer: str
    citations: tuple[CitationValue, ...]
    findings: tuple[str, ...] = ()
    model: str | None = None


@lru_cache(maxsize=1)
def rule_pages() -> tuple[Chunk, ...]:
    """Our rules' pages as passages: what `explain` prints can be found too."""
    pages = [(rule.code, rule.title, rule.page) for rule in RULES]
    pages += [(rule.code, rule.name.replace("-", " "), rule.page) for rule in GATE_RULES]
    pages += [(page.code, page.name.replace("-", " "), page.text) for page in RUN_PAGES]
    return tuple(
        Chunk(f"rule:{code}", f"rule:{code}", "rule", title, text[:900], f"spark-copilot explain {code}") for code, title, text in pages
    )


@lru_cache(maxsize=4)
def _open(place: KnowledgePlace, with_index: bool) -> tuple[Retriever, Answerer]:
    index = place.index() if with_index else None
    own = place.encoder in (None, "", "bundled")
    retriever = Retriever(
        bundled(place.cards, rule_pages(), place.home),
        OnnxEmbedder(),
        index,
        None if own else embedder_of(place.encoder, url=place.encoder_url, key=place.encoder_key),
    )
    return retriever, Answerer(retriever)


def open_knowledge(place: KnowledgePlace) -> tuple[Retriever, Answerer]:
    """The retriever and answerer over a place, kept for the next question; the user's index joins as soon as there is one."""
    return _open(place, place.has_index())


def search(query: str, place: KnowledgePlace, *, k: int = 5, scope: Iterable[str] = ()) -> SearchAnswer:
    """The k best passages for a query.

    Raises:
        UsageError: nothing is asked, k is not positive, or a scope is unknown.
    """
    query = _asked(query)
    wanted = tuple(scope)
    unknown = [name for name in wanted if name not in SCOPES]
    if unknown:
        raise UsageError(f"no scope {unknown[0]!r}", hint="known: " + ", ".join(SCOPES))
    if k < 1:
        raise UsageError("k must be at least 1")
    hits = open_knowledge(place)[0].search(query, min(k, 100), wanted)
    return SearchAnswer(
        results=tuple(SearchHit(id=h.chunk.id, title=h.chunk.title, source=h.chunk.source, score=h.score, text=h.chunk.text) for h in hits)
    )


def replay_executors(run: AppRun) -> WhatIf:
    """What the simulator says of other numbers of executors, as one sentence."""

    def said(executors: int) -> str | None:
        if not 1 <= executors <= MOST_EXECUTORS:
            return None
        made = replay(run, executors=(executors,))
        point, wall = made.points[0], made.points[0].wall_ms
        notes = "".join(f" Note: {note}." for note in point.notes)
        return (
            f"With {executors} executors of {point.cores_per_executor} cores the recorded tasks replay in about {show_ms(wall.mid)} (between "
            f"{show_ms(wall.low)} and {show_ms(wall.high)}); the run took {show_ms(run.wall_ms)} with at most {made.observed.executors}. "
            f"The replay of the run itself is off by {100 * made.replay.error_ratio:.1f} %.{notes}"
        )

    return said


def replay_setting(run: AppRun) -> WhatIfSet:
    """What the simulator says of another value of a setting, as one sentence."""

    def said(key: str, value: str) -> str | None:
        if not exists(key):
            return None
        made = replay(run, settings={key: value})
        if made.cannot_reason_about:
            return f"The replay cannot reason about `{key}`; only a run with it tells."
        wall = made.points[0].wall_ms
        return (
            f"With `{key}` = {value} the recorded tasks replay in about {show_ms(wall.mid)} (between {show_ms(wall.low)} and "
            f"{show_ms(wall.high)}); the run took {show_ms(run.wall_ms)}."
        )

    return said


def ask(
    question: str,
    place: KnowledgePlace,
    *,
    run: AppRun | None = None,
    report: Report | None = None,
    long: bool = False,
    what_if: WhatIf | None = None,
) -> AskAnswer:
    """The answer to one question: about the run where there is one and the question is about it, else from the knowledge.

    Raises:
        UsageError: nothing is asked.
    """
    question = _asked(question)
    words = WORDS_LONG if long else WORDS
    if report is not None:
        about = about_run(question, report, run, what_if=what_if)
        if about is not None:
            return of_run(about, report, place, words)
    made = open_knowledge(place)[1].answer(question, words=words)
    return AskAnswer(
        answer=visible(made.text), citations=tuple(CitationValue(id=c.id, title=c.title, source=c.source) for c in made.citations)
    )


def about_run(question: str, report: Report, run: AppRun | None, *, what_if: WhatIf | None = None) -> RunAnswer | None:
    """The run's own answer with the replay at hand; None when the question is not about the run."""
    what_if = what_if or (replay_executors(run) if run is not None else None)
    return answer_about_run(question, report, run, what_if=what_if, what_if_set=replay_setting(run) if run is not None else None)


def _asked(question: str) -> str:
    question = " ".join(question.split())[:QUESTION_LIMIT]
    if not question:
        raise UsageError("nothing is asked", hint='spark-copilot ask "why do my executors run out of memory?"')
    return question


def of_run(about: RunAnswer, report: Report, place: KnowledgePlace, words: int) -> AskAnswer:
    """The run's answer with the cards of its findings as sources, cut at whole lines to the length asked for and free of foreign links."""
    cards = load_cards(place.cards)
    table = cards_by_code(cards)
    codes = dict.fromkeys(finding.code for finding in report.findings if finding.key in about.findings)
    wanted = list(dict.fromkeys((*about.cards, *(card for code in codes for card in table.get(code, ())[:1]))))[:3]
    by_id = {card.id: card for card in cards}
    citations = [Citation(name, by_id[name].title, by_id[name].source) for name in wanted if name in by_id]
    closing = [f"More: {c.title} [{n}]" for n, c in enumerate(citations, 1)]
    budget = words - sum(count_words(line) for line in closing)
    kept: list[str] = []
    for line in about.text.split("\n"):
        budget -= count_words(line)
        if budget < 0 and kept:
            break
        kept.append(line)
    made = Answer(shown("\n".join([*kept, *closing])), tuple(citations))
    return AskAnswer(
        answer=made.text,
        citations=tuple(CitationValue(id=c.id, title=c.title, source=c.source) for c in made.citations),
        findings=about.findings,
    )
