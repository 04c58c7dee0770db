"""Python: builders, SparkConf, dictionaries, `conf.set`, SQL in strings, operators of Airflow. The file is parsed, never run."""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from spark_copilot.connectors.settings_files import airflow, dbt_model, sql
from spark_copilot.connectors.settings_files.base import Broken, Collector, Reader, is_prose
from spark_copilot.connectors.settings_files.fold import Constants
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_HINT = re.compile(r"[sS]park|HadoopJarStep|databricks")
_MAGIC = re.compile(r"^# MAGIC ?(.*)$")
_DEEPEST_TEXT = 4 << 20


def matches(path: str, text: str) -> bool:
    """Python that mentions Spark."""
    return path.endswith((".py", ".pyw")) and _HINT.search(text) is not None


def read(file: str, text: str) -> SettingsFile:
    """Every setting the file surely makes."""
    out = Collector(file, "airflow" if re.search(r"^\s*(?:from|import) airflow\b", text, re.MULTILINE) else "python")
    try:
        tree = parse(text)
    except Broken as error:
        return out.broken(error)
    collect(out, tree)
    if text.startswith("# Databricks notebook source"):
        out.mark("platform", 1, "databricks")
    if "# MAGIC" in text:
        _magic_sql(out, text)
    out.settings.sort(key=lambda s: s.line)
    return out.done()


def parse(text: str) -> ast.Module:
    """The syntax tree.

    Raises:
        Broken: no valid Python.
    """
    if len(text) > _DEEPEST_TEXT:
        raise Broken("larger than 4 MiB: not read", 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise Broken(f"no valid Python: {error.msg}", error.lineno or 1) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Broken(f"no valid Python: {error}", 1) from None


def _magic_sql(out: Collector, text: str) -> None:
    block: list[str] = []
    first = 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        match = _MAGIC.match(line)
        if match and not block:
            if match[1].lstrip().startswith("%sql"):
                first, block = number, [match[1].lstrip().removeprefix("%sql")]
        elif match and block:
            block.append(match[1])
        elif block:
            sql.collect(out, "\n".join(block), first_line=first)
            block = []


def collect(out: Collector, tree: ast.Module) -> None:
    """Add what one module says."""
    try:
        _Module(out, tree).run()
    except RecursionError:
        out.mark("unreadable", 1, "nested too deep")


def chain_of(node: ast.expr) -> list[tuple[str, ast.Call | None, ast.expr]]:
    """The steps of a call chain from the root outwards: (name, call or None for an attribute, node)."""
    steps: list[tuple[str, ast.Call | None, ast.expr]] = []
    while True:
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr=name)):
                steps.append((name, node, node))
                node = inner
            case ast.Call(func=ast.Name(id=name)):
                steps.append((name, node, node))
                break
            case ast.Attribute(value=inner, attr=name):
                steps.append((name, None, node))
                node = inner
            case ast.Name(id=name):
                steps.append((name, None, node))
                break
            case _:
                break
    return steps[::-1]


def _line(call: ast.Call) -> tuple[int, int]:
    """The place of a call's first argument, or of its name: chains over several lines have one place a step."""
    if call.args:
        return call.args[0].lineno, call.args[0].col_offset + 1
    if call.keywords:
        return call.keywords[0].value.lineno, call.keywords[0].value.col_offset + 1
    return call.end_lineno or call.lineno, call.col_offset + 1


