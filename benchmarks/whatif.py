"""What-if held against reality: the same applications run on 1, 2, 4 and 8 executors, each size predicted from the log of each other one.

usage: python benchmarks/whatif.py [FOLDER with logs named APPLICATION@EXECUTORS.zstd]     (default: tests/data/sizes)

Beside ours, on the same pairs: plain list scheduling of the recorded tasks, and a restatement of Sparklens' algorithm. The error is of the application's wall
clock after its warm-up job, as a share of it: start-up and warm-up differ by seconds from one start of the same size to the next, and no replay can know them.

The runs were made on two cores, which carry eight executors only while tasks wait. Where the tasks of a size ran more than a quarter longer in all than those of one
executor, they waited for the machine and not for what they asked: the pairs with such a run say how two cores behave, not how a cluster does, and are counted apart.
"""

import heapq
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spark_copilot.ml.simulator import ReplayModel, apply, replay
from spark_copilot.orchestration.analyse import read
from spark_copilot.orchestration.whatif import what_if
from spark_copilot.rules_engine.facts import MISSING, AppRun
from spark_copilot.rules_engine.findings import Interval, Resize

ROOT = Path(__file__).resolve().parent.parent
SIZES = ROOT / "tests" / "data" / "sizes"


def warm_up(run: AppRun) -> float:
    """Application start to the end of the first job."""
    return float(int(run.jobs.completed_ms[0]) - run.started_ms)


def ours(run: AppRun, executors: int) -> Interval:
    """What-if's answer for this size, less the replayed start-up and warm-up."""
    point = what_if(run, executors=[executors]).points[0]
    model = ReplayModel.of(run)
    mine = replay(apply(model, (Resize(executors=executors, cores=point.cores_per_executor),), "mid")).job_end_ms[0]
    recorded = replay(model).job_end_ms[0]
    # The record's scale, as in what_if: the replay's own error is taken off.
    gone = warm_up(run) - (recorded - mine)
    wall = point.wall_ms
    return Interval(low=wall.low - gone, mid=wall.mid - gone, high=wall.high - gone)


def _span(run: AppRun, job: int) -> tuple[int, int]:
    end = int(run.jobs.completed_ms[job])
    return int(run.jobs.submitted_ms[job]), run.ended_ms if end == MISSING else end


def _scheduled(run: AppRun, jobs: Sequence[int], slots: int, held: Callable[[int], float]) -> float:
    """List scheduling of these jobs together: a stage may start when its parents ended, lowest id first, tasks in id order."""
    wanted = {s for j in jobs for s in run.jobs.stage_ids[j]}
    rows = [r for r in range(len(run.stages)) if int(run.stages.stage_id[r]) in wanted and len(run.task_rows(r))]
    of_id: dict[int, list[int]] = defaultdict(list)
    for r in rows:
        of_id[int(run.stages.stage_id[r])].append(r)
    ends: dict[int, float] = {}
    free = [0.0] * max(slots, 1)
    heapq.heapify(free)
    left, now = set(rows), 0.0
    while left:
        ready = sorted(r for r in left if all(p in ends for parent in run.stages.parents[r] for p in of_id.get(parent, ())))
        if not ready:
            break
        row = min(
            ready,
            key=lambda r: (
                max((ends[p] for parent in run.stages.parents[r] for p in of_id.get(parent, ())), default=0.0),
                int(run.stages.stage_id[r]),
            ),
        )
        begin = max((ends[p] for parent in run.stages.parents[row] for p in of_id.get(parent, ())), default=0.0)
        end = begin
        tasks = run.task_rows(row)
        for task in tasks[np.argsort(run.tasks.task_id[tasks])].tolist():
            at = max(heapq.heappop(free), begin)
            done = at + held(task)
            heapq.heappush(free, done)
            end = max(end, done)
        ends[row] = end
        now = max(now, end)
        left.discard(row)
    return now


def list_scheduling(run: AppRun, executors: int) -> float:
    """Jobs that overlap scheduled together, tasks as long as they held their slot, what lies between groups as recorded."""
    order = sorted(range(len(run.jobs)), key=lambda j: _span(run, j))
    groups: list[list[int]] = []
    reach = -1
    for job in order:
        begin, end = _span(run, job)
        if not groups or begin >= reach:
            groups.append([])
        groups[-1].append(job)
        reach = max(reach, end)
    return _estimate(run, groups, executors, lambda t: float(run.tasks.duration_ms[t]))


