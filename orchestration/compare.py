"""Compare two runs: where the difference in wall clock comes from, and whether it is more than noise.

Stages are matched by what they do (plan shape or call site), never by id. The contributions add up to the whole difference.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field

from spark_copilot.rules_engine.facts import SUCCESS, AppRun
from spark_copilot.rules_engine.findings import Value, normalised
from spark_copilot.rules_engine.plans import walk
from spark_copilot.rules_engine.profile import Stage, call_site, profile
from spark_copilot.rules_engine.units import show_bytes, show_count, show_ms
from spark_copilot.rules_engine.wall_clock import wall_clock

NOISE_RATIO = 0.05
"""Two runs of the same job on the same data differ by this share of the wall clock without any reason."""

MOST_NOISE_RATIO = 0.15
"""However uneven its tasks, a job that takes a seventh longer has a reason."""

SAME_DATA_RATIO = 0.05
"""Rows or bytes within this share are the same data."""

IGNORED_SETTINGS = (
    "spark.app.id",
    "spark.app.startTime",
    "spark.app.submitTime",
    "spark.driver.port",
    "spark.driver.host",
    "spark.eventLog.dir",
    "spark.app.name",
    "spark.sql.warehouse.dir",
    "spark.app.initial",
    "spark.repl",
)


class Side(Value):
    """One of the two runs."""

    id: str
    wall_ms: float


class Contribution(Value):
    """A part of the difference: positive, the candidate is slower there."""

    what: str
    delta_ms: float
    because: str


class SettingChange(Value):
    """A setting that differs; None where it is not set."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    key: str
    from_: str | None = Field(None, alias="from")
    to: str | None = None


class Comparison(Value):
    """The answer of `compare`."""

    schema_version: Literal[1] = 1
    baseline: Side
    candidate: Side
    verdict: Literal["same", "better", "worse", "cannot-tell"]
    noise_ms: float
    contributions: tuple[Contribution, ...]
    settings: tuple[SettingChange, ...]


def compare(baseline: AppRun, candidate: AppRun, *, more_baselines: Sequence[AppRun] = ()) -> Comparison:
    """What changed from one run to the other. Further baselines of the same job sharpen the noise."""
    total = float(candidate.wall_ms - baseline.wall_ms)
    noise = _noise(baseline, more_baselines)
    contributions = _contributions(baseline, candidate)
    rest = total - sum(c.delta_ms for c in contributions)
    if abs(rest) >= 1:
        contributions.append(
            Contribution(what="stages that overlap", delta_ms=round(rest), because="stages ran side by side differently in the two runs")
        )
    contributions.sort(key=lambda c: (-abs(c.delta_ms), c.what))
    return Comparison(
        baseline=Side(id=baseline.app.id, wall_ms=baseline.wall_ms),
        candidate=Side(id=candidate.app.id, wall_ms=candidate.wall_ms),
        verdict=_verdict(baseline, candidate, total, noise),
        noise_ms=round(noise),
        contributions=tuple(contributions),
        settings=tuple(_settings(baseline, candidate)),
    )


def _verdict(a: AppRun, b: AppRun, total: float, noise: float) -> Literal["same", "better", "worse", "cannot-tell"]:
    if not (a.complete and b.complete) or a.quality.missing_task_ends or b.quality.missing_task_ends:
        return "cannot-tell"
    # Start-up is the cluster's, not the job's: what is left without it must go the same way.
    started = wall_clock(b)["startup_ms"] - wall_clock(a)["startup_ms"]
    if min(total, total - started, key=abs) * total <= 0 or min(abs(total), abs(total - started)) <= noise:
        return "same"
    return "worse" if total > 0 else "better"


def _noise(baseline: AppRun, more: Sequence[AppRun]) -> float:
    """Three standard deviations of the baselines' wall clocks; with one baseline, what the spread of its tasks lets its stages vary by."""
    walls = [float(r.wall_ms) for r in (baseline, *more)]
    if len(walls) >= 3:
        return max(3.0 * float(np.std(walls, ddof=1)), 0.02 * baseline.wall_ms)
    variance = 0.0
    for stage in profile(baseline).stages:
        # The middle half of the tasks: a hot or slow task is the same in the next run, not noise.
        spread = float(np.subtract(*np.quantile(stage.ms, [0.75, 0.25]))) / 1.35 if stage.n > 3 else 0.05 * stage.total_ms
        variance += (spread**2) * max(stage.n / baseline.slots_max, 1.0)
    return max(NOISE_RATIO * baseline.wall_ms, min(2.0 * float(np.sqrt(variance)), MOST_NOISE_RATIO * baseline.wall_ms), 1_000.0)


def signature(stage: Stage) -> str:
    """What a stage does, without its ids: call site, SQL text and the names of its RDDs."""
    run, row = stage.run, stage.row
    rdds = "|".join(sorted({r.name.split("(")[0] for r in run.stages.rdds[row]}))
    sql = stage.sql.description if stage.sql is not None else ""
    return f"{normalised(call_site(run, row) or '')}|{normalised(sql)}|{normalised(rdds)}"


def _operators(run: AppRun) -> dict[int, tuple[str, ...]]:
    """Stage row -> the names of the plan's operators that ran in it, with the tables they scan: the plan's fingerprint of that stage."""
    found: dict[int, set[str]] = defaultdict(set)
    for execution in run.sql:
        for node in walk(execution.plan) if execution.plan is not None else ():
            name = node.name if not node.name.startswith("Scan") else normalised(node.name)
            for row in profile(run).stages_of(node):
                found[row].add(name)
    return {row: tuple(sorted(names)) for row, names in found.items()}


