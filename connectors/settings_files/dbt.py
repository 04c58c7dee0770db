"""dbt: profiles, and what projects, property files and models say to Spark: SQL hooks, clusters of Python models, engine settings."""

import re
from collections.abc import Iterator
from dataclasses import replace

from spark_copilot.connectors.settings_files import databricks, others, sql
from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import MARKED, Node
from spark_copilot.rules_engine.gate.setting import Place

_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_TEST_TARGETS = frozenset({"ci", "dev", "test", "local", "testing", "sandbox", "unit", "development"})
_HOOKS = frozenset({"pre_hook", "post_hook", "sql_header", "on_run_start", "on_run_end"})
_SETTINGS = frozenset({*_HOOKS, "job_cluster_config", "python_job_config", "engine_config"})
_PARTS = ("models", "snapshots", "seeds", "tests", "data_tests", "unit_tests", "on-run-start", "on-run-end")
_NOT_READ = frozenset({"vars", "meta", "columns", "docs"})
"""Parts of a project that hold whatever their author likes and reach no session."""


def is_profile(doc: Node) -> bool:
    """A profiles.yml with outputs that carry Spark settings, or any map with server_side_parameters."""
    for node in doc.walk():
        if node.kind == "map" and node.get("server_side_parameters") is not None:
            return True
        if any(_is_glue(output) or output.get("spark_config", "conf") is not None for _, output in _outputs(node)):
            return True
    return False


def profile(out: Collector, doc: Node, prefix: str) -> None:
    """Spark settings of every output: of dbt-spark, dbt-glue and dbt-fabricspark."""
    for node in doc.walk():
        for name, output in _outputs(node):
            scope = f"{prefix}output:{name.text}@{output.line}"
            if name.text in _TEST_TARGETS:
                out.mark("role", output.line, "test", scope=scope)
            _spark(out, output, scope)
            _glue(out, output, scope)
            conf = output.get("spark_config", "conf")
            for key, value in conf.items if conf is not None and conf.kind == "map" else ():
                out.set(
                    key.text, known(value), key.line, Place.CONF, column=key.column, scope=scope, origin="spark_config", kind=value.kind
                )
    if others.is_dataproc(doc):
        others.dataproc_job(out, doc, prefix)


def _outputs(node: Node) -> Iterator[tuple[Node, Node]]:
    outputs = node.get("outputs") if node.kind == "map" else None
    for name, output in outputs.items if outputs is not None and outputs.kind == "map" else ():
        if output.kind == "map":
            yield name, output


def _spark(out: Collector, output: Node, scope: str) -> None:
    held, method = output.get("server_side_parameters"), output.get("method")
    if held is None or held.kind != "map":
        return
    how = method.text if method is not None else ""
    out.mark("dbt-method", output.line, how, scope=scope)
    out.mark("platform", output.line, "local" if how == "session" else "thrift", scope=scope)
    for key, value in held.items:
        place = Place.CODE if how == "session" else Place.RUNTIME
        out.set(key.text, known(value), key.line, place, column=key.column, scope=scope, origin="server_side_parameters", kind=value.kind)


def _is_glue(output: Node) -> bool:
    kind = output.get("type")
    return kind is not None and kind.text == "glue" and output.get("conf") is not None


def _glue(out: Collector, output: Node, scope: str) -> None:
    """The `conf` of an interactive Glue session: one text, its pairs joined by --conf, which is how dbt-glue wants it."""
    if not _is_glue(output):
        return
    out.mark("platform", output.line, "glue", scope=scope)
    version, conf = output.get("glue_version"), output.get("conf")
    if version is not None and known(version):
        out.mark("vendor-version", version.line, version.text, scope=scope, vendor="glue")
    text = known(conf) if conf is not None else None
    if conf is None or text is None:
        return
    text = _TEMPLATE.sub(MARKED, text)
    for shift, line in enumerate(text.split("\n"), 1 if conf.block else 0):
        for pair in line.split():
            key, equals, value = pair.partition("=")
            if equals and not key.startswith("-"):
                out.set(key, value, conf.line + shift, Place.CONF, scope=scope, origin="conf")


def is_project(doc: Node) -> bool:
    """A dbt_project.yml or a property file whose configurations reach a Spark session."""
    return doc.kind == "map" and any(doc.get(part) is not None for part in _PARTS) and any(True for _ in _configured(doc))


def project(out: Collector, doc: Node, prefix: str) -> None:
    """Every hook, cluster and engine setting, wherever in the tree of models it stands."""
    for key, value in _configured(doc):
        one(out, _name(key), value, f"{prefix}config@{key.line}")


def _name(key: Node) -> str:
    return key.text.removeprefix("+").replace("-", "_")


def _configured(node: Node) -> Iterator[tuple[Node, Node]]:
    todo = [node]
    while todo:
        at = todo.pop()
        inner = list(at.elements)
        for key, value in at.items:
            if _name(key) in _SETTINGS:
                yield key, value
            elif key.text not in _NOT_READ:
                inner.append(value)
        todo.extend(reversed(inner))


def one(out: Collector, name: str, value: Node, scope: str) -> None:
    """One entry of a configuration, from YAML, from a model's `config(…)` or from `dbt.config(…)`."""
    if name in _HOOKS:
        for node in value.elements if value.kind == "list" else [value]:
            hook(out, node.get("sql") or node if node.kind == "map" else node, scope)
    elif name in ("job_cluster_config", "python_job_config"):
        cluster = value.get("new_cluster") or value
        if cluster.kind == "map" and (name == "job_cluster_config" or cluster.get("spark_conf") is not None):
            databricks.cluster_of(out, cluster, scope)
    elif name == "engine_config":
        properties = value.get("SparkProperties")
        for held, text in properties.items if properties is not None and properties.kind == "map" else ():
            out.set(held.text, known(text), held.line, Place.CONF, column=held.column, scope=scope, origin="engine_config", kind=text.kind)


def hook(out: Collector, node: Node, scope: str) -> None:
    """The SET statements of one hook."""
    if node.kind != "string":
        return
    part = Collector(out.file, out.kind)
    sql.collect(part, node.text, first_line=node.line + node.block, column=node.column, scope=scope)
    several = "\n" in node.text.strip("\n") or node.block
    out.settings += [replace(s, column=None) if several else s for s in part.settings]