def sparklens(run: AppRun, executors: int) -> float:
    """Sparklens' algorithm restated: groups by SQL execution, the driver's time the residual over groups, tasks as long as their run time."""
    by_sql: dict[tuple[str, int], list[int]] = defaultdict(list)
    for job in range(len(run.jobs)):
        sql = int(run.jobs.sql_row[job])
        by_sql[("sql", sql) if sql != MISSING else ("job", job)].append(job)
    groups: list[list[int]] = []
    for jobs in by_sql.values():
        reach = -1
        for job in sorted(jobs, key=lambda j: _span(run, j)):
            begin, end = _span(run, job)
            if reach < 0 or begin >= reach:
                groups.append([])
            groups[-1].append(job)
            reach = max(reach, end)
    return _estimate(run, groups, executors, lambda t: max(float(run.tasks.require("run_ms")[t]), 1.0))


def _estimate(run: AppRun, groups: Sequence[Sequence[int]], executors: int, held: Callable[[int], float]) -> float:
    cores = max(int(run.executors.cores[~run.executors.is_driver].max()), 1)
    groups = [g for g in groups if 0 not in g]  # the warm-up job, which both sides leave out
    spans = [(min(_span(run, j)[0] for j in g), max(_span(run, j)[1] for j in g)) for g in groups]
    driver = run.wall_ms - warm_up(run) - sum(end - begin for begin, end in spans)
    return driver + sum(_scheduled(run, g, executors * cores, held) for g in groups)


CROWDED = 1.25
"""Run time of all tasks at a size, over that at the smallest: beyond, the machine and not the executors set the pace."""


def crowded(sizes: Mapping[int, AppRun]) -> set[int]:
    """Sizes whose tasks computed, or waited for cores."""
    ran = {size: float(run.tasks.require("run_ms")[run.stages.job_row[run.tasks.stage_row] > 0].sum()) for size, run in sizes.items()}
    return {size for size, total in ran.items() if total > CROWDED * ran[min(ran)]}


def main() -> None:
    """Print a line a pair and the three summaries; write results/whatif.json."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SIZES
    runs: dict[str, dict[int, AppRun]] = defaultdict(dict)
    for path in sorted(folder.glob("*@*.zstd")):
        name, _, size = path.stem.rpartition("@")
        runs[name][int(size)] = read(path)
    errors: dict[str, list[float]] = defaultdict(list)
    held, rows = 0, []
    apart: dict[str, list[float]] = defaultdict(list)
    for name, sizes in sorted(runs.items()):
        busy = crowded(sizes)
        for here, run in sorted(sizes.items()):
            for there, truth in sorted(sizes.items()):
                if there == here:
                    continue
                real = truth.wall_ms - warm_up(truth)
                point = ours(run, there)
                said = {"ours": point.mid, "list scheduling": list_scheduling(run, there), "sparklens": sparklens(run, there)}
                counts = not {here, there} & busy
                for who, value in said.items():
                    (errors if counts else apart)[who].append(abs(value - real) / real)
                inside = point.low <= real <= point.high
                held += inside and counts
                row: dict[str, Any] = {
                    "application": name,
                    "from": here,
                    "to": there,
                    "measured_ms": real,
                    "holds": inside,
                    "counts": counts,
                }
                rows.append(row | {who: round(value) for who, value in said.items()})
                words = ", ".join(f"{who} {value / 1000:.1f} ({100 * (value - real) / real:+.0f} %)" for who, value in said.items())
                print(
                    f"{name:16} {here} -> {there}: measured {real / 1000:5.1f} s; {words}{'' if inside else '  OUT'}{'' if counts else '  (apart)'}"
                )
    counted = sum(row["counts"] for row in rows)
    result: dict[str, Any] = {"applications": len(runs), "pairs": counted, "interval_holds": round(held / max(counted, 1), 3)}
    for who, values in errors.items():
        ordered = sorted(values)
        result[who] = {"median_error": round(statistics.median(ordered), 4), "p90_error": round(ordered[int(0.9 * (len(ordered) - 1))], 4)}
        print(f"{who:16} median {100 * result[who]['median_error']:.1f} %, 90th percentile {100 * result[who]['p90_error']:.1f} %")
    print(f"intervals hold {100 * result['interval_holds']:.0f} % of {counted} pairs of {len(runs)} applications")
    for who, values in apart.items():
        result[f"{who}, computing"] = {"median_error": round(statistics.median(values), 4), "pairs": len(values)}
        print(
            f"{who:16} median {100 * statistics.median(values):.1f} % on the {len(values)} pairs whose tasks computed or waited for cores"
        )
    result["by_pair"] = rows
    (ROOT / "benchmarks" / "results" / "whatif.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
