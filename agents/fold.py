"""One finding a cause: the same code at the same place folded over its stages, and what another finding explains better left out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from spark_copilot.rules_engine.findings import (
    Broadcast,
    Cache,
    CutTail,
    Observation,
    RemoveShare,
    Repartition,
    SkipStages,
    Where,
    normalised,
)
from spark_copilot.rules_engine.rules.executor_rules import COMMITS
from spark_copilot.rules_engine.rules.recompute_rules import SHARED

_BY_STAGES = (CutTail, Repartition, RemoveShare, Cache, SkipStages, Broadcast)

EXPLAINS: dict[str, tuple[str, ...]] = {
    "single-partition-window": ("too-few-partitions", "data-skew", "spill", "straggler-tasks", "oversized-partitions"),
    "unsplittable-input": ("too-few-partitions", "oversized-partitions", "straggler-tasks", "data-skew"),
    "cartesian-or-nested-loop-join": ("row-explosion", "too-few-partitions", "data-skew", "straggler-tasks", "broadcast-missed"),
    "row-explosion": ("data-skew", "straggler-tasks", "spill", "broadcast-missed", "too-few-partitions"),
    "row-explosion: explode": ("spill", "broadcast-missed"),
    "data-skew": ("straggler-tasks", "spill", "oversized-partitions", "gc-pressure"),
    "slow-node": ("straggler-tasks",),
    "locality-wait": ("straggler-tasks", "too-few-partitions"),
    "small-files-read": ("too-many-small-tasks", "task-overhead", "missing-partition-filter"),
    "too-many-small-tasks": ("task-overhead: None",),
    "out-of-memory": ("task-failures",),
    "job-failed": ("task-failures",),
    "task-failures": ("straggler-tasks",),
    "oversized-partitions": ("spill", "too-few-partitions"),
    "missing-partition-filter": (f"recomputed-data: {SHARED}",),
}
"""Code, or code and cause -> what says less about the same stages, by code or by code and cause: where both stand, only the first is kept.

With a cause it is the whole entry.
"""

EXPLAINS_RUN: dict[str, tuple[str, ...]] = {
    "executor-lost": ("allocation-churn",),
    "allocation-churn": ("idle-executors", "driver-bound"),
    "speculation-waste": ("straggler-tasks",),
    "locality-wait": ("idle-executors",),
    "large-driver-result": ("driver-bound",),
    "broadcast-too-large": ("driver-bound", "large-driver-result"),
    "batch-slower-than-trigger": ("driver-bound",),
    "state-growth": ("gc-pressure",),
    "out-of-memory: Java heap": ("gc-pressure",),
    "small-files-written": (f"driver-bound: {COMMITS}",),
}
"""The same for findings that speak of the whole run."""


def fold(observed: Iterable[Observation]) -> list[Observation]:
    """Sorted by key, so that the order in which agents ended never shows."""
    kept = _unexplained(sorted(observed, key=lambda o: (o.key, o.model_dump_json())))
    groups: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for seen in kept:
        groups[seen.code, _place(seen.where)].append(seen)
    return sorted((_one(same) for same in groups.values()), key=lambda o: o.key)


def _place(where: Where) -> str:
    return (
        where.setting
        or where.executor_id
        or where.table
        or normalised(where.call_site or "")
        or normalised(where.sql_description or "")
        or "app"
    )


def _stages(seen: Observation) -> frozenset[str]:
    if isinstance(seen.remedy, _BY_STAGES):
        return frozenset(seen.remedy.stages)
    return frozenset({f"{seen.where.stage_id}.{seen.where.stage_attempt}"}) if seen.where.stage_id is not None else frozenset()


def _said(table: Mapping[str, tuple[str, ...]], seen: Observation) -> tuple[str, ...]:
    return table.get(f"{seen.code}: {seen.cause}", table.get(seen.code, ()))


def _unexplained(observed: Sequence[Observation]) -> list[Observation]:
    kept = []
    changed = {c.key for seen in observed if seen.where.setting is None for c in seen.changes if c.kind == "conf"}
    for seen in observed:
        if seen.where.setting in changed:
            continue  # what it costs is said by the finding that changes it
        stages, names = _stages(seen), {seen.code, f"{seen.code}: {seen.cause}"}
        better = any(
            (not names.isdisjoint(_said(EXPLAINS, other)) and stages & _stages(other)) or not names.isdisjoint(_said(EXPLAINS_RUN, other))
            for other in observed
        )
        if not better:
            kept.append(seen)
    return kept


def _weight(seen: Observation) -> float:
    return max((e.value for e in seen.evidence if e.unit == "ms"), default=0.0)


def _one(same: list[Observation]) -> Observation:
    """The worst stands for all; its remedy covers every stage."""
    if len(same) == 1:
        return same[0]
    worst = max(same, key=_weight)
    remedy = worst.remedy
    if isinstance(remedy, _BY_STAGES):
        stages = tuple(dict.fromkeys(ref for seen in same if isinstance(seen.remedy, type(remedy)) for ref in seen.remedy.stages))
        remedy = remedy.model_copy(update={"stages": stages})
    also = tuple(
        dict.fromkeys(
            a
            for seen in same
            for a in ((seen.where.stage_id,) if seen is not worst else ()) + seen.also
            if a is not None and a != worst.where.stage_id
        )
    )
    return worst.model_copy(update={"occurrences": sum(seen.occurrences for seen in same), "also": also, "remedy": remedy})
