"""The critical path: the stages that the end of the application waited for, one after the other."""

import numpy as np

from spark_copilot.ml.simulator.model import ReplayModel
from spark_copilot.ml.simulator.replay import Replay


def critical_path(model: ReplayModel, replayed: Replay) -> list[int]:
    """Stage ids in order of time. From the last job back: in each job the stage that ended last, what it waited for, then the job before."""
    path: list[int] = []
    job = model.end_anchor
    seen: set[int] = set()
    while job >= 0 and job not in seen:
        seen.add(job)
        members = [p for p in model.jobs[job].stages if np.isfinite(replayed.stage_end_ms[p])]
        if members:
            at: int | None = max(members, key=lambda p: float(replayed.stage_end_ms[p]))
            while at is not None:
                path.append(model.stages[at].stage_id)
                inside = [p for p in model.stages[at].prerequisites if model.stages[p].job == model.stages[at].job]
                at = max(inside, key=lambda p: float(replayed.stage_end_ms[p])) if inside else None
        job = model.jobs[job].anchor
    return path[::-1]
