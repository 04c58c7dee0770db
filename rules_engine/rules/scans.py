"""What a plan's scans say of themselves: format, files, bytes, filters, partition columns. Pure readings of plan text and metrics."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spark_copilot.rules_engine.facts import AppRun, SqlExecution
from spark_copilot.rules_engine.limits import PartitionLimits
from spark_copilot.rules_engine.plans import GraphNode, PlanGraph, graph_of, metric
from spark_copilot.rules_engine.profile import Stage, profile
from spark_copilot.rules_engine.units import parse_bytes

_SCAN = re.compile(r"^(?:Photon)?(?:Gpu)?(?:File)?(?:Batch)?Scan\b")
_ATTRIBUTE = re.compile(r"([A-Za-z_][\w$]*)#\d+L?")
_FIELD = re.compile(r"([A-Za-z_][\w$]*):(\w+)")


@dataclass(frozen=True, slots=True)
class Scan:
    """One file scan of a plan. Counts are None where the log does not give them."""

    execution: SqlExecution
    graph: PlanGraph
    node: GraphNode
    format: str
    location: str
    table: str | None
    files: int | None
    bytes: int | None
    rows: int | None
    partitions_read: int | None
    partition_filters: str
    columns: tuple[str, ...]
    read_schema: dict[str, str]
    """Column -> type, partition columns not among them."""

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """Columns of the output that are not in the files: those of the folder names."""
        return tuple(c for c in self.columns if c not in self.read_schema) if self.read_schema or self.partitions_read else ()

    @property
    def is_delta(self) -> bool:
        """Whether the files belong to a Delta table."""
        text = self.node.plan.text + self.node.plan.metadata.get("Location", "")
        return any(mark in text for mark in ("PreparedDeltaFileIndex", "TahoeLogFileIndex", "TahoeBatchFileIndex", "DeltaFileIndex"))


def scans(run: AppRun, *, heavy: bool = False) -> Iterator[Scan]:
    """Every file scan of the last plan of every execution; `heavy`: only of executions that weigh something."""
    for execution in profile(run).executions() if heavy else run.sql:
        graph = graph_of(execution.plan)
        for node in graph:
            if _SCAN.match(node.name) and "ExistingRDD" not in node.name and not node.name.startswith("Scan OneRow"):
                yield _scan(execution, graph, node)


def _scan(execution: SqlExecution, graph: PlanGraph, node: GraphNode) -> Scan:
    meta, text = node.plan.metadata, node.plan.text

    def of(key: str) -> str:
        return meta.get(key) or _after(text, key)

    named = node.name.split()
    schema = of("ReadSchema")
    listed = text.partition("[")[2].partition("]")[0]
    location = of("Location")
    inside = location.partition("[")[2].rstrip("]") or location
    return Scan(
        execution=execution,
        graph=graph,
        node=node,
        format=(of("Format") or (named[1] if len(named) > 1 else "unknown")).lower(),
        location=inside.split(",")[0].strip(),
        table=named[2] if len(named) > 2 else None,
        files=metric(execution, node.plan, "number of files read"),
        bytes=metric(execution, node.plan, "size of files read"),
        rows=metric(execution, node.plan, "number of output rows"),
        partitions_read=metric(execution, node.plan, "number of partitions read"),
        partition_filters=of("PartitionFilters"),
        columns=tuple(_ATTRIBUTE.findall(listed)),
        read_schema=dict(_FIELD.findall(schema.partition("<")[2])),
    )


def _after(text: str, key: str) -> str:
    """The value of "Key: value" in a simple string: up to the next ", Key:" at this depth."""
    start = text.find(f"{key}: ")
    if start < 0:
        return ""
    value = text[start + len(key) + 2 :]
    end = re.search(r", [A-Z][A-Za-z]+: ", value)
    return value[: end.start()] if end else value


def filter_above(scan: Scan) -> GraphNode | None:
    """The filter that takes the scan's rows, with only projections and format changes between."""
    at = scan.node
    for _ in range(6):
        above = scan.graph.outputs(at.node_id)
        if len(above) != 1:
            return None
        at = above[0]
        if at.name == "Filter":
            return at
        if at.name not in ("ColumnarToRow", "Project", "InputAdapter", "BatchEvalPython", "ArrowEvalPython"):
            return None
    return None


_NEVER_SPLITS = re.compile(r"\.(?:gz|gzip|zip|deflate|lzo|snappy\.(?:csv|json|txt))\b", re.IGNORECASE)


_TEXT = ("csv", "json", "text", "xml")
"""Formats that split unless they are compressed or span lines; those with blocks of their own (Parquet, ORC, Avro) always split."""


def _one_file_too_large(run: AppRun, stage: Stage, scan: Scan, limits: PartitionLimits) -> bool:
    """Whether one task read far more than the split Spark cuts for this input: a file that it could not cut, beside others."""
    if stage.n < 2 or not scan.bytes:
        return False
    largest = parse_bytes(run.conf("spark.sql.files.maxPartitionBytes", "128m") or "128m") or limits.target_bytes
    padded = scan.bytes + (scan.files or 0) * limits.file_open_bytes
    split = min(largest, max(limits.file_open_bytes, padded // run.slots_max))
    most = int(stage.column("input_bytes").max())
    return most >= limits.unsplit_ratio * split and most >= limits.splittable_min_bytes


def unsplit_stages(run: AppRun, limits: PartitionLimits) -> set[int]:
    """Stage rows that read a large file in one task although cores were free: one task a file, each larger than a split would have been."""
    slots = run.slots_max
    found: set[int] = set()
    known = profile(run)
    for scan in scans(run, heavy=True):
        if not scan.files or not scan.bytes or scan.format in ("jdbc", "delta"):
            continue
        if scan.files < slots and scan.bytes / scan.files >= limits.splittable_min_bytes:
            found.update(row for row in known.stages_of(scan.node.plan) if int(run.stages.n_tasks[row]) <= scan.files)
        if scan.format in _TEXT and scan.bytes:
            found.update(row for row in known.stages_of(scan.node.plan) if _one_file_too_large(run, known.stage(row), scan, limits))
    for stage in known.stages:
        rdds = run.stages.rdds[stage.row]
        if (
            stage.declared < slots
            and any(_NEVER_SPLITS.search(r.name) for r in rdds)
            and int(stage.read_bytes.max()) >= limits.splittable_min_bytes
        ):
            found.add(stage.row)
    return found