def _matched(a: AppRun, b: AppRun) -> list[tuple[str, list[Stage], list[Stage]]]:
    """Groups of stages that do the same, in the order of their first appearance: by plan fingerprint and place, then, what is left over, by place alone."""
    groups: dict[tuple[str, tuple[str, ...]], tuple[list[Stage], list[Stage]]] = defaultdict(lambda: ([], []))
    for side, run in enumerate((a, b)):
        operators = _operators(run)
        for row in range(len(run.stages)):
            stage = profile(run).stage(row)
            if stage.n:
                groups[signature(stage), operators.get(row, ())][side].append(stage)
    both = [(place, left, right) for (place, _), (left, right) in groups.items() if left and right]
    rest: dict[str, tuple[list[Stage], list[Stage]]] = defaultdict(lambda: ([], []))
    for (place, _), (left, right) in groups.items():
        if not (left and right):
            rest[place][0].extend(left)
            rest[place][1].extend(right)
    return [*both, *((place, left, right) for place, (left, right) in rest.items())]


def _share_of_wall(run: AppRun) -> dict[int, float]:
    """Each stage's part of the time in which tasks ran: where stages overlap the time is divided by the slots they hold. Sums to that time."""
    share: dict[int, float] = defaultdict(float)
    tasks = run.tasks
    if not len(tasks):
        return share
    times = np.concatenate([tasks.launch_ms, tasks.finish_ms])
    stages = np.concatenate([tasks.stage_row, tasks.stage_row])
    deltas = np.repeat(np.array([1, -1], dtype=np.int64), len(tasks))
    order = np.lexsort((deltas, times))
    running: dict[int, int] = defaultdict(int)
    active = 0
    at = int(times[order[0]])
    for i in order.tolist():
        now = int(times[i])
        if now > at and active:
            for stage, count in running.items():
                if count:
                    share[stage] += (now - at) * count / active
        at = now
        running[int(stages[i])] += int(deltas[i])
        active += int(deltas[i])
    return share


def _contributions(a: AppRun, b: AppRun) -> list[Contribution]:
    shares = (_share_of_wall(a), _share_of_wall(b))
    found = []
    for _, left, right in _matched(a, b):
        before = sum(shares[0][s.row] for s in left)
        after = sum(shares[1][s.row] for s in right)
        delta = round(after - before)
        if delta:
            any_stage = (right or left)[0]
            name = call_site(any_stage.run, any_stage.row) or f"stage {any_stage.ref}"
            found.append(Contribution(what=f"stage {any_stage.ref}, {name}", delta_ms=delta, because=_because(left, right)))
    clocks = (wall_clock(a), wall_clock(b))
    for key, what, because in (
        ("startup_ms", "start-up", "until the first job"),
        ("driver_ms", "driver alone", "time in which no task ran"),
        ("waiting_ms", "waiting", "for executors or a trigger"),
    ):
        delta = clocks[1][key] - clocks[0][key]  # type: ignore[literal-required]
        if delta:
            found.append(Contribution(what=what, delta_ms=delta, because=because))
    return found


def _because(left: list[Stage], right: list[Stage]) -> str:
    """The first reason that fits: new or gone, more data, fewer tasks, failures, spill, slower at the same work."""
    if not left:
        return "not in the baseline: the plan or the code changed"
    if not right:
        return "only in the baseline: the plan or the code changed"
    rows = [sum(int(s.read_records.sum()) for s in side) for side in (left, right)]
    size = [sum(int(s.read_bytes.sum()) for s in side) for side in (left, right)]
    tasks = [sum(s.n for s in side) for side in (left, right)]
    lost = [sum(int((s.run.tasks.status[s.run.task_rows(s.row)] != SUCCESS).sum()) for s in side) for side in (left, right)]
    spill = [sum(int(s.column("disk_spilled_bytes").sum()) for s in side) for side in (left, right)]
    if _differs(rows):
        return f"rows {show_count(rows[0])} -> {show_count(rows[1])}"
    if _differs(size):
        return f"data {show_bytes(size[0])} -> {show_bytes(size[1])}"
    if lost[1] > lost[0]:
        return f"attempts lost {lost[0]} -> {lost[1]}"
    if tasks[0] != tasks[1]:
        return f"tasks {tasks[0]} -> {tasks[1]}"
    if max(spill) > 16 << 20 and _differs(spill):
        return f"spill {show_bytes(spill[0])} -> {show_bytes(spill[1])}"
    slots = [side[0].run.slots_max for side in (left, right)]
    if slots[0] != slots[1]:
        return f"cores {slots[0]} -> {slots[1]}"
    each = [sum(s.total_ms for s in side) / max(sum(s.n for s in side), 1) for side in (left, right)]
    return f"the same work, tasks of {show_ms(each[0])} -> {show_ms(each[1])}"


def _differs(pair: list[int]) -> bool:
    return abs(pair[1] - pair[0]) > SAME_DATA_RATIO * max(*pair, 1)


def _settings(a: AppRun, b: AppRun) -> list[SettingChange]:
    keys = sorted({*a.environment.spark, *b.environment.spark})
    return [
        SettingChange(key=k, from_=a.conf(k), to=b.conf(k)) for k in keys if a.conf(k) != b.conf(k) and not k.startswith(IGNORED_SETTINGS)
    ]
