"""The shared logs, read whole: counts that Spark's own server gives for them too."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from spark_copilot.connectors.eventlog import read_runs
from spark_copilot.rules_engine.errors import NotAnEventLog


def answers(folder: Path) -> dict[str, str]:
    """Log name -> file with what a real History Server said of it."""
    index: dict[str, str | None] = json.loads((folder.parent / "index.json").read_text())
    return {log: name for log, name in index.items() if name}


def test_counts_equal_the_history_servers(shared_logs: Path) -> None:
    for log, name in answers(shared_logs).items():
        known = json.loads(gzip.decompress((shared_logs.parent / "history_server" / Path(name).name).read_bytes()))
        run = next(iter(read_runs(shared_logs / log)))
        assert run.app.id == known["application"]["id"], log
        assert sorted(run.jobs.job_id.tolist()) == sorted(job["jobId"] for job in known["jobs"]), log
        assert sorted(zip(run.stages.stage_id.tolist(), run.stages.attempt.tolist(), strict=True)) == sorted(
            (stage["stageId"], stage["attemptId"]) for stage in known["stages"]
        ), log
        assert {(s["stageId"], s["attemptId"]) for s in known["stages"] if s["status"] == "SKIPPED"} == {
            (int(run.stages.stage_id[row]), int(run.stages.attempt[row])) for row in np.flatnonzero(run.stages.skipped)
        }, log
        assert [one.sql_id for one in run.sql] == [one["id"] for one in known["sql"]], log
        assert sum(s["executorRunTime"] for s in known["stages"]) == (0 if run.tasks.run_ms is None else run.tasks.run_ms.sum()), log


def test_p8_every_duration_is_at_least_zero(shared_logs: Path) -> None:
    for log in answers(shared_logs):
        for run in read_runs(shared_logs / log):
            assert run.wall_ms >= 0
            assert (run.tasks.duration_ms >= 0).all()
            assert (run.stages.duration_ms >= 0).all()


def test_a_driver_log_is_refused(shared_logs: Path) -> None:
    with pytest.raises(NotAnEventLog, match="driverlog: not a Spark event log"):
        list(read_runs(shared_logs / "spark-events-profiling__driverlog"))
