"""Which stages take turns: the pools of Spark's FAIR scheduler, and whether the stages of one pool shared its slots or went one after the other."""

import heapq
from collections.abc import Sequence

from spark_copilot.rules_engine.facts import AppRun

SHARED_RATIO = 0.25
"""Tasks that started while an earlier stage of their pool had some waiting, of all that started while two stages waited. Next to none in a pool whose mode is
FIFO, half and more in one whose mode is FAIR. The mode stands in a file that the log does not hold, so the order of the launches has to tell it."""


def turns(run: AppRun, rows: Sequence[int], submitted_ms: Sequence[int]) -> tuple[int, ...]:
    """For each stage a number, the same for stages among which the earlier one goes first. Of different numbers the one with fewer tasks running goes first.

    `rows` are the stages' rows in the run, `submitted_ms` when each was submitted.
    """
    if (run.conf("spark.scheduler.mode", "FIFO") or "").upper() != "FAIR":
        return (0,) * len(rows)
    pools = [run.stages.pool[row] if row < len(run.stages.pool) else "default" for row in rows]
    names = sorted(set(pools))
    shared = {name: _shared(run, [(r, s) for r, s, p in zip(rows, submitted_ms, pools, strict=True) if p == name]) for name in names}
    groups = [(name, position if shared[name] else -1) for position, name in enumerate(pools)]
    number = {group: i for i, group in enumerate(sorted(set(groups)))}
    return tuple(number[g] for g in groups)


def _shared(run: AppRun, stages: Sequence[tuple[int, int]]) -> bool:
    """Whether later stages of a pool started tasks while earlier ones had some waiting."""
    launches = []
    left = {}
    for row, _ in stages:
        own = run.tasks.launch_ms[run.task_rows(row)].tolist()
        left[row] = len(own)
        launches += [(launch, row) for launch in own]
    launches.sort()
    coming = sorted((submitted, row) for row, submitted in stages if left[row])
    age = {row: (int(run.stages.job_row[row]), int(run.stages.stage_id[row])) for row in left}
    waiting: list[tuple[tuple[int, int], int]] = []
    at, several, out_of_turn, open_stages = 0, 0, 0, 0
    for launch, row in launches:
        while at < len(coming) and coming[at][0] <= launch:
            heapq.heappush(waiting, (age[coming[at][1]], coming[at][1]))
            at, open_stages = at + 1, open_stages + 1
        while waiting and not left[waiting[0][1]]:
            heapq.heappop(waiting)
        if open_stages > 1 and waiting:
            several += 1
            out_of_turn += age[row] > waiting[0][0]
        left[row] -= 1
        open_stages -= not left[row]
    return out_of_turn > SHARED_RATIO * several
