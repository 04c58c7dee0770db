"""SQL text: every statement is seen to the end of the file, in time that is linear in its length."""

import time

import pytest

from spark_copilot.connectors.settings_files import read_text, sql
from tests.timing import below

LAST = "SET spark.sql.shuffle.partitions = 5;\n"


def test_a_set_at_the_end_of_fifty_megabytes_is_seen() -> None:
    row = "INSERT INTO t VALUES (1, 'it''s; a', \"b\", 2.5); -- c; d\n"
    count = 50_000_000 // len(row)
    started = time.process_time()
    parsed = read_text("dump.sql", row * count + LAST)
    took_s = time.process_time() - started
    assert parsed is not None
    assert [(s.line, s.column, s.value) for s in parsed.settings] == [(count + 1, 1, "5")]
    assert below(took_s, 20)


@pytest.mark.parametrize(
    ("piece", "closing"),
    [
        ("-- c ; x\n", ""),
        ("SELECT 'a', b - c / d ", ";"),
        ("{ ", ";"),
        (" \n", ""),
        ("select '{{' as a;", ""),
        ("set a.b=1;", ""),
        ("/* ; */ {% if x %} ", ""),
        ("{{ ref('a') }} ", ";"),
    ],
)
def test_time_is_linear_whatever_the_text_holds(piece: str, closing: str) -> None:
    text = piece * (2_000_000 // len(piece)) + closing + LAST
    started = time.process_time()
    found = list(sql.statements(text))
    assert below(time.process_time() - started, 5)
    assert found[-1][2].startswith("SET spark.sql")


@pytest.mark.parametrize("piece", ["{{", "{{ {a", "{%", "/*", "'", "{{ config(", '{{ "'])
def test_what_never_closes_ends_soon(piece: str) -> None:
    started = time.process_time()
    read_text("a.sql", LAST + piece * (2_000_000 // len(piece)))
    assert below(time.process_time() - started, 5)


def test_a_value_of_blanks_is_read_in_one_pass() -> None:
    text = "set spark.a =" + " " * 1_000_000 + "x;"
    started = time.process_time()
    read_text("a.sql", text)
    assert below(time.process_time() - started, 2)


@pytest.mark.parametrize("file", ["rows.json", "rows.yaml"])
def test_data_that_is_far_too_large_for_settings_is_named_and_not_read(file: str) -> None:
    row = '{"id": 1, "text": "spark and more"},\n' if file.endswith("json") else "- {id: 1, text: spark and more}\n"
    started = time.process_time()
    parsed = read_text(file, "[" * file.endswith("json") + row * (9_000_000 // len(row)))
    assert below(time.process_time() - started, 2)
    assert parsed is not None
    assert [(m.what, m.data["severity"]) for m in parsed.marks] == [("unreadable", "info")]
