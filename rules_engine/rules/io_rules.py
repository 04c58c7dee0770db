"""Files: that cannot be split, that are too small, that need not have been read."""

import re
from collections.abc import Iterator

from spark_copilot.rules_engine.facts import AppRun, PlanNode, SqlExecution
from spark_copilot.rules_engine.findings import Change, Evidence, Observation, RemoveShare, Repartition, Severity, Where
from spark_copilot.rules_engine.limits import PartitionLimits
from spark_copilot.rules_engine.plans import GraphNode, graph_of, metric, walk
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf
from spark_copilot.rules_engine.rules.scans import Scan, filter_above, scans, unsplit_stages
from spark_copilot.rules_engine.units import parse_count


@rule("unsplittable-input", family="partition", limits=PartitionLimits, title="A large file that cannot be split is read by one task")
def unsplittable_input(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """The input is compressed or laid out so that Spark cannot cut it (gzip, zip, multi-line JSON or CSV), so each file is one task.

    Why it costs: one core decompresses and parses while the others wait; everything in that stage runs at the speed of one core.
    What to do: write the source as Parquet or ORC, or as many files, or with a codec that splits (bzip2, zstd in Parquet); at the least repartition right after the read.
    Blind spot: known from one task a file where a file of that size would have been split; the repartition helps only what comes after it.
    """
    for row in sorted(unsplit_stages(run, limits)):
        stage = profile(run).stage(row)
        even = stage.total_ms / run.slots_max if stage.n >= run.slots_max else stage.span_ms * stage.declared / run.slots_max
        lost = stage.span_ms - even if stage.n else 0.0
        if lost < max(limits.min_lost_ms, limits.min_wall_ratio * run.wall_ms):
            continue
        wanted = run.slots_max * limits.tasks_per_slot
        yield Observation(
            code="unsplittable-input",
            where=stage.where,
            evidence=(
                Evidence(metric="tasks", value=stage.declared, limit=run.slots_max, unit="count"),
                Evidence(
                    metric="bytes of the largest task", value=float(stage.read_bytes.max()), limit=limits.splittable_min_bytes, unit="bytes"
                ),
                Evidence(metric="stage time", value=stage.span_ms, limit=None, unit="ms"),
            ),
            remedy=Repartition(stages=(stage.ref,), partitions=wanted),
            changes=code(
                "source-format",
                f"write the source as Parquet, or as at least {wanted} files of equal size",
                "stop when the read has a task a core",
            )
            + code(
                "repartition",
                f"until then call repartition({wanted}) right after the read",
                "undo when the source splits",
                to=f"spark.read…repartition({wanted})",
            ),
        )


@rule(
    "small-files-read",
    family="partition",
    limits=PartitionLimits,
    title="Many small files are read, and opening them costs more than reading",
)
def small_files_read(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """The scan opens hundreds of files of a few kilobytes or megabytes.

    Why it costs: each file is listed, opened and its footer read; that is some milliseconds to tens of them, whatever the file holds.
    What to do: compact the table to files of about 128 MiB; write it with fewer partitions; for Delta run OPTIMIZE.
    Blind spot: listing in the driver shows as driver time, not here (the jobs that Spark lists very many folders with do); a read that prunes to a few of many files is left alone.
    """
    for scan in scans(run, heavy=True):
        if not scan.files or scan.bytes is None or scan.files < limits.small_file_min or scan.is_delta:
            continue
        mean = scan.bytes / scan.files
        if mean >= limits.small_file_bytes:
            continue
        stages = [profile(run).stage(row) for row in profile(run).stages_of(scan.node.plan)]
        listing = [s for s in profile(run).stages if s.listed is not None and scan.location and scan.location in s.listed]
        stages = [s for s in [*stages, *listing] if s.n]
        spent = sum(s.total_ms for s in stages)
        if not stages or spent / run.slots_max < max(limits.min_lost_ms / 2, limits.min_wall_ratio * run.wall_ms):
            continue
        wanted = max(-(-scan.bytes // limits.target_bytes), 1)
        worst = max(stages, key=lambda s: s.total_ms)
        opening = limits.file_open_bytes / (limits.file_open_bytes + mean)
        yield Observation(
            code="small-files-read",
            where=worst.where.model_copy(
                update={"node_id": scan.node.node_id, "sql_id": scan.execution.sql_id, "table": scan.table or scan.location or None}
            ),
            evidence=(
                Evidence(metric="files", value=scan.files, limit=limits.small_file_min, unit="count"),
                Evidence(metric="mean size", value=mean, limit=limits.small_file_bytes, unit="bytes"),
                Evidence(metric="time of the tasks that list and read them", value=spent, limit=None, unit="ms"),
            ),
            remedy=RemoveShare(
                stages=tuple(s.ref for s in stages), of="compute", ratio=round(opening * (1 - min(wanted / scan.files, 1.0)) * 0.9, 3)
            ),
            changes=code(
                "compact",
                f"rewrite {scan.location or 'the table'} in {wanted} files of about 128 MiB",
                "stop when the mean file is above 32 MiB",
                to=f'spark.read.format("{scan.format}").load(src).repartition({wanted}).write.save(dst)',
            ),
        )


@rule("small-files-written", family="partition", limits=PartitionLimits, title="Many small files are written")
def small_files_written(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """The job leaves hundreds of files of a few kilobytes or megabytes, usually one per task and partition folder.

    Why it costs: creating, closing and committing each file takes milliseconds now, and every later reader pays for opening it.
    What to do: repartition by the partition columns before a partitioned write; else coalesce to bytes / 128 MiB files; for Delta turn on optimised writes.
    Blind spot: one file a folder is the least a partitioned table can have; then the partitioning itself is too fine.
    """
    for execution in profile(run).executions():
        for node in graph_of(execution.plan):
            files = metric(execution, node.plan, "number of written files")
            size = metric(execution, node.plan, "written output")
            if files is None or size is None or files < limits.small_file_min or size / files >= limits.small_file_bytes:
                continue
            folders = metric(execution, node.plan, "number of dynamic part") or 0
            wanted = max(-(-size // limits.target_bytes), folders, 1)
            if files < 2 * wanted and folders:
                wanted = max(-(-size // limits.target_bytes), 1)
            rows = [row for row, s in enumerate(run.stages.sql_row.tolist()) if s >= 0 and run.sql[s] is execution]
            stages = [s for row in rows if (s := profile(run).stage(row)).n and int(s.column("output_bytes").sum()) > 0]
            spent = sum(s.total_ms for s in stages)
            saved = (files - wanted) * min(limits.file_write_ms, limits.file_write_ratio * spent / files)
            yield Observation(
                code="small-files-written",
                where=(stages[0].where if stages else Where(sql_description=execution.description or None)).model_copy(
                    update={"node_id": node.node_id, "sql_id": execution.sql_id}
                ),
                evidence=(
                    Evidence(metric="files", value=files, limit=limits.small_file_min, unit="count"),
                    Evidence(metric="mean size", value=size / files, limit=limits.small_file_bytes, unit="bytes"),
                    Evidence(metric="partition folders", value=folders, limit=None, unit="count"),
                ),
                remedy=RemoveShare(stages=tuple(s.ref for s in stages), of="compute", ratio=round(saved / max(spent, 1), 3))
                if stages and saved > 0
                else None,
                severity_floor=Severity.LOW,
                changes=_by_row_limit(run, execution, node.plan, files)
                or code(
                    "repartition-before-write",
                    f"repartition by the partition columns before the write: about {wanted} files instead of {files}"
                    if folders
                    else f"repartition to {wanted} before the write",
                    "stop when the mean file is above 32 MiB",
                    to="df.repartition(<partition columns>).write.partitionBy(<partition columns>)…"
                    if folders
                    else f"df.repartition({wanted}).write…",
                ),
            )
    yield from _appended(run, limits)


_ROW_LIMIT = re.compile(r"\bmaxRecordsPerFile=(\d{1,15})\b", re.IGNORECASE)


def _by_row_limit(run: AppRun, execution: SqlExecution, plan: PlanNode, files: int) -> tuple[Change, ...]:
    """The limit of rows a file, where it is what cut the files: fewer partitions would leave as many of them."""
    option = next((match for node in walk(execution.plan) if (match := _ROW_LIMIT.search(node.text))), None)
    limit = int(option[1]) if option is not None else parse_count(run.conf("spark.sql.files.maxRecordsPerFile", "0") or "0") or 0
    rows = metric(execution, plan, "number of output rows")
    if not limit or rows is None or files < 0.8 * rows / limit:
        return ()
    stop = "stop when the mean file is above 32 MiB"
    if option is not None:
        return code("records-per-file", f"leave out maxRecordsPerFile={limit}: it cuts the output into {files} files", stop)
    return conf(run, "spark.sql.files.maxRecordsPerFile", "0", f"a file of {limit:,} rows at most: that makes {files:,} of them", stop)


_TARGET = re.compile(r"InsertInto\w*Command (\S+),")


def _appended(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """Tables that many small writes of this run went to, each of a few files: together they leave as many small files as one careless write."""
    written: dict[str, list[tuple[SqlExecution, int, int]]] = {}
    for execution in run.sql:
        for node in graph_of(execution.plan) if execution.plan is not None else ():
            files, size = metric(execution, node.plan, "number of written files"), metric(execution, node.plan, "written output")
            target = _TARGET.search(node.plan.text)
            if files and size is not None and files < limits.small_file_min and target is not None and "Append" in node.plan.text:
                written.setdefault(target[1], []).append((execution, files, size))
    for table, writes in sorted(written.items()):
        files, size = sum(f for _, f, _ in writes), sum(s for *_, s in writes)
        if len(writes) < limits.append_min_writes or files < limits.small_file_min or size / files >= limits.small_file_bytes:
            continue
        first = writes[0][0]
        yield Observation(
            code="small-files-written",
            where=Where(sql_id=first.sql_id, sql_description=first.description or None, call_site=first.description or None, table=table),
            evidence=(
                Evidence(metric="files", value=files, limit=limits.small_file_min, unit="count"),
                Evidence(metric="mean size", value=size / files, limit=limits.small_file_bytes, unit="bytes"),
                Evidence(metric="writes that appended them", value=len(writes), limit=limits.append_min_writes, unit="count"),
            ),
            severity_floor=Severity.LOW,
            occurrences=len(writes),
            changes=code(
                "gather-appends",
                f"append less often: gather the rows of these {len(writes)} writes and write them once, or coalesce each to one file and compact the table",
                "stop when the mean file is above 32 MiB",
                to="df.coalesce(1).write.mode('append')…",
            ),
            cause="many small appends to one table",
        )


_TIME_TYPES = ("date", "timestamp", "timestamp_ntz")

_CALENDAR = re.compile(
    r"(^|_)(day|date|dt|ds|year|month|week|hour|yyyy\w*)($|_)|(day|date|year|month|hour)$|^(loaded|ingest\w*|created|arriv\w*|received|snapshot\w*)(_|$)",
    re.IGNORECASE,
)
_DATED = re.compile(r"([A-Za-z_][\w$]*)#\d+L? (?:>=?|<=?|=) (\d{4}-\d{2}-\d{2})")
"""Names of partition columns that cut a table by time, and comparisons of a column with a date."""


@rule(
    "missing-partition-filter",
    family="partition",
    limits=PartitionLimits,
    title="A partitioned table is read whole although the query wants a part",
)
def missing_partition_filter(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """The table is laid out in partition folders and the query keeps few of its rows, but the filter does not name the partition columns as they are.

    Why it costs: every folder is listed, opened and read, and the rows are thrown away afterwards.
    What to do: filter on the partition column itself (day = '2024-05-01', not to_date(ts) = …), without a function or cast around it; keep both filters.
    Where a join with a filtered table keeps few folders, leave spark.sql.optimizer.dynamicPartitionPruning.enabled on.
    Blind spot: a filter on other columns is not blamed unless it is on a date or time, or mentions the partition column inside an expression; a join only
    where it is on the partition column and the other side is filtered.
    """
    for scan in scans(run, heavy=True):
        if (scan.partitions_read or 0) < limits.min_partitions_read or not scan.rows or _prunes(scan):
            continue
        condition = filter_above(scan)
        beside: tuple[str, ...] = ()
        if condition is None or not _should_prune(scan, condition.plan.text):
            condition, beside = _selective_join(scan)
        if condition is None:
            continue
        kept = metric(scan.execution, condition.plan, "number of output rows")
        share = None if kept is None else _kept_ratio(scan, kept, limits)
        if share is None or share > limits.filter_keeps_ratio:
            continue
        stages = [s for row in profile(run).stages_of(scan.node.plan) if (s := profile(run).stage(row)).n]
        spent = sum(s.total_ms for s in stages)
        if not stages or spent / run.slots_max < limits.min_wall_ratio * run.wall_ms:
            continue
        worst = max(stages, key=lambda s: s.total_ms)
        column = scan.partition_columns[0] if scan.partition_columns else "the partition column"
        yield Observation(
            code="missing-partition-filter",
            where=worst.where.model_copy(
                update={"node_id": scan.node.node_id, "sql_id": scan.execution.sql_id, "table": scan.table or scan.location or None}
            ),
            evidence=(
                Evidence(metric="partitions read", value=scan.partitions_read or 0, limit=limits.min_partitions_read, unit="count"),
                *_of_the_rows(scan, kept, share, limits),
            ),
            remedy=RemoveShare(
                stages=tuple(s.ref for s in stages), of="compute", ratio=round(limits.prune_removable_ratio * (1 - share), 3)
            ),
            changes=_pruning(run, beside, column) if beside else _filter_on(column),
        )


_DYNAMIC_PRUNING = "spark.sql.optimizer.dynamicPartitionPruning.enabled"
_ROWS_PASS = ("ColumnarToRow", "Project", "InputAdapter", "Filter", "Sort", "AQEShuffleRead", "BatchEvalPython", "ArrowEvalPython")
_ON_THE_WAY = 12
"""Operators between a scan and its join; the plan of a hostile log may lead round in a circle."""

_JOIN_KEYS = re.compile(r"\w+Join \[([^\]]*)\], \[([^\]]*)\]")
_COLUMN = re.compile(r"([A-Za-z_][\w$]*)#\d+")
_SELECTIVE = re.compile(r"[<>=]|\b(?:IN|INSET|LIKE|RLIKE)\b|StartsWith|EndsWith|Contains")
_NOT_NULL = re.compile(r"isnotnull\([^()]*\)")


def _filtered_while_parsed(scan: Scan, kept: int) -> bool:
    """Whether the scan counted only what its filter keeps, as the text formats do."""
    return scan.format in ("csv", "json") and kept == scan.rows and bool(scan.bytes)


def _kept_ratio(scan: Scan, kept: int, limits: PartitionLimits) -> float:
    """Rows kept / rows read; where only those kept were counted, the most it can be by the bytes read for each."""
    if _filtered_while_parsed(scan, kept):
        return min(limits.text_row_bytes * kept / max(scan.bytes or 0, 1), 1.0)
    return kept / max(scan.rows or 0, 1)


def _of_the_rows(scan: Scan, kept: int | None, share: float, limits: PartitionLimits) -> tuple[Evidence, ...]:
    most = 100 * limits.filter_keeps_ratio
    if kept is not None and _filtered_while_parsed(scan, kept):
        each = (scan.bytes or 0) / max(kept, 1)
        return (
            Evidence(metric="bytes read for each row kept", value=each, limit=limits.text_row_bytes, unit="bytes"),
            Evidence(metric="rows kept, at most", value=100.0 * share, limit=most, unit="percent"),
            Evidence(metric="rows kept", value=kept, limit=None, unit="count"),
        )
    return (
        Evidence(metric="rows kept", value=100.0 * share, limit=most, unit="percent"),
        Evidence(metric="rows read", value=scan.rows or 0, limit=None, unit="count"),
    )


def _filter_on(column: str) -> tuple[Change, ...]:
    return code(
        "partition-filter",
        f"add a filter on {column} itself, without a function or cast around it",
        "stop when PartitionFilters in the plan is not empty",
        to=f'.where("{column} = …")',
    )


def _pruning(run: AppRun, filters: tuple[str, ...], column: str) -> tuple[Change, ...]:
    """Let the filters of the joined table choose the folders, where that is switched off and Spark would take them for selective (`isLikelySelective`)."""
    off = (run.conf(_DYNAMIC_PRUNING, "true") or "").strip().lower() == "false"
    if not off or not any(_SELECTIVE.search(text) for text in filters):
        return _filter_on(column)
    stop = "stop when PartitionFilters in the plan holds dynamicpruning"
    return conf(run, _DYNAMIC_PRUNING, "true", "the folders that the joined table keeps are known before this one is read", stop)


def _selective_join(scan: Scan) -> tuple[GraphNode | None, tuple[str, ...]]:
    """The first join that takes the scan's rows, where it is on a partition column, and the filters of its other side: both or neither."""
    at, before = scan.node, scan.node
    for _ in range(_ON_THE_WAY):
        above = scan.graph.outputs(at.node_id)
        if len(above) != 1 or not (at is scan.node or at.name in _ROWS_PASS or "Exchange" in at.name):
            return None, ()
        before, at = at, above[0]
        if "Join" in at.name:
            break
    keys = _JOIN_KEYS.match(at.plan.text)
    sides = scan.graph.inputs(at.node_id)
    if keys is None or len(sides) != 2:
        return None, ()
    own = 0 if sides[0] is before else 1
    if not set(_COLUMN.findall(keys[own + 1])) & set(scan.partition_columns):
        return None, ()
    texts = [_NOT_NULL.sub("", node.text) for node in walk(sides[1 - own].plan) if node.name == "Filter"]
    filters = tuple(text for text in texts if "#" in text)
    return (at, filters) if filters else (None, ())


def _prunes(scan: Scan) -> bool:
    """Whether the scan has a partition filter that can leave folders out; isnotnull cannot."""
    parts = [p for p in re.split(r",\s*(?![^()]*\))", scan.partition_filters.strip("[] ")) if p.strip()]
    return any(not p.strip().startswith("isnotnull(") for p in parts)


def _should_prune(scan: Scan, condition: str) -> bool:
    """Whether the condition is about what the folders are cut by: it mentions a partition column, or a date or time of the row."""
    mentioned = set(_COLUMN.findall(condition))
    if mentioned & set(scan.partition_columns):
        return True
    by_time = not scan.partition_columns or any(_CALENDAR.search(c) for c in scan.partition_columns)
    dated = {name for name, _ in _DATED.findall(condition)}  # text that is compared with a date
    return by_time and any(scan.read_schema.get(c) in _TIME_TYPES or c in dated for c in mentioned)
