"""What the run read and wrote, from its plans; then the rules on plans."""

import re
from typing import Any

from langgraph.runtime import Runtime

from spark_copilot.agents.connect_facts import connect_facts
from spark_copilot.agents.observe import heard, observe
from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Failed
from spark_copilot.rules_engine.plans import graph_of, metric
from spark_copilot.rules_engine.platform import platform
from spark_copilot.rules_engine.rules.scans import scans
from spark_copilot.rules_engine.rules.spark_config_rules import setting_observations

_WRITES = (
    "InsertInto",
    "CreateDataSourceTableAsSelect",
    "CreateTableAsSelect",
    "AppendData",
    "OverwriteByExpression",
    "OverwritePartitionsDynamic",
    "SaveIntoDataSource",
    "WriteFiles",
    "ReplaceTableAsSelect",
)
_COMMAND = re.compile(r"(?:Execute )?(?P<command>\w+?)(?:Exec|Command)? (?P<target>[a-z0-9+]+:[^\s,]+|[\w.`]+)", re.IGNORECASE)
_FORMAT = re.compile(r"\b(parquet|orc|csv|json|text|avro|delta|iceberg|jdbc)\b", re.IGNORECASE)


def metadata(state: State, runtime: Runtime[Context]) -> State:
    """Tables read and written. Reads nothing of the state; writes `facts.tables`, `facts.connect` of a Spark Connect server, and what the rules on plans and settings say."""
    del state
    update = observe(runtime.context, "plan")
    run = runtime.context.run
    try:
        update["observed"] += list(setting_observations(run, platform(run)))
    except Exception as error:  # noqa: BLE001 - a bug in a settings rule must cost only the settings
        update["failed"].append(Failed(code="settings", error=repr(error)))
    update["facts"] = {"tables": tables(run)}
    if (connect := connect_facts(run)) is not None:
        update["facts"]["connect"] = connect
    heard(runtime.context, "metadata")
    return update


def tables(run: AppRun) -> list[dict[str, Any]]:
    """One entry a table or path and direction, in the order of first use; bytes, rows and files are summed, null where no plan node counts them."""
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def entry(direction: str, location: str, form: str, name: str | None, sql_id: int) -> dict[str, Any]:
        known = found.setdefault(
            (direction, name or location),
            {
                "direction": direction,
                "name": name,
                "location": location or None,
                "format": form,
                "files": None,
                "bytes": None,
                "rows": None,
                "columns": [],
                "partition_columns": [],
                "partition_filters": [],
                "sql_ids": [],
            },
        )
        if sql_id not in known["sql_ids"]:
            known["sql_ids"].append(sql_id)
        return known

    def add(known: dict[str, Any], key: str, value: int | None) -> None:
        if value is not None:
            known[key] = (known[key] or 0) + value

    for scan in scans(run):
        if not scan.location and scan.table is None:
            continue
        known = entry("read", scan.location, "delta" if scan.is_delta else scan.format, scan.table, scan.execution.sql_id)
        for key, value in (("files", scan.files), ("bytes", scan.bytes), ("rows", scan.rows)):
            add(known, key, value)
        partitioned = scan.partition_columns
        for column in scan.columns:
            typed = {"name": column, "type": scan.read_schema.get(column)}
            if column not in {c["name"] for c in known["columns"]}:
                known["columns"].append(typed)
        known["partition_columns"] = sorted({*known["partition_columns"], *partitioned})
        filters = scan.partition_filters.strip("[] ")
        if filters and filters not in known["partition_filters"]:
            known["partition_filters"].append(filters)
    for execution in run.sql:
        for node in graph_of(execution.plan):
            if not any(w in node.name for w in _WRITES) or node.name == "WriteFiles":
                continue
            target = _COMMAND.match(node.plan.text)
            form = _FORMAT.search(node.plan.text)
            place = target["target"] if target else ""
            known = entry(
                "write",
                place if ":" in place or "/" in place else "",
                form[1].lower() if form else "unknown",
                None if ":" in place else place or None,
                execution.sql_id,
            )
            add(known, "files", metric(execution, node.plan, "number of written files"))
            add(known, "bytes", metric(execution, node.plan, "written output"))
            add(known, "rows", metric(execution, node.plan, "number of output rows"))
    return list(found.values())