class _Module:
    def __init__(self, out: Collector, tree: ast.Module) -> None:
        self.out, self.tree = out, tree
        self.constants = Constants(tree)
        self.sessions: list[tuple[int, ...]] = []
        self.blocks = 0
        self.used: set[int] = set()
        self.scope = ""

    def run(self) -> None:
        self.out.mark("language", 1, "python")
        self.block(self.tree.body, ())
        self.leftover_dicts()

    # -- statements ------------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], path: tuple[int, ...]) -> None:
        self.blocks += 1
        here = (*path, self.blocks)
        known = len(self.sessions)
        for statement in body:
            is_scope = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for expression in _own_expressions(statement):
                self.expression(expression, here)
            if isinstance(statement, ast.For):
                self.loop(statement, here)
            for inner in _inner_blocks(statement):
                if is_scope:
                    held, self.sessions = self.sessions, []
                    outer, self.scope = self.scope, self._scope(statement)
                    self.block(inner, here)
                    self.sessions, self.scope = held, outer
                else:
                    self.block(inner, here)
        if isinstance(path, tuple) and not path:
            del self.sessions[known:]

    def _scope(self, statement: ast.stmt) -> str:
        """Tests and fixtures inside a file have a scope of their own, so that they are judged as tests."""
        if self.scope or not _is_test(statement):
            return self.scope
        scope = f"test@{statement.lineno}"
        self.out.mark("role", statement.lineno, "test", scope=scope)
        return scope

    def after_session(self, here: tuple[int, ...]) -> bool:
        return any(session == here[: len(session)] for session in self.sessions)

    # -- calls -----------------------------------------------------------------------------------------------------

    def expression(self, root: ast.expr, here: tuple[int, ...]) -> None:
        made = False
        stopped = False
        for call in _outer_calls(root):
            steps = chain_of(call)
            names = [name for name, _, _ in steps]
            late = self.after_session(here)
            for at, (name, step, _) in enumerate(steps):
                if step is not None:
                    self.step(names, at, name, step, late, here)
            made |= "getOrCreate" in names or names[:1] in (["SparkContext"], ["JavaSparkContext"])
            stopped |= names[-1:] == ["stop"]
            self.writes(steps)
        if made:
            self.sessions.append(here)
            self.out.mark("session", root.lineno, scope=self.scope)
        if stopped:
            self.sessions.clear()

    def step(self, names: list[str], at: int, name: str, call: ast.Call, late: bool, here: tuple[int, ...]) -> None:
        before = names[:at]
        args, keywords = call.args, {k.arg: k.value for k in call.keywords if k.arg}
        code = Place.LATE if late else Place.CODE
        if name == "config" and before == ["dbt"]:
            self.used |= dbt_model.call(self.out, self.constants, call)
        elif name == "config" and self._is_builder(before):
            if "map" in keywords:
                self.many(keywords["map"], code, here)
            elif len(args) == 2 or {"key", "value"} <= set(keywords):
                self.one(args[0] if args else keywords["key"], args[1] if len(args) == 2 else keywords["value"], code, here, call)
        elif name in ("set", "setIfMissing") and (len(args) == 2 or {"key", "value"} <= set(keywords)):
            place = self._set_place(before, late)
            if place is not None:
                self.one(
                    args[0] if args else keywords["key"],
                    args[1] if len(args) == 2 else keywords["value"],
                    place,
                    here,
                    call,
                    origin="conf-copy" if _is_copy(before) else "",
                )
        elif name == "setConf" and len(args) == 2:
            self.one(args[0], args[1], Place.RUNTIME, here, call)
        elif name == "setAll" and args and self._set_place(before, late) is not None:
            copied = _is_copy(before)
            self.many(args[0], self._set_place(before, late) or code, here, origin="conf-copy" if copied else "")
        elif name in ("master", "setMaster") and len(args) == 1 and (name == "setMaster" or self._is_builder(before)):
            self.emit("spark.master", self.constants.text(args[0]), *_line(call), code, here)
        elif name == "SparkContext" and (args or "master" in keywords):
            master = keywords.get("master") or (args[0] if args else None)
            if isinstance(master, ast.Constant) and isinstance(master.value, str):
                self.emit("spark.master", master.value, *_line(call), code, here)
        elif name == "sql" and args:
            self.sql(args[0])
        elif name in ("configure_spark_with_delta_pip",):
            self.out.mark("delta-helper", call.lineno, scope=self.scope)
        elif airflow.is_operator(name):
            airflow.operator(self.out, self.constants, name, call, self.used)

    @staticmethod
    def _is_builder(before: list[str]) -> bool:
        return (
            not before
            or any("builder" in n.lower() for n in before)
            or before[0] in ("SparkSession", "session", "b", "s")
            or "getOrCreate" not in before
        )

    def _set_place(self, before: list[str], late: bool) -> Place | None:
        if not before:
            return None
        if _is_copy(before):
            return Place.LATE
        if before[-1] == "conf" and len(before) > 1:
            return Place.RUNTIME
        root = before[0]
        bound = self.constants.expression(root)
        is_conf = root == "SparkConf" or "conf" in root.lower() or "SparkConf" in before
        if isinstance(bound, ast.Attribute) and bound.attr == "conf":
            return Place.RUNTIME
        if isinstance(bound, ast.Call):
            made = [name for name, _, _ in chain_of(bound)]
            if "getConf" in made:
                return Place.LATE
            is_conf = is_conf or "SparkConf" in made
        return (Place.LATE if late else Place.CODE) if is_conf else None

    def one(
        self, key: ast.expr, value: ast.expr, place: Place, here: tuple[int, ...], call: ast.Call | None = None, origin: str = ""
    ) -> None:
        name = self.constants.fold(key)
        if isinstance(name, str) and (name.startswith("spark.") or place is Place.RUNTIME or name.lower().startswith("spark.")):
            self.emit(name, self.constants.text(value), key.lineno, key.col_offset + 1, place, here, origin)
        del call

    def emit(self, key: str, value: str | None, line: int, column: int, place: Place, here: tuple[int, ...], origin: str = "") -> None:
        block = origin or (f"block{here[-1]}" if place is Place.CODE else "")
        self.out.set(key, value, line, place, column=column, scope=self.scope, origin=block)

    def many(self, node: ast.expr, place: Place, here: tuple[int, ...], origin: str = "") -> None:
        pairs = self.constants.pairs(node)
        for key, value in pairs or []:
            self.one(key, value, place, here, origin=origin)
        for dictionary in self._dicts(node):
            self.used.add(id(dictionary))

    def _dicts(self, node: ast.expr, depth: int = 0) -> Iterator[ast.Dict]:
        if isinstance(node, ast.Name):
            bound = self.constants.expression(node.id)
            if bound is not None and depth < 10:
                yield from self._dicts(bound, depth + 1)
            return
        for inner in ast.walk(node):
            if isinstance(inner, ast.Dict):
                yield inner
            elif isinstance(inner, ast.Name) and inner is not node and depth < 10:
                yield from self._dicts(inner, depth + 1)

    def loop(self, statement: ast.For, here: tuple[int, ...]) -> None:
        """`for k, v in PAIRS: builder.config(k, v)`: one setting a pair, at the pair's place."""
        match statement.target:
            case ast.Tuple(elts=[ast.Name(id=key), ast.Name(id=value)]):
                pass
            case _:
                return
        if self.constants.pairs(statement.iter) is None:
            return
        for call in (n for n in ast.walk(statement) if isinstance(n, ast.Call)):
            match call:
                case ast.Call(func=ast.Attribute(attr="config" | "set" | "setIfMissing" as name), args=[ast.Name(id=k), v]) if (
                    k == key and value in {n.id for n in ast.walk(v) if isinstance(n, ast.Name)}
                ):
                    before = [n for n, _, _ in chain_of(call)][:-1]
                    late = self.after_session(here)
                    place = (Place.LATE if late else Place.CODE) if name == "config" else self._set_place(before, late)
                    if place is not None:
                        self.many(statement.iter, place, here)
                    return
                case _:
                    pass

    def sql(self, node: ast.expr) -> None:
        text = self.constants.fold(node)
        if isinstance(text, str):
            sql.collect(self.out, text, first_line=node.lineno, column=node.col_offset + 1, scope=self.scope)
        elif isinstance(node, ast.JoinedStr):
            parts = [str(p.value) if isinstance(p, ast.Constant) else "{{}}" for p in node.values]
            sql.collect(self.out, "".join(parts), first_line=node.lineno, column=node.col_offset + 1, scope=self.scope)

    # -- what else the file does -----------------------------------------------------------------------------------

    def writes(self, steps: list[tuple[str, ast.Call | None, ast.expr]]) -> None:
        names = [name for name, _, _ in steps]
        calls = {name: call for name, call, _ in steps if call is not None}
        if {"toPandas", "applyInPandas", "mapInPandas", "mapInArrow", "pandas_udf"} & set(names):
            self.out.mark("pandas", steps[0][2].lineno, scope=self.scope)
        if "readStream" in names or "writeStream" in names:
            self.out.mark("streaming", steps[0][2].lineno, scope=self.scope)
        if {"foreachPartition", "foreach"} & set(names) or ("write" in names and "jdbc" in names):
            self.out.mark("external-write", steps[0][2].lineno, scope=self.scope)
        if ("write" in names or "writeStream" in names) and self._first(calls.get("format")) in (
            "jdbc",
            "kafka",
            "mongodb",
            "mongo",
            "es",
            "org.elasticsearch.spark.sql",
        ):
            self.out.mark("external-write", steps[0][2].lineno, scope=self.scope)
        if "write" in names and "partitionBy" in names and self._first(calls.get("mode")) == "overwrite":
            options = [self._first(call) for name, call, _ in steps if name == "option"] + [
                k.arg for n, c, _ in steps if n == "options" and c for k in c.keywords
            ]
            if not {"replaceWhere", "partitionOverwriteMode"} & {o for o in options if o}:
                line, column = _line(calls["partitionBy"])
                self.out.mark("partitioned-overwrite", line, column=column, scope=self.scope)

    def _first(self, call: ast.Call | None) -> str | None:
        value = self.constants.fold(call.args[0]) if call is not None and call.args else None
        return value if isinstance(value, str) else None

    def leftover_dicts(self) -> None:
        """Dictionaries of Spark keys whose way to Spark is not seen: their keys and values are judged, each for itself."""
        airflow.documents(self.out, self.constants, self.tree, self.used)
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Dict) or id(node) in self.used:
                continue
            keys = [k.value for k in node.keys if isinstance(k, ast.Constant) and isinstance(k.value, str)]
            if not keys or sum(k.startswith("spark.") for k in keys) * 2 <= len(keys):
                continue
            if any(isinstance(v, ast.Constant) and isinstance(v.value, str) and v.value.startswith("spark.") for v in node.values):
                continue  # a table of names: old ones and their successors, keys and what stands for them
            scope = f"dict@{node.lineno}"
            self.out.mark("spark-conf-unknown", node.lineno, scope=scope)
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.startswith("spark."):
                    text = self.constants.text(value)
                    held = None if text is not None and is_prose(text) else text
                    self.out.set(key.value, held, key.lineno, Place.CONF, column=key.col_offset + 1, scope=scope)


