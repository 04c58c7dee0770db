"""Apache Spark's own texts: a checkout or site copy (Markdown, HTML), the doc strings of an installed pyspark, the settings' texts in its jars.

Jars are read as zip files and class files as their constant pool: in a configuration class a key is followed by its documentation, so no JVM is needed.
"""

import ast
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from spark_copilot.rag.ingest.document import Document, UnreadableDocument, clean_markdown, read_text
from spark_copilot.rag.ingest.html import html_to_markdown

_CONFIG_CLASS = re.compile(
    r"org/apache/spark/(?:internal/config/|sql/internal/(?:SQLConf|StaticSQLConf)|deploy/[\w/]*[Cc]onfig)[\w$]*\.class$"
)
_KEY = re.compile(r"spark\.[A-Za-z0-9_]+(?:\.[A-Za-z0-9_\-]+)+")
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}


def load_page(path: Path, source: str) -> Document:
    """One page of the documentation."""
    text = read_text(source, path.read_bytes())
    if path.suffix.lower() in (".html", ".htm"):
        title, text = html_to_markdown(text, path.stem)
    else:
        title, text = clean_markdown(text, path.stem)
    return Document(source, title, text, "spark-docs")


def load_pyspark(package: Path, source: str) -> Iterator[Document]:
    """The doc strings of every public function and class of an installed pyspark, one document a module; nothing is imported."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        if any(part.startswith("_") and part != "__init__.py" for part in parts) or "tests" in parts:
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError:
            continue
        module = ".".join((package.name, *parts))[:-3].removesuffix(".__init__")
        text = "\n\n".join(f"## {name}\n\n{doc}" for name, doc in _docstrings(tree, module))
        if text:
            yield Document(f"{source}/{'/'.join(parts)}", module, text, "spark-docs")


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            doc = ast.get_docstring(child)
            if doc:
                yield f"{name}.{child.name}", doc.split("\nExamples\n")[0].strip()
            if isinstance(child, ast.ClassDef):
                yield from _docstrings(child, f"{name}.{child.name}")


def load_jar(path: Path, source: str) -> Iterator[Document]:
    """The settings' texts inside a Spark jar, one document a class."""
    try:
        with zipfile.ZipFile(path) as jar:
            for name in sorted(n for n in jar.namelist() if _CONFIG_CLASS.search(n)):
                rows = settings_in(class_strings(jar.read(name)))
                if rows:
                    text = "\n\n".join(f"## {key}\n\n{doc}" for key, doc in rows)
                    yield Document(f"{source}!{name}", f"Settings of {name.rsplit('/', 1)[-1].removesuffix('.class')}", text, "spark-docs")
    except zipfile.BadZipFile:
        raise UnreadableDocument(source, "not a jar") from None


def class_strings(data: bytes) -> list[str]:
    """The text constants of a class file, in the order of its constant pool; empty when it is no class file."""
    if data[:4] != b"\xca\xfe\xba\xbe":
        return []
    count = struct.unpack_from(">H", data, 8)[0]
    at, index, found = 10, 1, []
    try:
        while index < count:
            tag = data[at]
            if tag == 1:
                length = struct.unpack_from(">H", data, at + 1)[0]
                found.append(data[at + 3 : at + 3 + length].decode("utf-8", errors="replace"))
                at += 3 + length
            else:
                at += 1 + _SIZES[tag]
                index += tag in (5, 6)
            index += 1
    except (IndexError, KeyError, struct.error):
        return found
    return found


def settings_in(strings: list[str]) -> list[tuple[str, str]]:
    """(key, documentation) pairs: a key and the first sentence-like constant that follows before the next key."""
    pairs: list[tuple[str, str]] = []
    key = ""
    for text in strings:
        if _KEY.fullmatch(text):
            key = text
        elif key and len(text) > 30 and text.count(" ") >= 4 and not text.startswith(("(", "L")):
            pairs.append((key, " ".join(line.strip().removeprefix("|") for line in text.splitlines()).strip()))
            key = ""
    return pairs
