"""Which loader reads a path: one function over folders and files, in a fixed order, with what could not be read said and skipped."""

from collections.abc import Callable, Iterator
from pathlib import Path

from spark_copilot.rag.ingest import databricks_docs, internal_logs, spark_docs
from spark_copilot.rag.ingest.document import Document, UnreadableDocument
from spark_copilot.rules_engine.errors import NotFound

_TEXT = (".md", ".mdx", ".markdown", ".html", ".htm", ".txt", ".log", ".out", ".err", ".pdf", ".json", ".rst")
_NAMES = ("stdout", "stderr", "log4j-active.log")


def documents(path: Path, skipped: Callable[[str], None] = lambda _: None) -> Iterator[Document]:
    """Every document under a path; `skipped` hears a sentence for each file that cannot be read.

    Raises:
        NotFound: there is nothing at the path.
        UnreadableDocument: the path is one file and cannot be read.
    """
    if not path.exists():
        raise NotFound(f"{path}: there is no such file or folder")
    if path.is_file():
        yield from _of_file(path, str(path))
        return
    if path.name == "pyspark" and (path / "__init__.py").is_file():
        yield from spark_docs.load_pyspark(path, str(path))
        for jar in sorted((path / "jars").glob("spark-*.jar")):
            yield from _tolerant(lambda jar=jar: spark_docs.load_jar(jar, str(jar)), skipped)  # type: ignore[misc]
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith((".", "_site_src")) for part in file.relative_to(path).parts)
        if file.is_file() and not hidden and (file.suffix.lower() in (*_TEXT, ".jar") or file.name in _NAMES):
            yield from _tolerant(lambda file=file: _of_file(file, str(file)), skipped)  # type: ignore[misc]


def _tolerant(load: Callable[[], Iterator[Document]], skipped: Callable[[str], None]) -> Iterator[Document]:
    try:
        yield from load()
    except (UnreadableDocument, OSError) as error:
        skipped(str(error))


def _of_file(path: Path, source: str) -> Iterator[Document]:
    suffix = path.suffix.lower()
    if suffix == ".jar":
        yield from spark_docs.load_jar(path, source)
        return
    if suffix in (".html", ".htm", ".mdx"):
        loader = spark_docs.load_page if _is_spark_page(path) else databricks_docs.load_page
    elif suffix in (".md", ".markdown") and _is_spark_page(path):
        loader = spark_docs.load_page
    else:
        loader = internal_logs.load_file
    made = loader(path, source)
    if made.text.strip():
        yield made


def _is_spark_page(path: Path) -> bool:
    """A page of Spark's own docs: of a checkout (beside `_config.yml` with `SPARK_VERSION`) or a copy of the site."""
    if any(part.startswith("spark-") or part == "spark" for part in path.parts[:-1]):
        return True
    config = path.parent / "_config.yml"
    return config.is_file() and "SPARK_VERSION" in config.read_text(encoding="utf-8", errors="replace")
