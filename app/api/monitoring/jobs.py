"""`/jobs`: JobData."""

import numpy as np

from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.app.api.monitoring.values import Json, put_moment
from spark_copilot.rules_engine.facts import FAILED, KILLED, MISSING, SUCCESS, IntColumn


def job_status(totals: Totals, row: int) -> str:
    """RUNNING, SUCCEEDED or FAILED."""
    jobs = totals.run.jobs
    if jobs.completed_ms[row] == MISSING:
        return "RUNNING"
    return "FAILED" if jobs.failed[row] else "SUCCEEDED"


def job_json(totals: Totals, row: int) -> Json:
    """JobData: what the job's stages did while it ran."""
    run, jobs, stages = totals.run, totals.run.jobs, totals.run.stages
    begun, ended = int(jobs.submitted_ms[row]), int(jobs.completed_ms[row])
    listed = sorted(s for stage in set(jobs.stage_ids[row]) for s in totals.rows_of_stage.get(stage, ()))
    mine = [s for s in listed if stages.submitted_ms[s] >= begun and (ended == MISSING or stages.submitted_ms[s] <= ended)]
    skipped = [s for s in listed if stages.skipped[s]]
    done_before = {int(stages.stage_id[s]) for s in listed if 0 <= stages.completed_ms[s] < begun}
    first = {int(stages.stage_id[s]): s for s in reversed(listed)}
    before = run.late.job_ends.get(int(jobs.job_id[row])) if ended != MISSING else None
    tasks = np.concatenate([totals.counted_rows(s, before) for s in mine]) if mine else np.zeros(0, dtype=np.int64)
    counts = np.bincount(run.tasks.status[tasks], minlength=3)
    again = sum(len(totals.resubmitted_of_stage.get(s, ())) for s in mine)
    late = 0  # to Spark a task that ended after its job still runs
    if before is not None:
        late = sum(int((run.tasks.launch_ms[rest] <= ended).sum()) for s in mine for rest in [_after(totals, s, before)])
    out: Json = {"jobId": int(jobs.job_id[row]), "name": jobs.name[row]}
    if jobs.description[row] is not None:
        out["description"] = jobs.description[row]
    put_moment(out, "submissionTime", begun)
    put_moment(out, "completionTime", ended)
    out["stageIds"] = list(jobs.stage_ids[row])
    if jobs.group[row] is not None:
        out["jobGroup"] = jobs.group[row]
    complete = {int(stages.stage_id[s]) for s in mine if stages.completed_ms[s] != MISSING and not stages.failed[s]}
    out |= {
        "jobTags": list(jobs.tags[row]),
        "status": job_status(totals, row),
        "numTasks": sum(int(stages.n_tasks[s]) for stage, s in first.items() if stage not in done_before),
        "numActiveTasks": sum(int(totals.stage_active[s]) for s in mine) + late,
        "numCompletedTasks": int(counts[SUCCESS]),
        "numSkippedTasks": sum(int(stages.n_tasks[s]) for s in skipped),
        "numFailedTasks": int(counts[FAILED]) + again,
        "numKilledTasks": int(counts[KILLED]),
        "numCompletedIndices": totals.completed_indices(mine, before),
        "numActiveStages": sum(1 for s in mine if stages.completed_ms[s] == MISSING),
        "numCompletedStages": len(complete),
        "numSkippedStages": len(skipped),
        "numFailedStages": sum(1 for s in mine if stages.failed[s]),
        "killedTasksSummary": totals.killed_summary(tasks),
    }
    return out


def _after(totals: Totals, stage_row: int, before: int) -> IntColumn:
    rows = totals.counted_rows(stage_row)
    return rows[rows >= before]
