"""Delta tables, as far as plans and metrics tell: small files, scans that skip nothing, rewrites of rows that did not change."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from spark_copilot.rules_engine.facts import AppRun, PlanNode, SqlExecution
from spark_copilot.rules_engine.findings import Change, Evidence, Observation, RemoveShare, Severity, Where
from spark_copilot.rules_engine.limits import DeltaLimits
from spark_copilot.rules_engine.plans import graph_of, metric
from spark_copilot.rules_engine.profile import Stage, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code
from spark_copilot.rules_engine.rules.scans import Scan, filter_above, scans


def _place(run: AppRun, scan: Scan) -> Where:
    rows = profile(run).stages_of(scan.node.plan)
    base = profile(run).stage(rows[0]).where if rows else Where(sql_description=scan.execution.description or None)
    return base.model_copy(
        update={"sql_id": scan.execution.sql_id, "node_id": scan.node.node_id, "table": scan.table or scan.location or None}
    )


def _table(scan: Scan) -> str:
    return scan.table or f"delta.`{scan.location}`"


def _change(key: str, to: str, text: str, stop: str) -> tuple[Change, ...]:
    return (Change(kind="table", key=key, to=to, text=text, stop_condition=stop),)


@rule("delta-small-files", family="delta", limits=DeltaLimits, title="A Delta table consists of many small files")
def delta_small_files(run: AppRun, limits: DeltaLimits) -> Iterator[Observation]:
    """A scan of a Delta table opened many files of a few megabytes or less.

    Why it costs: each file is opened and its footer read, its entry in the log is replayed, and its statistics are compared.
    What to do: OPTIMIZE the table (or only its recent partitions), turn on optimised writes and auto compaction for what writes it.
    Blind spot: only the files this run read are seen; a table that is written in small batches between two OPTIMIZE runs is meant to look like this for a while.
    """
    for scan in scans(run, heavy=True):
        if not scan.is_delta or not scan.files or scan.bytes is None or scan.files < limits.small_file_min:
            continue
        mean = scan.bytes / scan.files
        stages = [s for row in profile(run).stages_of(scan.node.plan) if (s := profile(run).stage(row)).n]
        spent = sum(s.total_ms for s in stages)
        if mean >= limits.small_file_bytes or spent / run.slots_max < limits.min_wall_ratio * run.wall_ms:
            continue
        yield Observation(
            code="delta-small-files",
            where=_place(run, scan),
            evidence=(
                Evidence(metric="files", value=scan.files, limit=limits.small_file_min, unit="count"),
                Evidence(metric="mean size", value=mean, limit=limits.small_file_bytes, unit="bytes"),
                Evidence(metric="time of the tasks that read them", value=spent, limit=None, unit="ms"),
            ),
            remedy=RemoveShare(stages=tuple(s.ref for s in stages), of="compute", ratio=round(0.8 * (4 << 20) / ((4 << 20) + mean), 3)),
            changes=_change("OPTIMIZE", f"OPTIMIZE {_table(scan)}", "compact the table's files", "stop when the mean file is above 64 MiB")
            + _change(
                "delta.autoOptimize.optimizeWrite", "true", "write larger files from now on", "undo where write latency matters more"
            ),
        )


@rule("delta-full-scan", family="delta", limits=DeltaLimits, title="A selective query reads a whole Delta table")
def delta_full_scan(run: AppRun, limits: DeltaLimits) -> Iterator[Observation]:
    """The query keeps few rows, but nothing let Delta skip files: no filter on a partition or clustering column that it can use.

    Why it costs: all files are read and almost all rows thrown away.
    What to do: filter on the partition column as it is; cluster (CLUSTER BY or ZORDER) by the columns that queries filter on; no functions around the filtered column.
    Blind spot: how many files the table has in all is not in the plan; a table of few files is left alone.
    """
    for scan in scans(run, heavy=True):
        if not scan.is_delta or not scan.rows or (scan.files or 0) < limits.full_scan_min_files or scan.partition_filters.strip("[] "):
            continue
        condition = filter_above(scan)
        kept = metric(scan.execution, condition.plan, "number of output rows") if condition else None
        stages = [s for row in profile(run).stages_of(scan.node.plan) if (s := profile(run).stage(row)).n]
        if kept is None or kept > 0.2 * scan.rows or sum(s.total_ms for s in stages) / run.slots_max < limits.min_wall_ratio * run.wall_ms:
            continue
        yield Observation(
            code="delta-full-scan",
            where=_place(run, scan),
            evidence=(
                Evidence(metric="rows kept", value=100 * kept / scan.rows, limit=20, unit="percent"),
                Evidence(metric="files read", value=scan.files or 0, limit=limits.full_scan_min_files, unit="count"),
            ),
            remedy=RemoveShare(stages=tuple(s.ref for s in stages), of="compute", ratio=round(0.8 * (1 - kept / scan.rows), 3)),
            changes=_change(
                "CLUSTER BY",
                f"ALTER TABLE {_table(scan)} CLUSTER BY (<filtered column>)",
                "lay the table out by the column the query filters on, then OPTIMIZE",
                "stop when files read fall",
            ),
        )


_COPIED = re.compile(r"\brows?\b.*\b(?:copied|rewritten unmodified)$|\b(?:copied|unmodified) rows?$")
_CHANGES = {word: re.compile(rf"\brows? {word}(?: by a matched clause)?$|\b{word} rows?$") for word in ("updated", "deleted")}
"""How Delta's versions and platforms word their operation metrics: "number of rows updated.", "number of target rows updated", "number of updated rows"."""


