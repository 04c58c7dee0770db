"""What-if: the recorded run under other sizes, settings, or with findings mended, each as an interval of wall clock."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from spark_copilot.ml.simulator import Simulator
from spark_copilot.orchestration.analyse import analyse_run
from spark_copilot.orchestration.report_builder import application
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import (
    ApplicationInfo,
    Interval,
    Money,
    Remedy,
    RemoveShare,
    Repartition,
    Resize,
    Value,
)
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.units import parse_bytes, parse_count

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
) -> WhatIf:
    """Replay a run under each size, with these settings and with the findings of these keys mended.

    Raises:
        UsageError: a size below 1, or a key that is no finding of this run.
    """
    if any(n < 1 for n in executors) or (cores is not None and cores < 1):
        raise UsageError("executors and cores are at least 1")
    simulator = Simulator(run)
    observed = _observed(run)
    remedies = [*_of_findings(run, apply)]
    known, unknown = _of_settings(run, settings or {})
    remedies += known
    sizes = sorted(set(executors)) or [observed.executors]
    points = tuple(_point(simulator, observed, n, cores, remedies, settings or {}, unknown) for n in sizes)
    return WhatIf(
        application=application(run),
        observed=observed,
        replay=ReplayCheck(wall_ms=round(simulator.base.wall_ms), error_ratio=round(simulator.error_ratio, 4)),
        knee=_knee(points),
        cannot_reason_about=tuple(unknown),
        points=points,
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


def _of_settings(run: AppRun, settings: Mapping[str, str]) -> tuple[list[Remedy], list[str]]:
    """Remedies for the settings the replay can reason about, and the keys it cannot."""
    remedies: list[Remedy] = []
    unknown: list[str] = []
    for key, value in settings.items():
        if key == "spark.sql.shuffle.partitions" and (parse_count(value) or 0) > 0:
            stages = _shuffled(run)
            if stages:
                remedies.append(Repartition(stages=stages, partitions=int(value)))
        elif key in ("spark.executor.memory", "spark.driver.memory", "spark.memory.fraction"):
            remedies += _with_memory(run, key, value, unknown)
        elif key == "spark.speculation" and value.lower() == "false":
            stages = tuple(run.stages.ref(int(r)) for r in sorted(set(run.tasks.stage_row[run.tasks.speculative].tolist())))
            remedies += [RemoveShare(stages=stages, of="speculation", ratio=1.0)] if stages else []
        elif key == "spark.executor.instances" or (key == "spark.executor.cores" and value.isdigit()) or run.conf(key) != value:
            unknown.append(key)
    return remedies, unknown


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
