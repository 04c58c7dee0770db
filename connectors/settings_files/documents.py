"""YAML and JSON files: which platform's document is it, and its reader. One file may hold several documents."""

import re
from collections.abc import Callable

from spark_copilot.connectors.settings_files import databricks, dbt, embedded, emr, kubernetes, others
from spark_copilot.connectors.settings_files.base import Broken, Collector, Reader
from spark_copilot.connectors.settings_files.nodes import Node, parse_json, parse_yaml
from spark_copilot.rules_engine.gate.setting import SettingsFile

Part = tuple[str, Callable[[Node], bool], Callable[[Collector, Node, str], None]]
_PARTS: tuple[Part, ...] = (
    ("sparkapplication", kubernetes.is_application, kubernetes.application),
    ("configmap", kubernetes.is_configmap, kubernetes.configmap),
    ("dbt", dbt.is_profile, dbt.profile),
    ("dbt-project", dbt.is_project, dbt.project),
    ("glue", others.is_glue, others.glue),
    ("emr", emr.is_configurations, emr.configurations),
    ("emr-steps", emr.is_steps, emr.steps),
    ("emr-job", emr.is_job_run, emr.job_run),
    ("dataproc", others.is_dataproc, others.dataproc_job),
    ("databricks-policy", databricks.is_policy, databricks.policy),
    ("databricks", databricks.is_databricks, databricks.read),
    ("cloudformation", emr.is_template, emr.template),
    ("shell", embedded.holds_command, embedded.read),
    ("spark-conf", others.is_plain, others.plain),
)
_HINT = re.compile(
    r"spark|[Cc]lassification|server_side_parameters|\"--conf\"|DefaultArguments|new_cluster|maximizeResourceAllocation", re.IGNORECASE
)

_LARGEST = 8 << 20
"""Settings are smaller; data is not, and its tree would take fifty times its size."""


def matches(path: str, text: str) -> bool:
    """YAML or JSON that mentions Spark."""
    return path.endswith((".json", ".yml", ".yaml", ".yaml.j2", ".yml.j2", ".yaml.tpl", ".jsonc")) and _HINT.search(text) is not None


def read(file: str, text: str) -> SettingsFile:
    """The documents that are known, in the order they stand; `kind` is that of the first."""
    out = Collector(file, "")
    is_json = file.endswith((".json", ".jsonc"))
    if len(text) > _LARGEST:
        out.kind = "json" if is_json else "yaml"
        out.mark("unreadable", 1, "larger than 8 MiB: not read", severity="info")
        return out.done()
    try:
        docs = parse_json(text) if is_json else parse_yaml(text)
    except Broken as error:
        out.kind = "json" if is_json else "yaml"
        return out.broken(error)
    for number, doc in enumerate(docs):
        part = next((p for p in _PARTS if p[1](doc)), None)
        if part is not None:
            out.kind = out.kind or part[0]
            prefix = f"document{number}" if len(docs) > 1 else ""
            part[2](out, doc, prefix)
            if part[0] == "glue" and emr.is_template(doc):
                emr.template(out, doc, prefix)
    out.kind = out.kind or "other"
    return out.done()


READER = Reader("document", matches, read)
