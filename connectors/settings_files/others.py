"""Single documents of other platforms: Glue jobs, Dataproc jobs and batches."""

from spark_copilot.connectors.settings_files.base import Collector, is_prose
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import Node
from spark_copilot.connectors.settings_files.tokens import split
from spark_copilot.rules_engine.gate.setting import Place


def is_glue(doc: Node) -> bool:
    """A Glue job: default arguments beside a command or a Glue version."""
    return any(
        n.kind == "map" and n.get_any("DefaultArguments") is not None and n.get_any("Command", "GlueVersion", "WorkerType") is not None
        for n in doc.walk()
    )


def glue(out: Collector, doc: Node, prefix: str) -> None:
    """The --conf argument of every job, and its other arguments for secrets."""
    for node in doc.walk():
        held = node.get_any("DefaultArguments") if node.kind == "map" else None
        if held is None or held.kind != "map":
            continue
        scope = f"{prefix}job@{node.line}"
        out.mark("platform", node.line, "glue", scope=scope)
        version = node.get_any("GlueVersion")
        if version is not None and known(version):
            out.mark("vendor-version", version.line, version.text, scope=scope, vendor="glue")
        for key, value in held.items:
            glue_argument(out, key.text, known(value), key.line, key.column, scope)


def glue_argument(out: Collector, name: str, text: str | None, line: int, column: int | None, scope: str) -> None:
    """One argument of a Glue job: settings when it is --conf, else a candidate for a secret."""
    if name != "--conf":
        if text is not None:
            out.mark("argument", line, text, scope=scope, column=column, name=name)
        return
    if text is None:
        return
    words = [w.text for w in split("--conf " + text, line)]
    pairs = [w for w in words if w not in ("--conf", "-c")]
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if equals:
            out.set(key.strip(), value.strip(), line, Place.CONF, column=column, scope=scope, origin="--conf")
    if len(pairs) > 1:
        out.mark("glue-chain", line, str(len(pairs)), scope=scope, column=column)


_JOBS = ("sparkJob", "pysparkJob", "sparkSqlJob", "sparkRJob", "spark_job", "pyspark_job", "spark_sql_job")
_BATCHES = (
    "pysparkBatch",
    "sparkBatch",
    "sparkSqlBatch",
    "sparkRBatch",
    "pyspark_batch",
    "spark_batch",
    "spark_sql_batch",
    "runtimeConfig",
    "runtime_config",
)


def is_dataproc(doc: Node) -> bool:
    """A job, a batch, a workflow template or a cluster with software properties."""
    return any(
        n.kind == "map" and (any(n.get(name) is not None for name in (*_JOBS, *_BATCHES)) or _software(n) is not None) for n in doc.walk()
    )


def _software(node: Node) -> Node | None:
    for outer, inner in (("softwareConfig", "properties"), ("software_config", "properties")):
        found = node.get(outer, inner)
        if found is not None and found.kind == "map":
            return found
    return None


def dataproc_job(out: Collector, doc: Node, prefix: str) -> None:
    """Properties of every job, batch and cluster in the document."""
    for node in doc.walk():
        if node.kind != "map":
            continue
        for name in (*_JOBS, *_BATCHES):
            held = node.get(name, "properties")
            if held is not None and held.kind == "map":
                serverless = name in _BATCHES
                scope = f"{prefix}{name}@{node.line}"
                out.mark("platform", held.line, "dataproc-serverless" if serverless else "dataproc", scope=scope)
                version = node.get(name, "version")
                if version is not None and known(version):
                    out.mark("vendor-version", version.line, version.text, scope=scope, vendor="dataproc-serverless")
                for key, value in held.items:
                    if key.text.startswith("spark:"):
                        plain = key.text.removeprefix("spark:")
                        text = f"{key.text}: properties of a job have no prefix"
                        out.mark("dataproc-prefix", key.line, text, scope=scope, column=key.column, key=plain, fix=f"write {plain}")
                        continue
                    out.set(key.text, known(value), key.line, Place.CONF, column=key.column, scope=scope, origin="properties")
        software = _software(node)
        if software is not None:
            scope = f"{prefix}cluster@{node.line}"
            out.mark("platform", software.line, "dataproc", scope=scope)
            for key, value in software.items:
                cluster_property(out, key.text, known(value), key.line, key.column, scope)


def cluster_property(out: Collector, name: str, value: str | None, line: int, column: int | None, scope: str) -> None:
    """One software property of a Dataproc cluster: `file:key`."""
    file, colon, key = name.partition(":")
    if file == "spark" and colon:
        out.set(key, value, line, Place.DEFAULTS, column=column, scope=scope, origin="properties")
    elif not colon and name.startswith("spark."):
        out.mark(
            "dataproc-prefix",
            line,
            f"{name} has no prefix that names its file",
            scope=scope,
            column=column,
            key=name,
            fix=f"write spark:{name}",
        )


def is_plain(doc: Node) -> bool:
    """A map of Spark settings in a document of no kind that is known: a tool's own configuration, a request to Livy, chart values."""
    return any(_mostly_spark(node) for node in doc.walk())


def _mostly_spark(node: Node) -> bool:
    own = sum(key.text.startswith("spark.") for key, value in node.items if value.kind not in ("map", "list"))
    return node.kind == "map" and own * 2 > len(node.items)


def plain(out: Collector, doc: Node, prefix: str) -> None:
    """Every such map; its way to Spark is not seen, so that each setting is judged for itself."""
    for node in doc.walk():
        if not _mostly_spark(node):
            continue
        scope = f"{prefix}map@{node.line}"
        out.mark("spark-conf-unknown", node.line, scope=scope)
        for key, value in node.items:
            text = known(value)
            if key.text.startswith("spark."):
                held = None if text is None or is_prose(text) else text
                out.set(key.text, held, key.line, Place.CONF, column=key.column, scope=scope)