def _is_copy(before: list[str]) -> bool:
    """Whether the receiver is the context's own configuration: a copy, or one that is no longer read."""
    return "getConf" in before or (before[-1:] == ["_conf"] and ("sparkContext" in before or before[0] in ("sc", "spark")))


def _is_test(statement: ast.stmt) -> bool:
    """Whether a function or class is a test or a fixture."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    decorated = any("fixture" in ast.dump(d) for d in statement.decorator_list)
    return decorated or re.match(r"_?tests?(?:_|\Z)|Test|setUp", statement.name) is not None


def _own_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Expressions of a statement itself, not of blocks inside it."""
    for field, value in ast.iter_fields(statement):
        if field in ("body", "orelse", "finalbody", "handlers", "cases"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.expr):
                yield item
            elif isinstance(item, ast.withitem):
                yield item.context_expr


def _inner_blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        body = getattr(statement, field, None)
        if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
            yield body
    for holder in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        yield holder.body


def _outer_calls(root: ast.expr) -> Iterator[ast.Call]:
    """Calls that are not a step of another call's chain, in source order; calls inside arguments come on their own."""
    inner: set[int] = set()
    for node in ast.walk(root):
        if isinstance(node, ast.Call):
            if id(node) not in inner:
                yield node
            step: ast.expr = node.func
            while True:
                if isinstance(step, ast.Attribute):
                    step = step.value
                elif isinstance(step, ast.Call):
                    inner.add(id(step))
                    step = step.func
                else:
                    break


READER = Reader("python", matches, read)
