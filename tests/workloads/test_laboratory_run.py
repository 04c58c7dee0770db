"""The laboratory started for real: a Spark job from generator to report. Needs `make parts` and Java 17."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from spark_copilot.orchestration.analyse import analyze
from spark_copilot.rules_engine.findings import Severity
from tests.conftest import ROOT


@pytest.mark.spark
def test_a_job_runs_and_its_log_is_judged(spark_python: Path, tmp_path: Path) -> None:
    command = [str(spark_python), "-m", "spark_copilot.workloads.laboratory", "--out", str(tmp_path), "flaky-tasks"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads((tmp_path / "runs.json").read_text())["flaky-tasks"]["expect"] == ["task-failures"]
    report = analyze(tmp_path / "flaky-tasks.zstd")
    assert report.application.complete
    assert report.data_quality.status == "complete"
    # A failure is a failure on a busy machine too.
    assert "task-failures" in {f.code for f in report.findings if f.severity is not Severity.INFO}
