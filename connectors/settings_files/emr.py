"""Amazon EMR: configuration classifications, steps, and job runs of EMR Serverless and EMR on EKS."""

from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import Node
from spark_copilot.connectors.settings_files.submit import TOOLS, read_submit
from spark_copilot.connectors.settings_files.tokens import Word, split
from spark_copilot.rules_engine.gate.setting import Place


def _groups(doc: Node) -> list[Node]:
    """Maps that carry a classification, wherever they stand."""
    return [n for n in doc.walk() if _is_group(n)]


def _is_group(node: Node) -> bool:
    """A name and its settings; a vocabulary or a schema that has such words among its keys is none."""
    if node.kind != "map":
        return False
    name, held = node.get_any("classification"), node.get_any("properties", "configurationproperties", "configurations")
    return name is not None and name.kind == "string" and held is not None and held.kind in ("map", "list", "string")


def is_configurations(doc: Node) -> bool:
    """A list of classifications, alone or under Configurations; also a whole cluster definition with steps."""
    if is_job_run(doc):
        return False
    held = doc.get_any("configurations") if doc.kind == "map" else doc
    return (
        held is not None and held.kind == "list" and any(n.kind == "map" and n.get_any("classification") is not None for n in held.elements)
    )


def is_steps(doc: Node) -> bool:
    """Steps with a HadoopJarStep."""
    return any(n.kind == "map" and n.get_any("HadoopJarStep") is not None for n in doc.walk())


def is_job_run(doc: Node) -> bool:
    """A job run with sparkSubmitParameters."""
    return any(n.kind == "map" and n.get_any("sparkSubmitParameters") is not None for n in doc.walk())


def is_template(doc: Node) -> bool:
    """CloudFormation and the like: classifications deeper down."""
    return bool(_groups(doc))


def configurations(out: Collector, doc: Node, prefix: str, platform: str = "emr") -> None:
    """Every classification; settings of spark-defaults are the cluster's defaults."""
    scope = prefix
    out.mark("platform", doc.line, platform, scope=scope)
    release = doc.get_any("ReleaseLabel") if doc.kind == "map" else None
    if release is not None and known(release):
        out.mark("vendor-version", release.line, release.text, scope=scope, vendor="emr")
    for group in _groups(doc):
        _group(out, group, scope)
    steps(out, doc, prefix)


def template(out: Collector, doc: Node, prefix: str) -> None:
    """A template around clusters: every classification in it."""
    configurations(out, doc, prefix)


def _group(out: Collector, group: Node, scope: str) -> None:
    name = group.get_any("classification")
    held = group.get_any("properties", "configurationproperties")
    if name is None or known(name) is None:
        return
    out.mark("emr-classification", name.line, name.text, scope=scope, column=name.column)
    for key, value in held.items if held is not None and held.kind == "map" else ():
        out.mark("emr-property", key.line, key.text, scope=scope, column=key.column, classification=name.text, value=value.text)
        if name.text in ("spark-defaults", "spark-session-defaults") or (
            name.text.startswith("spark-def") and key.text.startswith("spark.")
        ):
            if key.text == "maximizeResourceAllocation":
                continue
            out.set(key.text, known(value), key.line, Place.DEFAULTS, column=key.column, scope=scope, origin=f"{name.text}@{group.line}")


def steps(out: Collector, doc: Node, prefix: str) -> None:
    """Every step that starts Spark."""
    for node in doc.walk():
        step = node.get_any("HadoopJarStep") if node.kind == "map" else None
        args = step.get_any("Args") if step is not None and step.kind == "map" else None
        if args is None or args.kind != "list":
            continue
        words = [Word(a.text, a.line, a.column, known(a) is not None) for a in args.elements]
        start = next((i for i, w in enumerate(words) if w.text.rsplit("/", 1)[-1] in TOOLS), None)
        if start is not None:
            scope = f"{prefix}step@{args.line}"
            out.mark("platform", args.line, "emr", scope=scope)
            read_submit(out, words[start], words[start + 1 :], scope)


def job_run(out: Collector, doc: Node, prefix: str) -> None:
    """sparkSubmitParameters and the overrides beside them."""
    serverless = any(n.kind == "map" and n.get_any("applicationId", "sparkSubmit") is not None for n in doc.walk())
    on_eks = any(n.kind == "map" and n.get_any("virtualClusterId", "sparkSubmitJobDriver") is not None for n in doc.walk())
    platform = "emr-serverless" if serverless and not on_eks else "kubernetes"
    scope = f"{prefix}job"
    out.mark("platform", doc.line, platform, scope=scope)
    release = doc.get_any("releaseLabel") if doc.kind == "map" else None
    if release is not None and known(release):
        out.mark("vendor-version", release.line, release.text, scope=scope, vendor="emr")
    for node in doc.walk():
        if node.kind != "map":
            continue
        text = node.get_any("sparkSubmitParameters")
        if text is not None and known(text):
            entry = node.get_any("entryPoint")
            app = entry.text if entry is not None and entry.text else "app.jar"
            words = [*split(text.text, text.line, text.column), Word(app, text.line, text.column, quoted=True)]
            read_submit(out, Word("spark-submit", text.line, text.column), words, scope)
    for group in _groups(doc):
        _group(out, group, scope)
