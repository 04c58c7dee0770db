"""Tokens, names and passages: what both lanes of the search stand on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_copilot.rag.chunks import LIMIT, split_markdown
from spark_copilot.rag.lexical import Bm25
from spark_copilot.rag.text import exceptions_in, exit_codes_in, keys_in, sentences, tokens


def test_keys_stay_whole_and_are_split_too() -> None:
    found = tokens("set spark.sql.shuffle.partitions lower")
    assert "spark.sql.shuffle.partitions" in found
    assert {"shuffl", "partition"} <= set(found)
    assert "memory" in tokens("spark.executor.memoryOverhead")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("exit code 137", [137]),
        ("Container exited with a non-zero exit code 143", [143]),
        ("exit status: -100", [-100]),
        ("200 partitions", []),
    ],
)
def test_exit_codes(text: str, codes: list[int]) -> None:
    assert exit_codes_in(text) == codes


def test_names_of_exceptions_and_keys() -> None:
    assert exceptions_in("org.apache.spark.shuffle.FetchFailedException: x; java.lang.OutOfMemoryError") == [
        "FetchFailedException",
        "OutOfMemoryError",
    ]
    assert keys_in("`spark.sql.ansi.enabled`, and spark.executor.cores.") == ["spark.sql.ansi.enabled", "spark.executor.cores"]
    assert keys_in("see https://spark.apache.org/docs/latest") == []


def test_sentences_leave_out_headings_and_list_marks() -> None:
    assert sentences("## Fix\n\n- Do this. Then that.\n- And `x`") == ["Do this.", "Then that.", "And `x`"]


def test_tables_are_one_row_a_piece_under_their_headings() -> None:
    pieces = split_markdown("# A\n\ntext\n\n## B\n\n| key | default |\n|---|---|\n| a | 1 |\n| b | 2 |\n")
    assert [(p.path, p.text) for p in pieces] == [(("A",), "text"), (("A", "B"), "key: a; default: 1"), (("A", "B"), "key: b; default: 2")]


def test_a_hash_in_a_code_block_is_no_heading() -> None:
    pieces = split_markdown("# A\n\n```\n# not a heading\nx\n```\n")
    assert [p.path for p in pieces] == [("A",)]


@given(st.text(alphabet=st.sampled_from("ab c.#|-\n`"), max_size=3000))
def test_no_piece_is_longer_than_the_limit_or_empty(text: str) -> None:
    pieces = split_markdown(text)
    assert all(0 < len(p.text.strip()) <= LIMIT for p in pieces)


def test_rare_words_count_more() -> None:
    index = Bm25([["spark", "spill"], ["spark", "skew"], ["spark", "spark"]])
    scores = index.scores(["spark", "skew"])
    assert scores.argmax() == 1
    assert index.idf("skew") > index.idf("spark") > index.idf("absent") == 0
