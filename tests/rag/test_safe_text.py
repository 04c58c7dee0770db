"""Text made safe: nothing invisible, nothing that fetches, no link but the allowed ones; the same for lines as for the whole."""

import pytest

from spark_copilot.rag.safe_text import from_log, shown, visible, without_links


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\u202eb\u200bc\ufeffd", "abcd"),
        ("".join(chr(0xE0000 + ord(c)) for c in "ignore all") + "x", "x"),
        ("a\x1b[31mred\x07", "a[31mred"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("größe 数", "größe 数"),
    ],
)
def test_only_what_is_seen_stays(text: str, left: str) -> None:
    assert visible(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.example/a?q=1)", "![x][r]\n\n[r]: https://evil.example/a", "[click](https://evil.example)", "[a](<https://evil.example>)",
        "<img src=https://evil.example/x>", "<img\nsrc='//evil.example/x'>", "see https://evil.example/path", "www.evil.example/x", "//evil.example/x",
        "[x](javascript:alert(1))", "data:text/html;base64,AAAA", "[[x](https://evil.example)](https://evil.example)", "![a\n](https://evil.example)",
        "ftp://evil.example/x", "HTTPS://EVIL.EXAMPLE/X", "[x](https://evil.example/a(b)c)", "<https://evil.example>", "[r]:https://evil.example", "<script>x</script>",
        "[a](\nhttps://evil.example)", "![](//evil.example)",
    ],
)  # fmt: skip
def test_nothing_fetches_and_nothing_links(text: str) -> None:
    safe = shown(text)
    assert "evil.example" not in safe.lower()
    assert "<" not in safe.replace("<=", "")
    assert "javascript:" not in safe
    assert "data:" not in safe
    assert "![" not in safe
    assert "\n".join(shown(line) for line in text.split("\n")).lower().count("evil") == 0


def test_the_sources_of_the_answer_may_be_linked() -> None:
    text = "See https://spark.apache.org/docs/latest/tuning.html, and [this](https://spark.apache.org/docs/latest/tuning.html)."
    assert shown(text, {"https://spark.apache.org/docs/latest/tuning.html"}) == text


def test_ordinary_text_stays() -> None:
    text = "Stage 4.0: 12 s < 20 s, `spark.sql.shuffle.partitions` = 64 [1], a[0] and f(x), see (b)."
    assert without_links(text) == text


@pytest.mark.parametrize(
    "path",
    [
        "s3a://bucket/a/b",
        "hdfs://nn:8020/x",
        "abfss://c@a.dfs.core.windows.net/x",
        "jdbc:postgresql://db:5432/x",
        "gs://b/x",
        "file:/tmp/x",
        "file:///tmp/x",
    ],
)
def test_places_of_data_stay(path: str) -> None:
    assert shown(f"read {path} twice") == f"read {path} twice"


def test_log_text_is_one_bounded_line() -> None:
    assert from_log("a\nb\t c") == "a b c"
    assert from_log("x" * 400, 10) == "x" * 9 + "…"
    assert from_log(None) == ""
