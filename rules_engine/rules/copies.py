"""Tasks that ran twice at once: which of the two attempts was worth it."""

import numpy as np

from spark_copilot.rules_engine.facts import KILLED, SUCCESS, AppRun, IntColumn

FASTER_RATIO = 0.6
"""A copy that took no more than this share of what its original had run for by then would not have ended sooner by waiting."""


def rescued(run: AppRun) -> IntColumn:
    """Rows of attempts that were killed because a copy of them, begun later on another executor, ended first by far: the slow half of a copy that won."""
    tasks = run.tasks
    if not tasks.speculative.any():
        return np.zeros(0, dtype=np.int64)
    killed = np.flatnonzero((tasks.status == KILLED) & ~tasks.speculative)
    winners = np.flatnonzero(tasks.speculative & (tasks.status == SUCCESS))
    place = {(int(tasks.stage_row[r]), int(tasks.index[r])): int(r) for r in winners}
    found = []
    for row in killed.tolist():
        copy = place.get((int(tasks.stage_row[row]), int(tasks.index[row])))
        if copy is None or tasks.executor_row[copy] == tasks.executor_row[row]:
            continue
        if tasks.duration_ms[copy] <= FASTER_RATIO * tasks.duration_ms[row]:
            found.append(row)
    return np.array(found, dtype=np.int64)
