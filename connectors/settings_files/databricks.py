"""Databricks: jobs, bundles, cluster definitions and cluster policies."""

from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import Node
from spark_copilot.connectors.settings_files.submit import read_submit
from spark_copilot.connectors.settings_files.tokens import Word
from spark_copilot.rules_engine.gate.setting import Place

_CLUSTER = ("new_cluster", "spark_conf", "node_type_id", "spark_version", "num_workers", "autoscale")


def is_databricks(doc: Node) -> bool:
    """A job, a bundle, a pipeline or a cluster."""
    for node in doc.walk():
        if node.kind == "map" and (node.get("spark_conf") or node.get("new_cluster") or node.get("spark_submit_task")):
            return True
        if node.kind == "map" and node.get("environment_key") and node.get("spec"):
            return True
        if node.kind == "map" and (pipelines := node.get("pipelines")) is not None and pipelines.kind == "map":
            return True
    return doc.get("bundle") is not None and doc.get("resources") is not None


def is_policy(doc: Node) -> bool:
    """A cluster policy: keys such as spark_conf.spark.x with a type."""
    return doc.kind == "map" and any(
        key.text.startswith(("spark_conf.", "spark_version", "node_type_id")) and value.get("type") for key, value in doc.items
    )


def policy(out: Collector, doc: Node, prefix: str) -> None:
    """Fixed and default values of a policy."""
    out.mark("platform", doc.line, "databricks", scope=prefix)
    out.mark("databricks-cluster", doc.line, "policy", scope=prefix, open="true")
    for key, value in doc.items:
        if key.text.startswith("spark_conf."):
            held = value.get("value") or value.get("defaultValue")
            out.set(
                key.text.removeprefix("spark_conf."),
                known(held) if held is not None else None,
                key.line,
                Place.DEFAULTS,
                column=key.column,
                scope=prefix,
            )
        elif key.text == "spark_version" and (held := value.get("value")) is not None and known(held):
            out.mark("vendor-version", held.line, held.text, scope=prefix, vendor="databricks")


def read(out: Collector, doc: Node, prefix: str) -> None:
    """Every cluster in the document, each a scope of its own; serverless environments; pipelines."""
    seen: set[int] = set()
    for node in doc.walk():
        if node.kind != "map":
            continue
        cluster = node.get("new_cluster")
        if cluster is not None and cluster.kind == "map":
            seen.add(id(cluster))
            cluster_of(out, cluster, prefix)
        elif id(node) not in seen and node.get("spark_conf") is not None:
            cluster_of(out, node, prefix)
        pipelines = node.get("pipelines")
        for _, pipeline in pipelines.items if pipelines is not None and pipelines.kind == "map" else ():
            _pipeline(out, pipeline, prefix)
        task = node.get("spark_submit_task", "parameters")
        if task is not None and all(e.kind == "string" for e in task.elements):
            words = [Word(e.text, e.line, e.column, known(e) is not None) for e in task.elements]
            read_submit(out, Word("spark-submit", task.line, task.column), words, f"{prefix}submit@{task.line}")


def _pipeline(out: Collector, pipeline: Node, prefix: str) -> None:
    settings = pipeline.get("configuration")
    if settings is None or settings.kind != "map":
        return
    scope = f"{prefix}pipeline@{pipeline.line}"
    out.mark("platform", pipeline.line, "databricks", scope=scope)
    for key, value in settings.items:
        if key.text.startswith("spark."):
            out.set(key.text, known(value), key.line, Place.DEFAULTS, column=key.column, scope=scope, origin="configuration")


def cluster_of(out: Collector, cluster: Node, prefix: str) -> None:
    """One cluster, in a scope of its own."""
    scope = f"{prefix}cluster@{cluster.line}"
    workers, tag, single = cluster.get("num_workers"), cluster.get("custom_tags", "ResourceClass"), cluster.get("is_single_node")
    is_open = cluster.get("policy_id") is not None or cluster.get("apply_policy_default_values") is not None
    key = cluster.key("num_workers")
    out.mark("platform", cluster.line, "databricks", scope=scope)
    out.mark(
        "databricks-cluster",
        key.line if key else cluster.line,
        "cluster",
        scope=scope,
        num_workers=(known(workers) or "") if workers is not None else "",
        tag=(known(tag) or "SingleNode") if tag is not None else "",
        is_single_node=single.text.lower() if single is not None else "",
        open="true" if is_open else "",
    )
    version = cluster.get("spark_version")
    if version is not None and known(version):
        out.mark("vendor-version", version.line, version.text, scope=scope, vendor="databricks")
    conf = cluster.get("spark_conf")
    for key, value in conf.items if conf is not None and conf.kind == "map" else ():
        out.set(key.text, known(value), key.line, Place.DEFAULTS, column=key.column, scope=scope, raw=value.text)
