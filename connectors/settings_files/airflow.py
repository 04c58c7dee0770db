"""Operators of Airflow: Spark submits with their own arguments, and the documents of other platforms as Python literals."""

import ast
import re
from dataclasses import replace

from spark_copilot.connectors.settings_files import databricks, emr, kubernetes, others
from spark_copilot.connectors.settings_files.base import Broken, Collector
from spark_copilot.connectors.settings_files.fold import Constants
from spark_copilot.connectors.settings_files.nodes import Node, parse_yaml
from spark_copilot.rules_engine.gate.setting import Place

_FIELDS = {
    "executor_memory": ("spark.executor.memory", "--executor-memory"),
    "driver_memory": ("spark.driver.memory", "--driver-memory"),
    "executor_cores": ("spark.executor.cores", "--executor-cores"),
    "total_executor_cores": ("spark.cores.max", "--total-executor-cores"),
    "num_executors": ("spark.executor.instances", "--num-executors"),
    "packages": ("spark.jars.packages", "--packages"),
    "deploy_mode": ("spark.submit.deployMode", "--deploy-mode"),
}
_OPERATOR = re.compile(r"(?:Operator|Hook|Task|BatchBuilder)\Z|\A(?:spark_submit|SparkSubmit)")


def is_operator(name: str) -> bool:
    """Whether a call of this name may be an operator."""
    return _OPERATOR.search(name) is not None


def operator(out: Collector, constants: Constants, name: str, call: ast.Call, used: set[int]) -> None:
    """A Spark submit operator: conf and the arguments that become flags, one scope a call."""
    keywords: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg is not None:
            keywords[keyword.arg] = keyword.value
        else:
            for key, value in constants.pairs(keyword.value) or []:
                text = constants.fold(key)
                if isinstance(text, str):
                    keywords.setdefault(text, value)
    conf = (
        keywords.get("conf")
        or keywords.get("spark_conf")
        or keywords.get("dataproc_properties")
        or keywords.get("dataproc_spark_properties")
    )
    if conf is None and not set(keywords) & set(_FIELDS):
        return
    if "Spark" not in name and "Livy" not in name and "Dataproc" not in name and not constants_hold_spark(constants, conf):
        return
    scope = f"{name}@{call.lineno}"
    for field, (spark_key, flag) in _FIELDS.items():
        node = keywords.get(field)
        if node is not None and not (isinstance(node, ast.Constant) and node.value is None):
            out.set(spark_key, constants.text(node), node.lineno, Place.FLAG, column=node.col_offset + 1, scope=scope, origin=flag)
    for key_node, value in constants.pairs(conf) or []:
        text = constants.fold(key_node)
        if isinstance(text, str):
            out.set(text, constants.text(value), key_node.lineno, Place.CONF, column=key_node.col_offset + 1, scope=scope, origin="conf")
    if conf is not None:
        for inner in ast.walk(conf):
            if isinstance(inner, ast.Dict):
                used.add(id(inner))
            elif isinstance(inner, ast.Name):
                bound = constants.expression(inner.id)
                used.update(id(d) for d in ast.walk(bound) if isinstance(d, ast.Dict)) if bound is not None else None
    application = constants.fold(keywords.get("application"))
    if isinstance(application, str):
        out.mark("submit", call.lineno, name, scope=scope, app=application)
        if application.endswith(".py"):
            out.mark("language", call.lineno, "python", scope=scope)


def constants_hold_spark(constants: Constants, conf: ast.expr | None) -> bool:
    """Whether a dictionary has a key under spark."""
    keys = [constants.fold(k) for k, _ in constants.pairs(conf) or []]
    return any(isinstance(k, str) and k.startswith("spark.") for k in keys)


def documents(out: Collector, constants: Constants, tree: ast.Module, used: set[int]) -> None:
    """Job descriptions of EMR, Databricks, Dataproc and Glue as literals, and SparkApplication YAML in strings."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "SparkApplication" in node.value
            and "apiVersion" in node.value
        ):
            _yaml(out, node)
        if not isinstance(node, ast.Dict | ast.List) or id(node) in inside or id(node) in used:
            continue
        doc = constants.tree(node)
        reader = _reader(doc)
        if reader is None:
            continue
        inside.update(id(n) for n in ast.walk(node))
        used.update(id(n) for n in ast.walk(node) if isinstance(n, ast.Dict))
        reader(out, doc, f"literal@{node.lineno}:")


def _reader(doc: Node):  # type: ignore[no-untyped-def]
    if kubernetes.is_application(doc):
        return kubernetes.application
    if emr.is_job_run(doc):
        return emr.job_run
    if emr.is_steps(doc):
        return emr.steps
    if emr.is_configurations(doc):
        return emr.configurations
    if others.is_dataproc(doc):
        return others.dataproc_job
    if doc.kind == "map" and databricks.is_databricks(doc):
        return databricks.read
    return others.glue if others.is_glue(doc) else None


def _yaml(out: Collector, node: ast.Constant) -> None:
    part = Collector(out.file, "sparkapplication")
    try:
        docs = parse_yaml(str(node.value))
    except Broken:
        return
    for doc in docs:
        if kubernetes.is_application(doc):
            kubernetes.application(part, doc, f"yaml@{node.lineno}:")
    shift = node.lineno - 1
    out.settings += [replace(s, line=s.line + shift) for s in part.settings]
    out.marks += [replace(m, line=m.line + shift) for m in part.marks]
