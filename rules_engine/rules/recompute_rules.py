"""Work that is done again and again: the same query, the same DataFrame under several actions, the same RDD."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from spark_copilot.rules_engine.facts import MISSING, AppRun, PlanNode, SqlExecution
from spark_copilot.rules_engine.findings import Cache, Evidence, Observation, RemoveShare, Where
from spark_copilot.rules_engine.limits import PlanLimits
from spark_copilot.rules_engine.plans import walk
from spark_copilot.rules_engine.profile import Stage, call_site, profile
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code
from spark_copilot.rules_engine.rules.shared_work import EXPRESSION_ID, OF_A_STREAM, OF_AN_RDD, Chain, chains, costly, shared_ratio

SHARED = "several actions on one DataFrame that is not cached"
"""The cause where different queries begin with the same work."""

_CONSTANT = re.compile(r"'[^']*'|(?<![\w#])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?L?\b")
_WRITES = re.compile(r"Execute (?:InsertInto|Save|Create)|AppendData|OverwriteByExpression|OverwritePartitionsDynamic")
_CHOOSE = ("Filter", "Scan", "FileScan", "BatchScan", "Photon", "GlobalLimit", "LocalLimit", "CollectLimit", "TakeOrdered", "Sample")
"""Operators whose constants say which rows are wanted. Another constant elsewhere makes another value of each row, and the work is only partly the same."""
_MADE_HERE = ("Range", "LocalTableScan")
"""Leaves whose constants are the data itself."""


def _shape(plan: PlanNode) -> tuple[str, tuple[tuple[str, bool], ...]]:
    """A plan without ids: its text with constants taken out, and the constants in order, each with whether it chooses rows."""
    parts: list[str] = []
    constants: list[tuple[str, bool]] = []
    writes = False
    for node in walk(plan):
        if node.name in ("AdaptiveSparkPlan", "ResultQueryStage") or node.name.startswith("WholeStageCodegen"):
            continue
        text = EXPRESSION_ID.sub("", node.text)
        if _WRITES.match(node.name):
            writes = True
            parts.append(node.name)  # where the rows go is not how they are made
            continue
        if not node.children and (writes or node.name in _MADE_HERE):
            # Other rows, not the same again. What is written by a loop is a part each time: only of the same rows it is the same work.
            read = (node.metadata.get(name, "") for name in ("Location", "PartitionFilters", "PushedFilters"))
            parts.append("|".join((node.name, text, *read)))
            continue
        if node.name == "Exchange" and "REPARTITION_BY_NUM" in text:
            parts.append(f"{node.name}|{text}")  # another number of partitions that someone asked for is another table
            continue
        if location := node.metadata.get("Location"):
            parts.append(location)
        chooses = node.name.startswith(_CHOOSE)
        constants += [(constant, chooses) for constant in _CONSTANT.findall(text)]
        parts.append(f"{node.name}|{_CONSTANT.sub('?', text)}|{len(node.children)}")
    return "\n".join(parts), tuple(constants)


def _same_but_for_one(constants: tuple[tuple[str, bool], ...], others: tuple[tuple[str, bool], ...]) -> bool:
    """Whether all constants are the same, or all but one that chooses rows, wherever else that stands."""
    differ = [(a, b, chooses) for (a, chooses), (b, _) in zip(constants, others, strict=True) if a != b]
    return not differ or (len({(a, b) for a, b, _ in differ}) == 1 and any(chooses for *_, chooses in differ))


def _rdds_read(run: AppRun, plan: PlanNode, stages: list[Stage]) -> str:
    """Which RDDs a plan begins with: its text calls all of them the same, so two tables that a program made look like one."""
    if not any(node.name.startswith(OF_AN_RDD) for node in walk(plan)):
        return ""
    return f"\n{min((_first_rdd(run, s) for s in stages), default=MISSING)}"


_RUN_ID = re.compile(r"\brunId = [0-9a-f-]{36}\b(?:\s+batch = \d+)?")
_MOST_IN_BATCHES = 1_000
"""Queries of micro-batches that are compared: a stream goes on for days, and its batches are alike."""

_BATCH = re.compile(r"\s+batch = \d+")

_CACHE = code(
    "cache",
    "cache the shared DataFrame before its first action and unpersist it after the last",
    "undo when cached blocks are evicted or the heap runs full",
    to="shared = df.cache()",
)


@rule("recomputed-data", family="plan", limits=PlanLimits, title="The same query is computed again and again")
def recomputed_data(run: AppRun, limits: PlanLimits) -> Iterator[Observation]:
    """Several actions ran the same plan (or plans that differ in one constant), or plans that begin with the same costly work, each from the beginning.

    Why it costs: scans, joins and functions that were done are done again.
    What to do: cache or checkpoint the shared DataFrame before its first action, write it once and read it back, or ask all questions in one action.
    Blind spot: a plan that reads from a cache is not counted; whether the shared result fits in memory is yours to judge; a loop over different inputs looks alike when only one constant differs.
    """
    stages_of: dict[int, list[Stage]] = defaultdict(list)
    for row, sql_row in enumerate(run.stages.sql_row.tolist()):
        if sql_row >= 0 and (stage := profile(run).stage(row)).n:
            stages_of[sql_row].append(stage)
    groups: dict[str, list[tuple[tuple[tuple[str, bool], ...], int]]] = defaultdict(list)
    for position, execution in enumerate(run.sql):
        if (
            execution.first_plan is None
            or _of_a_batch(execution)
            or any(n.name == "InMemoryTableScan" or OF_A_STREAM.search(n.name) for n in walk(execution.first_plan))
        ):
            continue
        shape, constants = _shape(execution.first_plan)
        shape += _rdds_read(run, execution.first_plan, stages_of[position])
        if shape.count("\n") >= 1:
            groups[shape].append((constants, position))
    told: set[int] = set()
    for same in groups.values():
        first = same[0][0]
        # One constant may stand in a filter and again where the filter was pushed to.
        alike = [p for constants, p in same if _same_but_for_one(constants, first)]
        repeats = [s for position in alike[1:] for s in stages_of[position]]
        if len(alike) < 2 or not repeats:
            continue
        spent = sum(max((s.span_ms for s in stages_of[p]), default=0) for p in alike[1:])
        if spent < limits.repeat_min_wall_ratio * run.wall_ms:
            continue
        told.update(alike[1:])
        execution = run.sql[alike[0]]
        worst = max(repeats, key=lambda s: s.total_ms)
        yield Observation(
            code="recomputed-data",
            where=Where(sql_id=execution.sql_id, sql_description=execution.description or None, call_site=call_site(run, worst.row)),
            evidence=(
                Evidence(metric="times computed", value=len(alike), limit=2, unit="count"),
                Evidence(metric="time of the repeats", value=spent, limit=limits.repeat_min_wall_ratio * run.wall_ms, unit="ms"),
            ),
            remedy=Cache(stages=tuple(s.ref for s in repeats)),
            changes=_CACHE,
            occurrences=len(alike) - 1,
            also=tuple(dict.fromkeys(int(run.stages.stage_id[s.row]) for s in repeats)),
        )
    yield from _shared(run, limits, told, stages_of)
    yield from _sampled(run, limits, stages_of)
    for stages in _rdd_repeats(run, limits):
        spent = sum(s.span_ms for s in stages[1:])
        if spent < limits.repeat_min_wall_ratio * run.wall_ms:
            continue
        yield Observation(
            code="recomputed-data",
            where=stages[0].where,
            evidence=(
                Evidence(metric="times computed", value=len(stages), limit=2, unit="count"),
                Evidence(metric="time of the repeats", value=spent, limit=limits.repeat_min_wall_ratio * run.wall_ms, unit="ms"),
            ),
            remedy=Cache(stages=tuple(s.ref for s in stages[1:])),
            changes=code(
                "cache",
                "persist the shared RDD before its first action and unpersist it after the last",
                "undo when cached blocks are evicted or the heap runs full",
                to="shared = rdd.persist()",
            ),
            occurrences=len(stages) - 1,
            also=tuple(int(run.stages.stage_id[s.row]) for s in stages[1:]),
            cause="actions on the same RDD",
        )


def _shared(run: AppRun, limits: PlanLimits, told: set[int], stages_of: Mapping[int, list[Stage]]) -> Iterator[Observation]:
    """Different queries that begin with the same costly work, each from the beginning; those that were said to repeat a whole query are left out."""
    groups: dict[str, list[tuple[int, float, bool]]] = defaultdict(
        list
    )  # by source: the query, how much had been done before, more than its source
    earlier: dict[str, list[Chain]] = defaultdict(list)
    heavy_of: dict[int, list[Stage]] = defaultdict(list)
    for stage in profile(run).stages:
        heavy_of[int(run.stages.sql_row[stage.row])].append(stage)
    in_batches = 0
    for position, execution in enumerate(run.sql):
        # What a micro-batch's function asks is of the batch's rows: shared within the batch, counted over all of them, of which each weighs little.
        batch = _batch(execution)
        if batch and position in stages_of and in_batches < _MOST_IN_BATCHES:
            heavy_of.setdefault(position, stages_of[position])
            in_batches += 1
        # A run may have thousands of queries; those that weigh nothing bring nothing back.
        if position not in heavy_of or execution.first_plan is None or position in told:
            continue
        own = chains(execution.first_plan, batch)
        heaviest = max(own, key=lambda chain: chain.weight + sum(step.weight for step in chain.steps), default=None)
        if heaviest is not None:
            groups[_BATCH.sub("", heaviest.source)].append(
                (position, *max((shared_ratio(heaviest, before) for before in earlier[heaviest.source]), default=(0.0, False)))
            )
        for chain in own:
            earlier[chain.source].append(chain)
    for found in groups.values():
        known = [(position, ratio) for position, ratio, more in found if ratio > 0 and (more or len(found) >= limits.shared_min_times)]
        again = [(position, ratio, heavy) for position, ratio in known if (heavy := heavy_of[position])]
        spent = sum(ratio * sum(s.span_ms for s in heavy) for _, ratio, heavy in again)
        repeats = [s for *_, heavy in again for s in heavy]
        often = len(again) + 1 >= limits.shared_min_times
        least = limits.shared_min_wall_ratio if often else limits.shared_twice_wall_ratio
        if not repeats or spent < max(least * run.wall_ms, limits.shared_min_ms):
            continue
        first = run.sql[found[0][0]]
        worst = max(repeats, key=lambda s: s.total_ms)
        whole = sum(s.span_ms for s in repeats)
        yield Observation(
            code="recomputed-data",
            where=Where(sql_id=first.sql_id, sql_description=first.description or None, call_site=call_site(run, worst.row)),
            evidence=(
                Evidence(metric="queries that begin with the same work", value=len(again) + 1, limit=2, unit="count"),
                Evidence(metric="time of the repeats", value=round(spent), limit=least * run.wall_ms, unit="ms"),
            ),
            remedy=RemoveShare(
                stages=tuple(s.ref for s in repeats), of="compute", ratio=round(limits.shared_removable_ratio * spent / whole, 3)
            ),
            changes=_CACHE,
            occurrences=len(again),
            also=tuple(dict.fromkeys(int(run.stages.stage_id[s.row]) for s in repeats)),
            cause=SHARED,
        )


def _sampled(run: AppRun, limits: PlanLimits, stages_of: Mapping[int, list[Stage]]) -> Iterator[Observation]:
    """Sorts by ranges look for the bounds of the ranges first, in a job that computes all that is to be sorted, and then compute it again."""
    for position, execution in enumerate(run.sql):
        if not _sorts_costly_rows(execution):
            continue
        samples: dict[tuple[int, int], Stage] = {}
        for whole in sorted(stages_of.get(position, ()), key=lambda s: int(run.stages.submitted_ms[s.row])):
            work = (whole.declared, _first_rdd(run, whole))
            if not _writes_shuffle(whole):
                samples.setdefault(work, whole)
                continue
            sample = samples.get(work)
            if sample is None or run.stages.job_row[sample.row] == run.stages.job_row[whole.row]:
                continue
            least = max(limits.sampled_min_wall_ratio * run.wall_ms, limits.sampled_min_ms)
            if min(sample.span_ms, whole.span_ms) < least:
                continue
            yield Observation(
                code="recomputed-data",
                where=whole.where,
                evidence=(
                    Evidence(metric="times computed", value=2, limit=2, unit="count"),
                    Evidence(metric="time of the first", value=sample.span_ms, limit=least, unit="ms"),
                    Evidence(metric="time of the second", value=whole.span_ms, limit=least, unit="ms"),
                ),
                remedy=RemoveShare(stages=(whole.ref,), of="compute", ratio=limits.shared_removable_ratio),
                changes=code(
                    "cache-before-sort",
                    "cache or write what is sorted before sorting it, or sort by a column that costs nothing to compute",
                    "undo when cached blocks are evicted or the heap runs full",
                    to="df.cache().orderBy(…)",
                ),
                cause="a sort finds its ranges in a pass of its own",
            )
            break


def _sorts_costly_rows(execution: SqlExecution) -> bool:
    nodes = list(walk(execution.first_plan)) if execution.first_plan is not None else []
    return any(
        node.name == "Exchange" and "rangepartitioning(" in node.text and any(costly(below) for below in _of_its_stage(node))
        for node in nodes
    )


def _of_its_stage(exchange: PlanNode) -> Iterator[PlanNode]:
    """The operators below an exchange, down to the next ones."""
    todo = list(exchange.children)
    while todo:
        node = todo.pop()
        yield node
        if "Exchange" not in node.name and "QueryStage" not in node.name:
            todo.extend(node.children)


def _first_rdd(run: AppRun, stage: Stage) -> int:
    return min((r.rdd_id for r in run.stages.rdds[stage.row]), default=MISSING)


def _writes_shuffle(stage: Stage) -> bool:
    return bool(stage.run.tasks.shuffle_write_bytes is not None and stage.column("shuffle_write_bytes").any())


def _of_a_batch(execution: SqlExecution) -> bool:
    """Whether a streaming query asked for it: the same plan on the next rows, even where the plan itself does not show the stream (foreachBatch)."""
    return bool(_batch(execution))


def _batch(execution: SqlExecution) -> str:
    """The run and number of the micro-batch that asked; empty for others."""
    found = _RUN_ID.search(execution.description)
    return found[0] if found else ""


def _rdd_repeats(run: AppRun, limits: PlanLimits) -> list[list[Stage]]:
    """Stages outside SQL that start from the same uncached RDD, in as many tasks of about the same time: the same lineage walked again, in order of time."""
    groups: dict[tuple[int, int], list[Stage]] = defaultdict(list)
    for stage in profile(run).stages:
        rdds = run.stages.rdds[stage.row]
        if stage.sql is not None or not rdds or any("Memory" in r.storage_level or "Disk" in r.storage_level for r in rdds):
            continue
        source = min(r.rdd_id for r in rdds)
        groups[source, stage.declared].append(stage)
    alike = []
    for stages in groups.values():
        stages.sort(key=lambda s: (int(run.stages.submitted_ms[s.row]), s.ref))
        usual = float(np.median([np.median(s.ms) for s in stages]))
        same = [s for s in stages if usual / limits.repeat_like_ratio <= float(np.median(s.ms)) <= usual * limits.repeat_like_ratio]
        jobs = {int(run.stages.job_row[s.row]) for s in same}
        if len(jobs) == len(same) >= 2:
            alike.append(same)
    return alike
