"""Too few, too many, too large partitions, and windows that need only one."""

from collections.abc import Iterator

import numpy as np

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change, Evidence, Observation, RemoveShare, Repartition, Severity
from spark_copilot.rules_engine.limits import PartitionLimits
from spark_copilot.rules_engine.plans import PlanGraph, graph_of
from spark_copilot.rules_engine.profile import Stage, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf, partitions_for
from spark_copilot.rules_engine.rules.scans import unsplit_stages
from spark_copilot.rules_engine.rules.shuffle_keys import counted_in_code
from spark_copilot.rules_engine.units import parse_count


def _rows_of(stage: Stage) -> int:
    """Rows the stage took in or put out, whichever is more; 0 where nothing was counted (Python RDDs)."""
    return int(max(stage.read_records.sum(), (stage.column("output_records") + stage.column("shuffle_write_records")).sum()))


def window_stages(run: AppRun, limits: PartitionLimits) -> dict[int, tuple[int, int]]:
    """Stage rows that compute a window over one partition -> (sql row, node id)."""
    found: dict[int, tuple[int, int]] = {}
    known = profile(run)
    for position, execution in enumerate(run.sql):
        graph = graph_of(execution.plan)
        for node in graph:
            if node.name == "Window" and _from_single_partition(graph, node.node_id):
                for row in known.stages_of(node.plan) or _stages_with_metrics_above(run, graph, node.node_id):
                    if int(known.stage(row).read_records.sum()) >= limits.window_min_rows:
                        found[row] = (position, node.node_id)
    return found


def _from_single_partition(graph: PlanGraph, node_id: int) -> bool:
    """Whether the node's rows come through an exchange into one partition, with only sorts and the like between."""
    for child in graph.inputs(node_id):
        if "Exchange" in child.name:
            return "SinglePartition" in child.plan.text
        if child.name in ("Sort", "Project", "AQEShuffleRead", "CustomShuffleReader", "Window", "Filter", "ColumnarToRow"):
            return _from_single_partition(graph, child.node_id)
    return False


def _stages_with_metrics_above(run: AppRun, graph: PlanGraph, node_id: int) -> list[int]:
    """A window has few metrics of its own: the stage of the sort or exchange that feeds it reads for it."""
    known = profile(run)
    for child in graph.inputs(node_id):
        if child.name in ("Sort", "Project", "Filter"):
            return known.stages_of(child.plan) or _stages_with_metrics_above(run, graph, child.node_id)
        if "Exchange" in child.name:
            return [row for row in known.stages_of(child.plan) if int(run.stages.n_tasks[row]) == 1]
    return []


def _a_part_only(run: AppRun, stage: Stage) -> bool:
    """Whether the job asked for some of the partitions that are there (take, show, head): its few tasks are meant."""
    last = max(run.stages.rdds[stage.row], key=lambda r: r.rdd_id, default=None)
    return last is not None and last.partitions > stage.declared


def _of_the_table_format(stage: Stage) -> bool:
    """Whether Delta reads its own log here: nothing the job can repartition."""
    return stage.sql is not None and "_delta_log" in stage.sql.physical_plan