def _rows(execution: SqlExecution, node: PlanNode) -> tuple[int | None, int]:
    """(rows copied or None, rows changed) as the operation's own node counts them. Rows a metric names twice are counted once."""
    copied, changed = None, dict.fromkeys(_CHANGES, 0)
    for m in node.metrics:
        value = execution.metrics.get(m.accumulator)
        name = m.name.lower().rstrip(". ")
        if value is None or "touched" in name:
            continue
        if _COPIED.search(name):
            copied = max(copied or 0, value)
        for word, pattern in _CHANGES.items():
            if pattern.search(name):
                changed[word] = max(changed[word], value)
    return copied, sum(changed.values())


def _counted_once(copied: int, changed: int, stages: Sequence[Stage]) -> tuple[int, int]:
    """Delta adds some of its counts up twice (tasks and driver both report them); what the stages wrote tells which."""
    written = sum(int(s.column("output_records").sum()) for s in stages)
    if written and copied > 1.01 * written:
        return copied // 2, changed // 2
    if written and copied + changed > written and copied + changed // 2 <= written:
        return copied, changed // 2
    return copied, changed


def _rewriting(run: AppRun, execution: SqlExecution, copied: int) -> list[Stage]:
    """The stages that wrote the copied rows: of the operation itself or of the executions it started."""
    own = {i for i, e in enumerate(run.sql) if execution.sql_id in (e.sql_id, e.root_id)}
    stages = (profile(run).stage(row) for row in np.flatnonzero(np.isin(run.stages.sql_row, sorted(own))).tolist())
    return [s for s in stages if s.n and int(s.column("output_records").sum()) >= copied // 2]


@rule(
    "delta-rewrite-amplification",
    family="delta",
    limits=DeltaLimits,
    title="A MERGE, UPDATE or DELETE rewrites far more rows than it changes",
)
def delta_rewrite_amplification(run: AppRun, limits: DeltaLimits) -> Iterator[Observation]:
    """Files are rewritten whole for a few changed rows in each.

    Why it costs: unchanged rows are read, shuffled and written again.
    What to do: deletion vectors, so that small changes do not rewrite files; a condition on the partition or clustering columns in the MERGE; smaller target files where changes are scattered.
    Blind spot: needs the operation's row counts in the plan's metrics, which old versions do not log.
    """
    for execution in profile(run).executions():
        for node in graph_of(execution.plan):
            copied, changed = _rows(execution, node.plan)
            if copied is None or copied < limits.copied_min_rows or copied < limits.copied_ratio * max(changed, 1):
                continue
            stages = _rewriting(run, execution, copied)
            copied, changed = _counted_once(copied, changed, stages)
            spent_ms = sum(s.total_ms for s in stages)
            own_ms = min(limits.vectors_fixed_ms * run.slots_max, spent_ms)
            share = limits.rewrite_removable_ratio * copied / (copied + changed) * (1 - own_ms / max(spent_ms, 1))
            yield Observation(
                code="delta-rewrite-amplification",
                where=Where(sql_id=execution.sql_id, node_id=node.node_id, sql_description=execution.description or None),
                evidence=(
                    Evidence(metric="rows rewritten unchanged", value=copied, limit=limits.copied_min_rows, unit="count"),
                    Evidence(metric="rows changed", value=changed, limit=None, unit="count"),
                    *((Evidence(metric="time of the tasks that rewrote them", value=spent_ms, limit=None, unit="ms"),) if stages else ()),
                ),
                remedy=RemoveShare(stages=tuple(s.ref for s in stages), of="compute", ratio=round(share, 3)) if stages else None,
                severity_floor=Severity.MEDIUM,
                changes=_change(
                    "delta.enableDeletionVectors",
                    "true",
                    "mark changed rows instead of rewriting their files",
                    "undo where old readers must read the table",
                )
                + code(
                    "merge-condition",
                    "put the partition or clustering column into the MERGE condition",
                    "stop when rewritten rows are about changed rows",
                ),
            )
