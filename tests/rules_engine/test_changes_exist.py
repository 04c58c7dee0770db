"""Every setting that a finding proposes exists in the catalog of the run's own Spark version."""

from pathlib import Path

import pytest

from spark_copilot.orchestration.analyse import analyse_run, read
from spark_copilot.rules_engine.gate.keys import catalog
from spark_copilot.rules_engine.gate.target import SparkVersion

LABORATORY = sorted((Path(__file__).parent.parent / "data" / "laboratory").glob("*.zstd"))


@pytest.mark.parametrize("part", range(4))
def test_proposed_settings_are_spark_s_own(part: int) -> None:
    seen = 0
    for log in LABORATORY[part::4]:
        run = read(log)
        report = analyse_run(run)
        version = SparkVersion.parse(run.app.spark_version)
        keys = {c.key for f in report.findings for c in f.changes if c.kind == "conf"} | {s["key"] for s in report.facts["sizing"]}
        for key in keys:
            seen += 1
            entry = catalog().entry(key)
            assert version is not None
            assert entry is not None or catalog().in_class_files(key), (log.name, key)
            assert entry is None or entry.first <= version, (log.name, key, entry.first)
    assert seen
