"""The cards that ship: every one is whole, its keys exist, every finding code is explained, and the vectors are those of the texts."""

from collections import Counter
from pathlib import Path

import pytest

from spark_copilot.orchestration.ask import rule_pages
from spark_copilot.rag.card_store import CARDS, FIRST, SCOPES, BrokenCard, Card, cards_by_code, load_cards, parse_card, read_folder
from spark_copilot.rag.chunks import LIMIT
from spark_copilot.rag.keys import OTHER, catalog, default_in, exists, known
from spark_copilot.rag.knowledge import VECTORS, bundled, digest, stored_vectors
from spark_copilot.rag.text import keys_in
from spark_copilot.rules_engine.findings import CODES

CARD = """---
id: zebra
title: "Zebra queues"
topics: [zebra]
codes: []
keys: []
exceptions: [ZebraException]
scope: [driver]
source: https://example.org/zebra
asks:
  - "why is my zebra stuck"
---
Zebra queues stop when the flamingo is asleep.

## Fix

- Restart the flamingo.
"""


def test_there_are_at_least_ninety() -> None:
    assert len(load_cards()) >= 90


@pytest.mark.parametrize("card", load_cards(), ids=lambda card: card.id)
def test_each_card_is_whole(card: Card) -> None:
    assert (CARDS / f"{card.id}.md").is_file()
    assert card.source.startswith("https://")
    assert card.asks
    assert card.topics
    assert set(card.scope) <= set(SCOPES)
    assert set(card.codes) <= CODES
    assert 60 <= len(card.body.split()) <= 450
    assert all(len(chunk.text) <= LIMIT for chunk in card.chunks())


@pytest.mark.parametrize("card", load_cards(), ids=lambda card: card.id)
def test_each_key_of_a_card_is_in_a_catalog(card: Card) -> None:
    assert [key for key in card.keys if known(key) is None] == []
    assert [key for key in keys_in(card.body) if key.startswith(("spark.", "delta.")) and key.count(".") > 1 and not exists(key)] == []
    assert set(card.keys) <= set(keys_in(card.body))


def test_every_finding_code_has_a_card_of_its_own() -> None:
    table = cards_by_code(load_cards())
    assert sorted(table) == sorted(CODES)
    assert {code: names[0] for code, names in table.items()} == {code: FIRST.get(code, code) for code in CODES}


def test_no_two_cards_answer_the_same_phrase() -> None:
    counts = Counter(ask.lower() for card in load_cards() for ask in card.asks)
    assert [ask for ask, n in counts.items() if n > 1] == []


def test_shipped_vectors_are_those_of_the_texts() -> None:
    missing = [text[:60] for text in bundled(pages=rule_pages()).embedded_texts() if digest(text) not in stored_vectors()]
    assert missing == [], "run python -m spark_copilot.orchestration.prebuild"
    assert VECTORS.stat().st_size < 3_000_000


def test_a_users_folder_joins_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "zebra.md").write_text(CARD, encoding="utf-8")
    (tmp_path / "spill.md").write_text(CARD.replace("id: zebra", "id: spill"), encoding="utf-8")
    cards = {card.id: card for card in load_cards(tmp_path)}
    assert cards["zebra"].exceptions == ("ZebraException",)
    assert cards["spill"].title == "Zebra queues"
    assert len(cards) == len(load_cards()) + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("no front", "no front matter", id="no front matter"),
        pytest.param("---\n- a\n---\nx", "not a mapping", id="a list"),
        pytest.param("---\nid: [\n---\nx", "not YAML", id="broken yaml"),
        pytest.param("---\nid: a\n---\nx", "title is missing", id="no title"),
        pytest.param("---\nid: a\ntitle: b\ntopics: word\n---\nx", "topics is not a list", id="topics a word"),
    ],
)
def test_a_broken_card_says_why(text: str, said: str) -> None:
    with pytest.raises(BrokenCard, match=said):
        parse_card(Path("own.md"), text)


def test_two_cards_of_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(CARD, encoding="utf-8")
    with pytest.raises(BrokenCard, match=r"b\.md: the id zebra is taken"):
        read_folder(tmp_path)


def test_defaults_follow_the_version() -> None:
    fact = known("spark.sql.ansi.enabled")
    assert fact is not None
    assert [default_in(fact, version) for version in ("3.5.1", "4.0.0", "4.9.0")] == ["false", "true", "true"]
    assert default_in(fact, "2.3.0") is None


def test_keys_are_found_in_any_case_and_invented_ones_are_not() -> None:
    fact = known("SPARK.SQL.SHUFFLE.PARTITIONS")
    assert fact is not None
    assert fact.key == "spark.sql.shuffle.partitions"
    assert known("spark.sql.shuffle.partition.count") is None
    assert exists("spark.executorEnv.MALLOC_ARENA_MAX")
    assert OTHER.is_file()
    assert len(catalog()) > 1_800
