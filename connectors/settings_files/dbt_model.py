"""What a dbt model says of itself: `{{ config(…) }}` in SQL, `dbt.config(…)` in Python. Jinja is read where it is literal, never run."""

import ast
import re
from collections.abc import Iterator
from itertools import islice

from spark_copilot.connectors.settings_files import dbt
from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.fold import Constants

_CALL = re.compile(r"\{\{[\-+]?\s*(?=config\s*\()")
_TOKEN = re.compile(r"(?P<text>'(?:[^'\\]++|\\.)*+'|\"(?:[^\"\\]++|\\.)*+\")|(?P<sign>[(){}\[\]~])", re.DOTALL)
_LONGEST = 64 << 10
_MOST_CALLS = 20
_LITERALS = {"true": True, "false": False, "none": None, "null": None}
_WRAPPERS = ("before_begin", "after_commit", "in_transaction")
"""Functions of dbt around the SQL of a hook that only say when it runs."""


def hints(text: str) -> bool:
    """Whether a SQL file may be a model with settings of its own for Spark."""
    return "spark" in text and _CALL.search(text) is not None


def collect(out: Collector, text: str) -> None:
    """Hooks, clusters and engine settings of every `config(…)`."""
    for start in (m.end() for m in islice(_CALL.finditer(text), _MOST_CALLS)):
        written = _expression(text, start)
        if written is None:
            continue
        try:
            tree = ast.parse(f"({written}\n)", mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if isinstance(tree.body, ast.Call):
            shift = text.count("\n", 0, start)
            before = start - text.rfind("\n", 0, start) - 2
            ast.increment_lineno(tree, shift)
            for node in ast.walk(tree):
                # The bracket in front, and whatever stands before the call on its first line.
                if isinstance(node, ast.expr) and node.lineno == shift + 1:
                    node.col_offset += before
            call(out, Constants(tree), tree.body)


def _expression(text: str, start: int) -> str | None:
    """The call as Python writes it: up to the bracket that closes it, `~` as `+`, texts over several lines in three quotes."""
    pieces: list[str] = []
    depth, at = 0, start
    for match in _TOKEN.finditer(text, start, start + _LONGEST):
        pieces.append(text[at : match.start()])
        at = match.end()
        if match["text"] is not None:
            quote = match[0][0] * 3
            pieces.append(f"{quote}{match[0][1:-1]}{quote}" if "\n" in match[0] else match[0])
            continue
        sign = match["sign"]
        pieces.append("+" if sign == "~" else sign)
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and sign == ")":
            return "".join(pieces)
    return None


def call(out: Collector, constants: Constants, node: ast.Call) -> set[int]:
    """The arguments of `config(…)`; gives the ids of the dictionaries that are read."""
    read: set[int] = set()
    for name, value in _arguments(node):
        read.update(id(inner) for inner in ast.walk(value) if isinstance(inner, ast.Dict))
        tree = constants.tree(_Plain().visit(value))
        dbt.one(out, name.replace("-", "_"), tree, f"config@{value.lineno}")
    return read


def _arguments(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    for keyword in node.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
    for argument in node.args:
        for key, value in zip(argument.keys, argument.values, strict=True) if isinstance(argument, ast.Dict) else ():
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


class _Plain(ast.NodeTransformer):
    """Jinja's own literals, and the SQL inside a hook's wrapper."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """`true` and its kin."""
        return ast.copy_location(ast.Constant(_LITERALS[node.id]), node) if node.id in _LITERALS else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """`after_commit("…")`."""
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _WRAPPERS:
                return inner
            case _:
                return node
