"""What-if: the recorded run under other sizes, settings, or with findings mended, each as an interval of wall clock."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from spark_copilot.ml.cost import Pricing, alternatives, size_cost
from spark_copilot.ml.simulator import Simulator
from spark_copilot.orchestration.analyse import analyse_run
from spark_copilot.orchestration.report_builder import application
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import (
    ApplicationInfo,
    Change,
    Interval,
    Money,
    Remedy,
    RemoveShare,
    Repartition,
    Resize,
    Value,
)
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.rules.changes import has_already
from spark_copilot.rules_engine.units import parse_bytes, parse_count, show_money, show_ms

KNEE_GAIN = 0.05
"""Beyond the knee another executor brings less than this share of the wall clock."""

BASE_WIDTH, WIDTH_PER_DOUBLING = 0.04, 0.02
"""Half width of an interval at the recorded size, and what each doubling or halving away from it adds, as shares of the wall clock."""


class Observed(Value):
    """The recorded size."""

    executors: int
    cores_per_executor: int
    wall_ms: float


class ReplayCheck(Value):
    """The recorded run replayed: how far the replay is from the record."""

    wall_ms: float
    error_ratio: float


class Knee(Value):
    """The size beyond which more executors hardly help."""

    executors: int


class Point(Value):
    """One size with its wall clock; `notes` say what the point rests on."""

    executors: int
    cores_per_executor: int
    settings: dict[str, str] = Field(default_factory=dict)
    wall_ms: Interval
    cost: Money | None = None
    notes: tuple[str, ...] = ()


class WhatIf(Value):
    """The answer of `whatif`."""

    schema_version: Literal[1] = 1
    application: ApplicationInfo
    observed: Observed
    replay: ReplayCheck
    knee: Knee | None
    cannot_reason_about: tuple[str, ...]
    points: tuple[Point, ...]


def what_if(
    run: AppRun,
    *,
    executors: Sequence[int] = (),
    cores: int | None = None,
    settings: Mapping[str, str] | None = None,
    apply: Sequence[str] = (),
    pricing: str | None = None,
    deadline_ms: float | None = None,
    budget: float | None = None,
) -> WhatIf:
    """Replay a run under each size, with these settings and with the findings of these keys mended; with a price list, the cost of each.

    The size that is best under a deadline (the cheapest that surely ends in time) and under a budget (the fastest that surely stays in it) says so in its notes.

    Raises:
        UsageError: a size below 1, a key that is no finding of this run, no such price list, or a budget without one.
    """
    if any(n < 1 for n in executors) or (cores is not None and cores < 1):
        raise UsageError("executors and cores are at least 1")
    if budget is not None and pricing is None:
        raise UsageError("a budget needs prices", hint="--pricing NAME or FILE; docs/cost.md lists the names")
    prices = Pricing.of(pricing, run) if pricing is not None else None
    simulator = Simulator(run)
    observed = _observed(run)
    remedies = [*_of_findings(run, apply)]
    known, unknown, asked_executors, asked_cores = _of_settings(run, settings or {})
    remedies += known
    cores = cores or asked_cores
    sizes = sorted(set(executors)) or [asked_executors or observed.executors]
    points = [_point(simulator, observed, n, cores, remedies, settings or {}, unknown) for n in sizes]
    if prices is not None:
        points = [_priced(point, run, prices) for point in points]
    points = _noted(points, _best(points, deadline_ms, budget))
    return WhatIf(
        application=application(run),
        observed=observed,
        replay=ReplayCheck(wall_ms=round(simulator.base.wall_ms), error_ratio=round(simulator.error_ratio, 4)),
        knee=_knee(points),
        cannot_reason_about=tuple(unknown),
        points=tuple(points),
    )


def _observed(run: AppRun) -> Observed:
    if run.local_cores is not None:
        return Observed(executors=1, cores_per_executor=run.local_cores, wall_ms=run.wall_ms)
    per = [int(c) for c, driver in zip(run.executors.cores.tolist(), run.executors.is_driver.tolist(), strict=True) if c > 0 and not driver]
    return Observed(executors=max(run.executors_max, 1), cores_per_executor=max(set(per), key=per.count) if per else 1, wall_ms=run.wall_ms)


def _point(
    simulator: Simulator,
    observed: Observed,
    executors: int,
    cores: int | None,
    remedies: Sequence[Remedy],
    settings: Mapping[str, str],
    unknown: Sequence[str],
) -> Point:
    run = simulator.run
    per = cores or observed.cores_per_executor
    same_size = executors == observed.executors and per == observed.cores_per_executor
    asked = list(remedies) if same_size else [Resize(executors=executors, cores=per), *remedies]
    mid = simulator.wall_ms(asked, "mid") if asked else float(run.wall_ms)
    if remedies:
        low, high = simulator.wall_ms(asked, "high"), simulator.wall_ms(asked, "low")
    else:
        low = high = mid
    away = abs(math.log2(executors * per / (observed.executors * observed.cores_per_executor)))
    width = (BASE_WIDTH + WIDTH_PER_DOUBLING * away + simulator.error_ratio) * mid
    notes = []
    if run.local_cores is not None and not same_size:
        notes.append("the log is of local mode: executors scale the slots of the one process")
    if executors > observed.executors:
        notes.append("executors beyond the recorded ones are taken to arrive with the last of them")
    if not run.complete:
        notes.append("the log has no end: times are up to its last event")
    return Point(
        executors=executors,
        cores_per_executor=per,
        settings={k: v for k, v in settings.items() if k not in unknown},
        wall_ms=Interval(low=round(max(min(low, mid) - width, 0)), mid=round(mid), high=round(max(high, mid) + width)),
        notes=tuple(notes),
    )


def _priced(point: Point, run: AppRun, prices: Pricing) -> Point:
    money = size_cost(run, prices, point.executors, point.cores_per_executor, point.wall_ms)
    recorded = point.executors == _observed(run).executors and point.cores_per_executor == _observed(run).cores_per_executor
    notes = (*point.notes, f"prices: {prices.label}", *(alternatives(run, prices) if recorded else ()))
    return point.model_copy(update={"cost": money, "notes": notes})


def _best(points: Sequence[Point], deadline_ms: float | None, budget: float | None) -> dict[int, list[str]]:
    """Index of the point that is best under the deadline, and under the budget, with the sentence that says so."""
    said: dict[int, list[str]] = {}
    if deadline_ms is not None:
        in_time = [i for i, p in enumerate(points) if p.wall_ms.high <= deadline_ms]
        if in_time:
            best = min(in_time, key=lambda i: (points[i].cost.mid if points[i].cost else 0.0, points[i].executors))  # type: ignore[union-attr]
            word = "cheapest" if points[best].cost is not None else "smallest"
            said.setdefault(best, []).append(f"the {word} asked size that surely ends in {show_ms(deadline_ms)}")
    if budget is not None:
        within = [i for i, p in enumerate(points) if p.cost is not None and p.cost.high <= budget]
        if within:
            best = min(within, key=lambda i: (points[i].wall_ms.mid, points[i].executors))
            money = points[best].cost
            said.setdefault(best, []).append(
                f"the fastest asked size that surely costs no more than {show_money(budget, money.currency if money else '')}"
            )
    return said


def _noted(points: Sequence[Point], said: Mapping[int, Sequence[str]]) -> list[Point]:
    return [p.model_copy(update={"notes": (*p.notes, *said.get(i, ()))}) for i, p in enumerate(points)]


def _knee(points: Sequence[Point]) -> Knee | None:
    """The smallest asked size from which each further one brings less than `KNEE_GAIN` a doubling; None for fewer than two sizes."""
    if len(points) < 2:
        return None
    for here, there in itertools.pairwise(points):
        doublings = max(math.log2(there.executors / here.executors), 0.01)
        if (here.wall_ms.mid - there.wall_ms.mid) / max(here.wall_ms.mid, 1) / doublings < KNEE_GAIN:
            return Knee(executors=here.executors)
    return Knee(executors=points[-1].executors)


def _of_findings(run: AppRun, keys: Sequence[str]) -> list[Remedy]:
    if not keys:
        return []
    found = {f.key: f for f in analyse_run(run).findings}
    missing = [k for k in keys if k not in found]
    if missing:
        raise UsageError(
            f"no finding {missing[0]!r} in this run", hint="known: " + ", ".join(found) if found else "the run has no findings"
        )
    return [remedy for k in keys if (remedy := found[k].remedy) is not None]


def _of_settings(run: AppRun, settings: Mapping[str, str]) -> tuple[list[Remedy], list[str], int | None, int | None]:
    """Remedies for the settings the replay can reason about, the keys it cannot, and the size that some of them ask for (executors, cores).

    A key is understood when the replay knows what it does to the recorded tasks (partitions, split sizes, memory against spill, speculation off, sizes), or when
    a finding of this run proposes that very change: then its remedy is what the setting brings.
    """
    remedies: list[Remedy] = []
    unknown: list[str] = []
    executors = cores = None
    proposed = _proposed(run) if settings else {}
    for key, value in settings.items():
        count = parse_count(value) or None
        if has_already(run, key, value):
            continue
        if key == "spark.sql.shuffle.partitions" and count:
            stages = _shuffled(run)
            if stages:
                remedies.append(Repartition(stages=stages, partitions=count))
        elif key in ("spark.executor.instances", "spark.dynamicAllocation.maxExecutors") and count and run.local_cores is None:
            executors = count
        elif key == "spark.executor.cores" and count and run.local_cores is None:
            cores = count
        elif key == "spark.sql.files.maxPartitionBytes" and (size := parse_bytes(value)):
            remedies += _scanned(run, size)
        elif key in ("spark.executor.memory", "spark.driver.memory", "spark.memory.fraction"):
            remedies += _with_memory(run, key, value, unknown)
        elif key == "spark.speculation" and value.lower() == "false":
            stages = tuple(run.stages.ref(int(r)) for r in sorted(set(run.tasks.stage_row[run.tasks.speculative].tolist())))
            remedies += [RemoveShare(stages=stages, of="speculation", ratio=1.0)] if stages else []
        elif found := [remedy for change, remedy in proposed.get(key, ()) if _reaches(change, value)]:
            remedies += found
        else:
            unknown.append(key)
    return list(dict.fromkeys(remedies)), unknown, executors, cores


def _proposed(run: AppRun) -> dict[str, list[tuple[Change, Remedy]]]:
    """Setting -> the changes to it that findings of this run propose, with what they bring."""
    found: dict[str, list[tuple[Change, Remedy]]] = {}
    for finding in analyse_run(run).findings:
        for change in finding.changes if finding.remedy is not None else ():
            if change.kind == "conf" and finding.remedy is not None:
                found.setdefault(change.key, []).append((change, finding.remedy))
    return found


def _reaches(change: Change, value: str) -> bool:
    """Whether a value goes as far as the proposed one: equal, or past it in the direction of the change."""
    if change.to is None or value.strip().lower() == change.to.strip().lower():
        return change.to is not None
    wanted, asked, before = (parse_bytes(t) if t is not None else None for t in (change.to, value, change.from_))
    if wanted is None or asked is None:
        return False
    return asked >= wanted if before is None or wanted > before else asked <= wanted


def _scanned(run: AppRun, split: int) -> list[Remedy]:
    """Scans of files in splits of another size; only those that were cut by the setting, into more than one task."""
    known = profile(run)
    made: list[Remedy] = []
    for stage in known.stages:
        taken = int(stage.column("input_bytes").sum())
        if stage.n > 1 and taken and not int(stage.column("shuffle_read_records").sum()):
            made.append(Repartition(stages=(stage.ref,), partitions=max(-(-taken // split), 1)))
    return made


def _shuffled(run: AppRun) -> tuple[str, ...]:
    """Stages that read a SQL shuffle in as many tasks as the setting asked for (adaptive execution had not merged them)."""
    wanted = run.conf("spark.sql.shuffle.partitions", "200") or "200"
    read = [s for s in profile(run).stages if s.sql is not None and int(s.column("shuffle_read_records").sum()) > 0]
    return tuple(s.ref for s in read if str(s.declared) == wanted)


def _with_memory(run: AppRun, key: str, value: str, unknown: list[str]) -> list[Remedy]:
    """More memory takes spill away in proportion; less is not foreseen."""
    before = parse_bytes(run.conf(key, "1g") or "1g", "m") if key != "spark.memory.fraction" else None
    after = parse_bytes(value, "m") if key != "spark.memory.fraction" else None
    ratio = (
        (after / before)
        if before and after
        else float(value) / float(run.conf(key, "0.6") or 0.6)
        if key == "spark.memory.fraction"
        else None
    )
    spilled = tuple(s.ref for s in profile(run).stages if int(s.column("disk_spilled_bytes").sum()))
    if ratio is None or ratio < 1.0 or not spilled:
        unknown.append(key)
        return []
    return [RemoveShare(stages=spilled, of="spill", ratio=min(ratio - 1.0, 1.0))]
