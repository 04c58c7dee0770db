"""Kubernetes: SparkApplication and its scheduled and Connect siblings, and ConfigMaps that carry properties files."""

from spark_copilot.connectors.settings_files import properties
from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.nodes import MARKED, Node
from spark_copilot.rules_engine.gate.setting import Place

_KINDS = ("SparkApplication", "ScheduledSparkApplication", "SparkConnect")


def is_application(doc: Node) -> bool:
    """A custom resource of the Spark operator."""
    kind, version = doc.get("kind"), doc.get("apiVersion")
    return kind is not None and kind.text in _KINDS and (version is None or "sparkoperator" in version.text or MARKED in version.text)


def is_configmap(doc: Node) -> bool:
    """A ConfigMap."""
    kind = doc.get("kind")
    return kind is not None and kind.text == "ConfigMap" and doc.get("data") is not None


def known(node: Node) -> str | None:
    """The text of a scalar; None for anything else and for templates."""
    return node.text if node.kind not in ("map", "list", "null") and MARKED not in node.text else None


def application(out: Collector, doc: Node, prefix: str) -> None:
    """sparkConf and hadoopConf as conf, the fields of driver and executor as what the operator makes of them."""
    spec = doc.get("spec")
    if spec is None:
        return
    kind = doc.get("kind")
    if kind is not None and kind.text == "ScheduledSparkApplication":
        spec = spec.get("template") or spec
    name = doc.get("metadata", "name")
    scope = f"{prefix}application:{name.text if name else doc.line}"
    out.mark("platform", doc.line, "kubernetes", scope=scope)
    _facts(out, doc, spec, scope)
    for block in ("sparkConf", "hadoopConf"):
        node = spec.get(block)
        for key, value in node.items if node is not None and node.kind == "map" else ():
            typed = value.kind if value.kind in ("boolean", "number") else "string"
            written = ("spark.hadoop." + key.text) if block == "hadoopConf" and not key.text.startswith("spark.") else key.text
            out.set(written, known(value), key.line, Place.CONF, column=key.column, scope=scope, origin=block, kind=typed, raw=value.text)
    _dynamic(out, spec, scope)
    for role in ("driver", "executor"):
        _role(out, spec, role, scope)
    packages = spec.get("deps", "packages")
    if packages is not None and packages.elements and all(known(p) for p in packages.elements):
        out.set(
            "spark.jars.packages",
            ",".join(p.text for p in packages.elements),
            packages.line,
            Place.FLAG,
            scope=scope,
            origin="deps.packages",
        )


def _facts(out: Collector, doc: Node, spec: Node, scope: str) -> None:
    version = spec.get("sparkVersion")
    if version is not None and known(version):
        out.mark("spark-version", version.line, version.text, scope=scope)
    kind = spec.get("type")
    if kind is not None and known(kind):
        out.mark("language", kind.line, "python" if kind.text == "Python" else "scala", scope=scope)
    namespace = doc.get("metadata", "namespace")
    if namespace is not None and known(namespace):
        out.mark("namespace", namespace.line, namespace.text, scope=scope)


def _dynamic(out: Collector, spec: Node, scope: str) -> None:
    node = spec.get("dynamicAllocation")
    if node is None or node.kind != "map":
        return
    for key, value in node.items:
        name = {
            "enabled": "enabled",
            "initialExecutors": "initialExecutors",
            "minExecutors": "minExecutors",
            "maxExecutors": "maxExecutors",
        }.get(key.text)
        if name:
            out.set(
                f"spark.dynamicAllocation.{name}",
                known(value),
                key.line,
                Place.FLAG,
                column=key.column,
                scope=scope,
                origin=f"dynamicAllocation.{name}",
            )


_FIELDS = {
    "cores": "spark.{role}.cores", "memory": "spark.{role}.memory", "memoryOverhead": "spark.{role}.memoryOverhead",
    "coreRequest": "spark.kubernetes.{role}.request.cores", "coreLimit": "spark.kubernetes.{role}.limit.cores",
    "javaOptions": "spark.{role}.extraJavaOptions", "instances": "spark.executor.instances",
}  # fmt: skip


def _role(out: Collector, spec: Node, role: str, scope: str) -> None:
    node = spec.get(role)
    if node is None or node.kind != "map":
        return
    for key, value in node.items:
        pattern = _FIELDS.get(key.text)
        if pattern is not None and not (key.text == "instances" and role == "driver"):
            out.set(
                pattern.format(role=role), known(value), key.line, Place.FLAG, column=key.column, scope=scope, origin=f"{role}.{key.text}"
            )
        elif key.text == "memoryLimit" and known(value):
            out.mark(f"{role}-memory-limit", key.line, value.text, scope=scope, column=key.column)


def configmap(out: Collector, doc: Node, prefix: str) -> None:
    """Every entry whose name says that it is a Spark properties file."""
    data = doc.get("data")
    name = doc.get("metadata", "name")
    for key, value in data.items if data is not None else ():
        if key.text.endswith((".conf", ".properties")) and "spark." in value.text and "log4j" not in key.text:
            scope = f"{prefix}configmap:{name.text if name else doc.line}/{key.text}"
            # A block scalar starts on the line after its key.
            first = value.line + 1 if value.line == key.line and "\n" in value.text else value.line
            properties.collect(out, value.text.replace(MARKED, "{{}}"), first_line=first, scope=scope, own="spark" in key.text)
        elif key.text.startswith("spark.") and value.kind != "map":
            out.set(
                key.text,
                known(value),
                key.line,
                Place.DEFAULTS,
                column=key.column,
                scope=f"{prefix}configmap:{name.text if name else doc.line}",
            )
