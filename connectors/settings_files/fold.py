"""Constant folding over a Python syntax tree: what an expression surely is, and dictionary literals as trees with places."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from spark_copilot.connectors.settings_files.nodes import MARKED, Node

UNKNOWN: Final = object()
"""The value of an expression that is not known statically."""

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}


class Constants:
    """Names that a file binds exactly once, and to what."""

    def __init__(self, tree: ast.AST) -> None:
        self._bound: dict[str, ast.expr | None] = {}
        plain: set[int] = set()
        for node in ast.walk(tree):  # an assignment is walked before its target
            match node:
                case ast.Assign(targets=[ast.Name(id=name) as target], value=value):
                    plain.add(id(target))
                    self._bind(name, value)
                case ast.AnnAssign(target=ast.Name(id=name) as target, value=value):
                    plain.add(id(target))
                    self._bind(name, value)
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if id(node) not in plain:
                    self._bind(name, None)
                case ast.arg(arg=name):
                    self._bind(name, None)
                case _:
                    pass

    def _bind(self, name: str, value: ast.expr | None) -> None:
        self._bound[name] = None if name in self._bound else value

    def expression(self, name: str) -> ast.expr | None:
        """What the name is bound to; None when it is bound more than once, or never."""
        return self._bound.get(name)

    def fold(self, node: ast.expr | None, depth: int = 0) -> Any:
        """The value of an expression, or UNKNOWN."""
        if node is None or depth > 20:
            return UNKNOWN
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self.fold(self.expression(name), depth + 1)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self.fold(operand, depth + 1)
                return -value if isinstance(value, int | float) else UNKNOWN
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.fold(left, depth + 1), self.fold(right, depth + 1))
            case ast.JoinedStr(values=parts):
                return self._joined(parts, depth)
            case ast.Call(func=ast.Name(id="str" | "int" as kind), args=[argument], keywords=[]):
                value = self.fold(argument, depth + 1)
                if not isinstance(value, int | str | float):
                    return UNKNOWN
                try:
                    return str(value) if kind == "str" else int(value)
                except ValueError:
                    return UNKNOWN
            case _:
                return UNKNOWN

    def _binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        function = _OPERATORS.get(type(op))
        plain = isinstance(left, int | float | str) and isinstance(right, int | float | str)
        if function is None or not plain or (isinstance(op, ast.Pow | ast.LShift) and (not isinstance(right, int) or abs(right) > 64)):
            return UNKNOWN
        if isinstance(op, ast.Mult) and (isinstance(left, str) or isinstance(right, str)):
            return UNKNOWN
        try:
            return function(left, right)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            return UNKNOWN

    def _joined(self, parts: list[ast.expr], depth: int) -> Any:
        out = []
        for part in parts:
            value = part.value if isinstance(part, ast.Constant) else UNKNOWN
            if isinstance(part, ast.FormattedValue) and part.format_spec is None and part.conversion == -1:
                value = self.fold(part.value, depth + 1)
            if value is UNKNOWN:
                return UNKNOWN
            out.append(str(value))
        return "".join(out)

    def text(self, node: ast.expr | None) -> str | None:
        """The value as PySpark hands it to Spark; None when not known."""
        value = self.fold(node)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, str | int | float) else None

    def pairs(self, node: ast.expr | None, depth: int = 0) -> list[tuple[ast.expr, ast.expr]] | None:
        """Keys and values of a dict, a list of pairs, `.items()` of one or a name for one; None for anything else."""
        if node is None or depth > 10:
            return None
        match node:
            case ast.Name(id=name):
                return self.pairs(self.expression(name), depth + 1)
            case ast.Dict(keys=keys, values=values):
                out: list[tuple[ast.expr, ast.expr]] = []
                for key, value in zip(keys, values, strict=True):
                    if key is None:
                        out += self.pairs(value, depth + 1) or []
                    else:
                        out.append((key, value))
                return out
            case ast.List(elts=items) | ast.Tuple(elts=items):
                found = [tuple(i.elts) for i in items if isinstance(i, ast.Tuple | ast.List) and len(i.elts) == 2]
                return [(a, b) for a, b in found] if found and len(found) == len(items) else None
            case ast.Call(func=ast.Attribute(value=inner, attr="items" | "copy"), args=[]):
                return self.pairs(inner, depth + 1)
            case ast.Call(func=ast.Name(id="list" | "dict" | "tuple" | "sorted"), args=[inner], keywords=[]):
                return self.pairs(inner, depth + 1)
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=[ast.keyword(arg=None, value=inner)]):
                return self.pairs(inner, depth + 1)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                one, two = self.pairs(left, depth + 1), self.pairs(right, depth + 1)
                return None if one is None and two is None else [*(one or []), *(two or [])]
            case _:
                return None

    def tree(self, node: ast.expr, depth: int = 0) -> Node:
        """A literal as a document tree; what is not literal becomes a scalar that is not known."""
        line, column = node.lineno, node.col_offset + 1
        if depth > 40:
            return Node("string", line, column, MARKED)
        match node:
            case ast.Dict():
                out = Node("map", line, column)
                for key, value in self.pairs(node) or []:
                    name = self.fold(key)
                    if isinstance(name, str):
                        out.items.append((Node("string", key.lineno, key.col_offset + 1, name), self.tree(value, depth + 1)))
                return out
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return Node("list", line, column, elements=[self.tree(i, depth + 1) for i in items if not isinstance(i, ast.Starred)])
            case ast.Name(id=name) if isinstance(bound := self.expression(name), ast.Dict | ast.List):
                return self.tree(bound, depth + 1)
            case _:
                value = self.fold(node)
                if value is None or value is UNKNOWN:
                    return Node("null" if value is None else "string", line, column, "" if value is None else MARKED)
                kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"
                return Node(kind, line, column, self.text(node) or "")
