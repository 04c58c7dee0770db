"""Submit commands inside other YAML and JSON: steps of CI workflows, containers of pods, compose files."""

from dataclasses import replace

from spark_copilot.connectors.settings_files import shell
from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import Node
from spark_copilot.connectors.settings_files.submit import TOOLS, read_submit
from spark_copilot.connectors.settings_files.tokens import Word

_TOOL_WORDS = ("spark-submit", "spark-shell", "spark-sql", "spark3-submit", "dataproc")


def holds_command(doc: Node) -> bool:
    """Whether a list or a text of the document starts Spark."""
    return any(_is_list(node) or _is_text(node) for node in doc.walk())


def _is_list(node: Node) -> bool:
    return node.kind == "list" and any(e.kind == "string" and e.text.rsplit("/", 1)[-1] in TOOLS for e in node.elements)


def _is_text(node: Node) -> bool:
    return node.kind == "string" and any(f"{word} " in node.text for word in _TOOL_WORDS)


def read(out: Collector, doc: Node, prefix: str) -> None:
    """Every command, each in a scope of its own."""
    for node in doc.walk():
        if _is_list(node):
            words = [Word(e.text, e.line, e.column, known(e) is not None and "$(" not in e.text) for e in node.elements]
            start = next(i for i, w in enumerate(words) if w.text.rsplit("/", 1)[-1] in TOOLS)
            read_submit(out, words[start], words[start + 1 :], f"{prefix}command@{node.line}")
        elif _is_text(node):
            part = shell.read(out.file, node.text.replace("{{}}", "$TEMPLATE"))
            block = "\n" in node.text.strip("\n")
            shift = node.line if block else node.line - 1
            out.settings += [replace(s, line=s.line + shift, scope=f"{prefix}{node.line}{s.scope}", column=None) for s in part.settings]
            out.marks += [replace(m, line=m.line + shift, scope=f"{prefix}{node.line}{m.scope}", column=None) for m in part.marks]
