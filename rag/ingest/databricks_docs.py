"""Databricks and Delta Lake documentation: saved HTML pages, MDX and Markdown of their repositories."""

from pathlib import Path

from spark_copilot.rag.ingest.document import Document, clean_markdown, read_text
from spark_copilot.rag.ingest.html import html_to_markdown

SUFFIXES = (".html", ".htm", ".mdx", ".md")


def load_page(path: Path, source: str) -> Document:
    """One page."""
    text = read_text(source, path.read_bytes())
    if path.suffix.lower() in (".html", ".htm"):
        title, text = html_to_markdown(text, path.stem)
    else:
        title, text = clean_markdown(text, path.stem)
    return Document(source, title, text, "databricks-docs")
