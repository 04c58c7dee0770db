"""One value of one event replaced by a hostile one: the run is still read, keeps its invariants, and can be stored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_copilot.connectors.eventlog import read_runs
from spark_copilot.connectors.run_tables import read_tables, write_tables
from spark_copilot.rules_engine.facts import MISSING, AppRun
from spark_copilot.rules_engine.plans import graph_of
from tests.connectors.test_run_tables import assert_same

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "eventlogs" / "codec-sample"
_CONNECT = "org.apache.spark.sql.connect.service.SparkListenerConnect"
_OPERATION: dict[str, Any] = {"jobTag": "tag", "operationId": "op", "eventTime": 1_795_841_778_792, "extraTags": {}}
RARE: list[dict[str, Any]] = [
    {"Event": f"{_CONNECT}SessionStarted", "sessionId": "s", "userId": "ann", "eventTime": 1_795_841_778_000, "extraTags": {}},
    {"Event": f"{_CONNECT}OperationStarted", **_OPERATION, "sessionId": "s", "userId": "ann", "userName": "", "statementText": "range {}", "sparkSessionTags": []},
    {"Event": f"{_CONNECT}OperationFinished", **_OPERATION, "producedRowCount": 3},
    {"Event": f"{_CONNECT}OperationFailed", **_OPERATION, "errorMessage": "no"},
    {"Event": "org.apache.spark.scheduler.SparkListenerMiscellaneousProcessAdded", "time": 1_795_841_778_000, "processId": "yarn-am",
     "info": {"hostPort": "h:1", "cores": 1, "logUrlInfo": {"stdout": "u"}}},
]  # fmt: skip
"""Events that the sample does not have."""
LINES = [*SAMPLE.read_bytes().splitlines(), *(json.dumps(event, separators=(",", ":")).encode() for event in RARE)]
VALUES: list[Any] = [
    -1, 0, (1 << 31) - 1, (1 << 63) - 1, -(1 << 63), 1 << 63, 1 << 200, 1.5, -0.0, 1e308, "", "x", "9" * 400, "\u0000", "\u202e\ud83d\ude00", "a\nb",
    "x" * 5000, None, True, [], {}, [[]], {"a": {"b": []}}, [1, "x"],
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key below a value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def check(run: AppRun) -> None:
    """What holds for any run."""
    assert run.wall_ms >= 0
    for table in (run.tasks, run.stages):
        assert (table.duration_ms >= 0).all()
    assert ((run.jobs.completed_ms == MISSING) | (run.jobs.completed_ms >= run.jobs.submitted_ms)).all()
    assert (run.jobs.submitted_ms >= 0).all()
    assert ((run.executors.removed_ms == MISSING) | (run.executors.removed_ms >= run.executors.added_ms)).all()
    if len(run.tasks):
        assert 0 <= run.tasks.stage_row.min() <= run.tasks.stage_row.max() < len(run.stages)
        assert 0 <= run.tasks.executor_row.min() <= run.tasks.executor_row.max() < len(run.executors)
    assert run.slots_max >= 1
    assert run.started_ms <= run.first_job_ms <= run.ended_ms
    assert len(run.busy_intervals) <= len(run.tasks)
    for one in run.sql:
        assert one.completed_ms == MISSING or one.completed_ms >= one.submitted_ms
        graph_of(one.plan)
    repr(run.environment).encode()


@pytest.mark.parametrize("seed", range(4))
def test_p6_p7_one_hostile_value(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    starts = [i for i, line in enumerate(LINES) if b"EnvironmentUpdate" not in line[:60]]
    for turn in range(60):
        at = int(random.choice(starts))
        event = json.loads(LINES[at])
        found = list(places(event))[1:] or list(places(event))
        container, key = found[int(random.integers(len(found)))]
        container[key] = VALUES[int(random.integers(len(VALUES)))]
        (tmp_path / "log").write_bytes(b"\n".join([*LINES[:at], json.dumps(event).encode(), *LINES[at + 1 :]]) + b"\n")
        for run in read_runs(tmp_path / "log", detail=bool(turn % 2)):
            check(run)
            if turn % 10 == 0:
                write_tables(run, tmp_path / "tables")
                assert_same(run, read_tables(tmp_path / "tables"))
