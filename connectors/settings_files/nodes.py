"""YAML and JSON as one kind of tree whose every node knows its place. Template signs are kept out of the parser's way."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from spark_copilot.connectors.settings_files.base import Broken

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 200
_MOST_NODES = 300_000
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_TEMPLATE_LINE = re.compile(r"^[ \t]*(?:-[ \t]+)?(?:\{\{-?.*?-?\}\}|\{%.*?%\}|\{#.*?#\})[ \t]*$", re.MULTILINE | re.DOTALL)
MARKED = "{{}}"
"""What stands for a template expression in the text of a node."""


@dataclass(slots=True)
class Node:
    """One value: `kind` is map, list, string, number, boolean or null; `text` as written, without quotes."""

    kind: str
    line: int
    column: int
    text: str = ""
    items: list[tuple["Node", "Node"]] = field(default_factory=list)
    elements: list["Node"] = field(default_factory=list)
    block: bool = False
    """Whether the text is a YAML block, which starts on the line after its sign."""

    def get(self, *path: str) -> "Node | None":
        """The value under these keys, None where one is missing."""
        node: Node | None = self
        for name in path:
            if node is None or node.kind != "map":
                return None
            node = next((value for key, value in node.items if key.text == name), None)
        return node

    def get_any(self, *names: str) -> "Node | None":
        """The value under the first of these keys that is there, letter case ignored."""
        wanted = {n.lower() for n in names}
        return next((value for key, value in self.items if key.text.lower() in wanted), None)

    def key(self, name: str) -> "Node | None":
        """The key itself, for its place."""
        return next((key for key, _ in self.items if key.text == name), None)

    def walk(self) -> "Iterator[Node]":
        """This node and all below, parents first."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(reversed([v for _, v in node.items] + node.elements))


_KINDS = {
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:int": "number",
    "tag:yaml.org,2002:float": "number",
    "tag:yaml.org,2002:null": "null",
}


def _convert(node: Any, depth: int = 0, budget: list[int] | None = None) -> Node:
    budget = [_MOST_NODES] if budget is None else budget
    budget[0] -= 1
    if budget[0] < 0:
        raise Broken("its aliases expand to more than 300,000 values", node.start_mark.line + 1)
    if depth > _DEEPEST:
        raise Broken("nested too deep", node.start_mark.line + 1)
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if isinstance(node, yaml.MappingNode):
        out = Node("map", line, column)
        for key, value in node.value:
            if key.value == "<<" and isinstance(value, yaml.MappingNode):
                out.items += _convert(value, depth + 1, budget).items
                continue
            out.items.append((_convert(key, depth + 1, budget), _convert(value, depth + 1, budget)))
        return out
    if isinstance(node, yaml.SequenceNode):
        return Node("list", line, column, elements=[_convert(v, depth + 1, budget) for v in node.value])
    kind = _KINDS.get(node.tag, "string") if not node.style else "string"
    return Node(kind, line, column, str(node.value), block=node.style in ("|", ">"))


def parse_yaml(text: str) -> list[Node]:
    """Every document of a YAML text; lines that are template code only are blanked, expressions in values become a marker.

    Raises:
        Broken: it does not parse even so.
    """
    try:
        return [_convert(doc) for doc in yaml.compose_all(text, _LOADER) if doc is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if "{{" not in text and "{%" not in text:
            raise _broken(error) from None
    plain = _TEMPLATE_LINE.sub(lambda m: "\n" * m[0].count("\n"), text)
    plain = re.sub(r"\{%.*?%\}", "", plain)
    plain = _TEMPLATE.sub(lambda m: "\ue000" * 4 + "\n" * m[0].count("\n"), plain)
    try:
        docs = [_convert(doc) for doc in yaml.compose_all(plain, _LOADER) if doc is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _broken(error) from None
    for doc in docs:
        for node in doc.walk():
            node.text = node.text.replace("\ue000" * 4, MARKED)
            for key, _ in node.items:
                key.text = key.text.replace("\ue000" * 4, MARKED)
    return docs


def _broken(error: Exception) -> Broken:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or (str(error).splitlines() or ["does not parse"])[0]
    return Broken(f"no valid YAML: {problem}", mark.line + 1 if mark is not None else 1)


_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*)"')
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


class _Json:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.breaks = [m.start() for m in re.finditer("\n", text)]

    def place(self, at: int) -> tuple[int, int]:
        from bisect import bisect_left

        row = bisect_left(self.breaks, at)
        return row + 1, at - (self.breaks[row - 1] if row else -1)

    def blank(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r\n\ufeff":
                self.at += 1
            elif self.text.startswith("//", self.at):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def fail(self, what: str) -> Broken:
        return Broken(f"no valid JSON: {what}", self.place(min(self.at, len(self.text)))[0])

    def value(self, depth: int = 0) -> Node:
        self.blank()
        if depth > _DEEPEST:
            raise self.fail("nested too deep")
        if self.at >= len(self.text):
            raise self.fail("it ends too early")
        line, column = self.place(self.at)
        sign = self.text[self.at]
        if sign == "{":
            return self.group("map", "}", depth, line, column)
        if sign == "[":
            return self.group("list", "]", depth, line, column)
        if sign == '"':
            match = _STRING.match(self.text, self.at)
            if match is None:
                raise self.fail("a text without end")
            self.at = match.end()
            try:
                text = json.loads(match[0])
            except ValueError:
                text = match[1]
            return Node("string", line, column, str(text))
        for word, kind in (("true", "boolean"), ("false", "boolean"), ("null", "null")):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return Node(kind, line, column, word)
        number = _NUMBER.match(self.text, self.at)
        if number is None:
            raise self.fail(f"unexpected {sign!r}")
        self.at = number.end()
        return Node("number", line, column, number[0])

    def group(self, kind: str, close: str, depth: int, line: int, column: int) -> Node:
        node = Node(kind, line, column)
        self.at += 1
        self.blank()
        while not self.text.startswith(close, self.at):
            item = self.value(depth + 1)
            if kind == "map":
                self.blank()
                if not self.text.startswith(":", self.at):
                    raise self.fail("a colon is missing")
                self.at += 1
                node.items.append((item, self.value(depth + 1)))
            else:
                node.elements.append(item)
            self.blank()
            if self.text.startswith(",", self.at):
                self.at += 1
                self.blank()
            elif not self.text.startswith(close, self.at):
                raise self.fail("a comma or a closing bracket is missing")
        self.at += 1
        return node


def parse_json(text: str) -> list[Node]:
    """The one value of a JSON text (// comments and trailing commas are taken).

    Raises:
        Broken: it does not parse.
    """
    parser = _Json(text)
    try:
        node = parser.value()
    except RecursionError:
        raise Broken("no valid JSON: nested too deep", 1) from None
    parser.blank()
    if parser.at < len(text):
        if node.kind == "map" and text[parser.at] == "{" and "\n" in text[: parser.at][-3:]:
            return []  # one value a line: data, not settings
        raise parser.fail("something stands after the end")
    return [node]
