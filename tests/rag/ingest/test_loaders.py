"""Each loader on a small file of its kind."""

import struct
import zipfile
from pathlib import Path

import pytest
from pypdf import PdfWriter

from spark_copilot.rag.ingest.document import Document, UnreadableDocument, clean_markdown
from spark_copilot.rag.ingest.html import html_to_markdown
from spark_copilot.rag.ingest.internal_logs import load_file, load_log
from spark_copilot.rag.ingest.load import documents
from spark_copilot.rag.ingest.spark_docs import class_strings, settings_in
from tests.rag.test_run_answers import SKEW, report

LOG = """24/05/01 10:00:00 INFO SparkContext: Running Spark
24/05/01 10:00:01 WARN TaskSetManager: Lost task 1.0 in stage 2.0 (TID 7)
java.lang.OutOfMemoryError: Java heap space
\tat org.apache.spark.Foo.bar(Foo.scala:1)
24/05/01 10:00:02 WARN TaskSetManager: Lost task 3.0 in stage 2.0 (TID 9)
24/05/01 10:00:03 ERROR Executor: token=abcdefgh12345678 expired
"""


def class_file(*strings: str) -> bytes:
    pool = b"".join(b"\x01" + struct.pack(">H", len(s.encode())) + s.encode() for s in strings)
    return b"\xca\xfe\xba\xbe" + struct.pack(">HH", 0, 61) + struct.pack(">H", len(strings) + 1) + pool


def test_html_keeps_headings_tables_and_code_and_drops_the_rest() -> None:
    page = """<html><head><title>T</title><script>x()</script></head><body><nav>menu</nav><main><h1>Vacuum¶</h1><p>Removes  files.</p>
    <table><tr><th>key</th><th>default</th></tr><tr><td>a|b</td><td>1</td></tr></table><pre>SELECT 1</pre><ul><li>one</li></ul></main></body></html>"""
    title, text = html_to_markdown(page, "page")
    assert title == "Vacuum"
    assert text == "# Vacuum\n\nRemoves files.\n\n| key | default |\n|---|---|\n| a/b | 1 |\n\n```\nSELECT 1\n```\n\n- one"


def test_mdx_loses_imports_tags_and_comments_but_not_code() -> None:
    title, text = clean_markdown(
        '---\ntitle: "Tables"\n---\nimport X from "x"\n\n<Tabs>\nText {/* no */}\n```\nList<int> x\n```\n</Tabs>\n', "f"
    )
    assert title == "Tables"
    assert "import" not in text
    assert "Tabs" not in text
    assert "no */" not in text
    assert "List<int> x" in text


def test_a_log_becomes_its_warnings_folded() -> None:
    text = load_log("x/stderr", LOG).text
    assert "Seen 2 times" in text
    assert "OutOfMemoryError" in text
    assert "Running Spark" not in text
    assert "abcdefgh12345678" not in " ".join(c.text for c in load_log("x/stderr", LOG).chunks())


def test_a_report_becomes_its_findings(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(report(SKEW).model_dump_json(by_alias=True), encoding="utf-8")
    made = load_file(path, "r.json")
    assert made.kind == "report"
    assert "data-skew at stage:4.0" in made.text
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(UnreadableDocument, match="no report of this program"):
        load_file(path, "r.json")


def test_a_broken_pdf_is_said_and_an_empty_one_is_nothing(tmp_path: Path) -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "blank.pdf")
    assert load_file(tmp_path / "blank.pdf", "blank.pdf").text == ""
    (tmp_path / "bad.pdf").write_bytes(b"not a pdf at all")
    with pytest.raises(UnreadableDocument, match="not a readable PDF"):
        load_file(tmp_path / "bad.pdf", "bad.pdf")


def test_doc_strings_of_a_pyspark_are_read_without_importing_it(tmp_path: Path) -> None:
    package = tmp_path / "pyspark"
    (package / "sql").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    source = 'class DataFrame:\n    def cache(self):\n        """Persist it.\n\n        Examples\n        --------\n        >>> df.cache()\n        """\n'
    (package / "sql" / "frame.py").write_text(source, encoding="utf-8")
    found = list(documents(package))
    assert [(d.title, d.text) for d in found] == [("pyspark.sql.frame", "## pyspark.sql.frame.DataFrame.cache\n\nPersist it.")]


def test_settings_texts_come_out_of_jars(tmp_path: Path) -> None:
    doc = "How many partitions to use when shuffling data for joins."
    data = class_file("spark.sql.shuffle.partitions", "()V", doc, "spark.sql.other.key", "short")
    assert settings_in(class_strings(data)) == [("spark.sql.shuffle.partitions", doc)]
    with zipfile.ZipFile(tmp_path / "spark-catalyst.jar", "w") as jar:
        jar.writestr("org/apache/spark/sql/internal/SQLConf$.class", data)
        jar.writestr("org/apache/spark/Other.class", data)
    found = list(documents(tmp_path / "spark-catalyst.jar"))
    assert [d.text for d in found] == [f"## spark.sql.shuffle.partitions\n\n{doc}"]
    assert class_strings(b"junk") == []
    assert class_strings(data[:30]) is not None


def test_a_folder_is_read_in_order_and_what_fails_is_said(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# B\n\ntext\n", encoding="utf-8")
    (tmp_path / "a.html").write_text("<h1>A</h1><p>text</p>", encoding="utf-8")
    (tmp_path / ".hidden.md").write_text("# H\n\ntext\n", encoding="utf-8")
    (tmp_path / "broken.jar").write_bytes(b"no")
    skipped: list[str] = []
    assert [d.title for d in documents(tmp_path, skipped.append)] == ["A", "B"]
    assert skipped == [f"{tmp_path / 'broken.jar'}: not a jar"]


def test_the_same_content_has_the_same_digest() -> None:
    first, second = Document("a", "t", "x", "runbook"), Document("b", "t", "x", "runbook")
    assert first.digest == second.digest != Document("a", "t", "y", "runbook").digest