@rule(
    "too-few-partitions",
    family="partition",
    limits=PartitionLimits,
    title="A stage has fewer tasks than there are cores, and cores stand idle",
)
def too_few_partitions(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """A stage can use as many cores as it has tasks; here it has fewer tasks than the cluster has cores.

    Why it costs: the cores without a task wait until the stage ends.
    What to do: raise the partitions before it: repartition, a smaller file split or advisory size, more JDBC partitions, no coalesce before heavy work.
    Blind spot: a stage of some dozens of rows gains nothing and is left alone, as is a job that asks for a part of the partitions only (take, show);
    a window without PARTITION BY and a file that cannot be split have codes of their own;
    where tasks count no rows (Python RDDs) the finding is less sure.
    """
    slots = run.slots_max
    taken = set(window_stages(run, limits)) | unsplit_stages(run, limits)
    for stage in profile(run).stages:
        if stage.row in taken or stage.declared >= slots or _a_part_only(run, stage) or _of_the_table_format(stage):
            continue
        rows = _rows_of(stage)
        if 0 < rows < limits.min_rows:
            continue
        span = stage.span_ms - (limits.warm_up_ms if stage.warms_up else 0)
        lost = span * (1.0 - stage.declared / slots)
        if lost < max(limits.min_lost_ms, limits.min_wall_ratio * run.wall_ms):
            continue
        wanted = partitions_for(run, int(stage.read_bytes.sum()), limits.target_bytes, limits.tasks_per_slot)
        if rows:
            wanted = min(wanted, max(rows // limits.min_rows, slots))
        yield Observation(
            code="too-few-partitions",
            where=stage.where,
            evidence=(
                Evidence(metric="tasks", value=stage.declared, limit=slots, unit="count"),
                Evidence(metric="cores", value=slots, limit=None, unit="count"),
                Evidence(metric="stage time", value=stage.span_ms, limit=None, unit="ms"),
                Evidence(metric="rows", value=float(rows), limit=limits.min_rows, unit="count"),
            ),
            remedy=Repartition(stages=(stage.ref,), partitions=int(wanted)),
            changes=_more_partitions(run, stage, int(wanted)),
        )


def _more_partitions(run: AppRun, stage: Stage, wanted: int) -> tuple[Change, ...]:
    stop = "stop when every core has a task; more than a few per core only adds overhead"
    changes: tuple[Change, ...] = ()
    shuffled = int((stage.column("shuffle_read_local_bytes") + stage.column("shuffle_read_remote_bytes")).sum())
    if shuffled and not counted_in_code(stage):
        setting = run.conf("spark.sql.shuffle.partitions", "200") or "200"
        if (count := parse_count(setting)) is not None and count < wanted:
            changes += conf(
                run,
                "spark.sql.shuffle.partitions",
                str(wanted),
                f"the shuffle made {stage.declared} partitions for {run.slots_max} cores",
                stop,
            )
        elif (run.conf("spark.sql.adaptive.enabled", "true") or "").lower() == "true":
            size = max(shuffled // wanted >> 20, 1)
            changes += conf(
                run,
                "spark.sql.adaptive.advisoryPartitionSizeInBytes",
                f"{size}m",
                "adaptive execution merged the partitions into too few",
                stop,
            )
            changes += conf(
                run, "spark.sql.adaptive.coalescePartitions.parallelismFirst", "true", "keep at least one partition a core", stop
            )
    elif not shuffled and int(stage.column("input_bytes").sum()):
        size = max(int(stage.column("input_bytes").sum()) // wanted >> 20, 1)
        changes += conf(
            run, "spark.sql.files.maxPartitionBytes", f"{size}m", f"{stage.declared} file splits for {run.slots_max} cores", stop
        )
    return changes + code(
        "repartition",
        f"call repartition({wanted}) before this step, and drop a smaller one or a coalesce that stands there",
        stop,
        to=f"df.repartition({wanted})",
    )


@rule(
    "too-many-small-tasks",
    family="partition",
    limits=PartitionLimits,
    title="Very many tasks of a few milliseconds: starting them costs more than their work",
)
def too_many_small_tasks(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """The stage is cut into far more tasks than cores, and each does next to nothing.

    Why it costs: every task is serialised, sent, started and answered for: some milliseconds each, paid thousands of times.
    What to do: fewer partitions: lower spark.sql.shuffle.partitions or leave it to adaptive execution, coalesce after a selective filter, compact the input.
    Blind spot: the cost of a task is learnt from the shortest tasks of the same log.
    """
    slots = run.slots_max
    small = []
    for stage in profile(run).stages:
        if stage.listed is not None:  # one task a folder, whatever is set
            continue
        many = stage.n >= max(limits.small_task_min, limits.small_task_per_slot * slots)
        if many and float(np.median(stage.ms)) <= limits.small_task_ms:
            small.append(stage)
    spent = sum(s.span_ms for s in small)
    if not small or spent < max(limits.min_lost_ms, limits.min_wall_ratio * run.wall_ms):
        return
    worst = max(small, key=lambda s: s.total_ms)
    wanted = partitions_for(run, int(worst.read_bytes.sum()), limits.target_bytes, limits.tasks_per_slot)
    stop = "stop when the median task takes a few hundred milliseconds"
    shuffled = int((worst.column("shuffle_read_local_bytes") + worst.column("shuffle_read_remote_bytes")).sum())
    changes: tuple[Change, ...] = ()
    if shuffled:  # nothing else is cut by these settings
        changes += conf(run, "spark.sql.adaptive.enabled", "true", "adaptive execution merges small shuffle partitions by itself", stop)
        setting = run.conf("spark.sql.shuffle.partitions", "200") or "200"
        if (count := parse_count(setting)) is not None and count > wanted:
            changes += conf(
                run, "spark.sql.shuffle.partitions", str(wanted), f"{worst.n:,} tasks of {np.median(worst.ms):.0f} ms each", stop
            )
    changes += code(
        "coalesce",
        f"call coalesce({wanted}) before this step, or repartition to {wanted} instead of {worst.n}",
        stop,
        to=f"df.coalesce({wanted})",
    )
    yield Observation(
        code="too-many-small-tasks",
        where=worst.where,
        evidence=(
            Evidence(metric="tasks", value=worst.n, limit=max(limits.small_task_min, limits.small_task_per_slot * slots), unit="count"),
            Evidence(metric="median task", value=float(np.median(worst.ms)), limit=limits.small_task_ms, unit="ms"),
            Evidence(metric="time of these stages", value=spent, limit=None, unit="ms"),
        ),
        remedy=Repartition(stages=tuple(s.ref for s in small), partitions=wanted),
        changes=changes,
        occurrences=len(small),
        also=tuple(int(run.stages.stage_id[s.row]) for s in small if s is not worst),
    )


@rule("oversized-partitions", family="partition", limits=PartitionLimits, title="Tasks that each read half a gigabyte and more")
def oversized_partitions(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """The usual task of this stage reads far more than the 128 MiB Spark aims at.

    Why it costs: large partitions spill, press on the heap, leave the last wave half empty, and make every retry dear.
    What to do: more partitions: a smaller file split size, more shuffle partitions, a lower advisory size.
    Blind spot: bytes are compressed bytes, so a partition can be large in memory without showing here; spill then speaks.
    """
    for stage in profile(run).stages:
        usual = float(np.median(stage.read_bytes))
        spilled = int(stage.column("disk_spilled_bytes").sum())
        if usual < limits.oversized_spill_bytes or (usual < limits.oversized_bytes and not spilled):
            continue
        wanted = partitions_for(run, int(stage.read_bytes.sum()), limits.target_bytes, limits.tasks_per_slot)
        if wanted <= stage.n:
            continue
        yield Observation(
            code="oversized-partitions",
            where=stage.where,
            evidence=(
                Evidence(metric="median bytes a task", value=usual, limit=limits.oversized_bytes, unit="bytes"),
                Evidence(metric="tasks", value=stage.n, limit=None, unit="count"),
                Evidence(metric="spilled to disk", value=spilled, limit=None, unit="bytes"),
            ),
            remedy=Repartition(stages=(stage.ref,), partitions=wanted),
            # What it costs when a task is repeated, or the heap gets smaller, no replay of this run shows.
            severity_floor=Severity.LOW,
            changes=_more_partitions(run, stage, wanted),
        )


@rule(
    "single-partition-window",
    family="partition",
    limits=PartitionLimits,
    title="A window without PARTITION BY sends every row through one task",
)
def single_partition_window(run: AppRun, limits: PartitionLimits) -> Iterator[Observation]:
    """A window function ordered over the whole table needs all rows in one place, so Spark moves them into a single partition.

    Why it costs: one core sorts and walks everything while the others stand idle, and the task spills first.
    What to do: add PARTITION BY where the question allows it; for running totals work per day and add the day's offset; for a row number use zipWithIndex or monotonically_increasing_id.
    Blind spot: a top-N over a window is pruned before the exchange and costs little; only windows that read many rows are named.
    """
    for row, (sql_row, node_id) in window_stages(run, limits).items():
        stage = profile(run).stage(row)
        if not stage.n or stage.span_ms < max(limits.min_lost_ms, limits.min_wall_ratio * run.wall_ms):
            continue
        where = stage.where.model_copy(update={"sql_id": run.sql[sql_row].sql_id, "node_id": node_id})
        rows = int(stage.read_records.sum())
        yield Observation(
            code="single-partition-window",
            where=where,
            evidence=(
                Evidence(metric="rows through one task", value=rows, limit=limits.window_min_rows, unit="count"),
                Evidence(metric="its time", value=stage.span_ms, limit=None, unit="ms"),
            ),
            remedy=RemoveShare(stages=(stage.ref,), of="compute", ratio=round(limits.window_removable_ratio * (1 - 1 / run.slots_max), 3)),
            severity_floor=Severity.LOW if rows >= limits.window_plain_rows else None,
            changes=code(
                "window",
                "give the window a PARTITION BY, or compute per group and combine",
                "stop when the stage has a task a core",
                to="Window.partitionBy(key).orderBy(...)",
            ),
        )
