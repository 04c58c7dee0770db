"""A run written as tables and read back is the same run."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from spark_copilot.connectors import run_tables
from spark_copilot.connectors.eventlog import read_run, read_runs
from spark_copilot.connectors.run_tables import RunCache, UnusableTables, read_tables, write_tables
from spark_copilot.rules_engine.errors import NotFound
from spark_copilot.rules_engine.facts import AppRun

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "eventlogs" / "codec-sample"


def assert_same(a: Any, b: Any, path: str = "run") -> None:
    """Equal in every field, array and nested value."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, path
        assert np.array_equal(a, b), path
    elif hasattr(a, "__dataclass_fields__"):
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name), f"{path}.{f.name}")
    else:
        assert a == b, path


@pytest.mark.parametrize("detail", [False, True])
def test_the_sample_round_trips(tmp_path: Path, detail: bool) -> None:
    run = next(read_runs(SAMPLE, detail=detail))
    write_tables(run, tmp_path / "it's a run")
    assert_same(run, read_tables(tmp_path / "it's a run"))


def test_every_shared_log_round_trips(shared_logs: Path, tmp_path: Path) -> None:
    for number, log in enumerate(sorted(shared_logs.iterdir())):
        if "driverlog" in log.name or log.stat().st_size > 500_000:
            continue
        for run in read_runs(log, detail=True):
            write_tables(run, tmp_path / str(number))
            assert_same(run, read_tables(tmp_path / str(number)), log.name)


def test_an_empty_run_round_trips(tmp_path: Path) -> None:
    run = AppRun(app=read_run(SAMPLE).app)
    write_tables(run, tmp_path / "run")
    assert_same(run, read_tables(tmp_path / "run"))


def test_the_files_read_as_they_lie(tmp_path: Path) -> None:
    run = read_run(SAMPLE)
    write_tables(run, tmp_path / "run", content_hash="abc123")
    query = f"SELECT count(*), sum(run_ms) FROM '{tmp_path}/run/tasks.parquet'"
    with duckdb.connect(":memory:") as con:
        assert con.execute(query).fetchone() == (len(run.tasks), run.tasks.require("run_ms").sum())


def test_other_versions_and_damage_are_told_apart_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound):
        read_tables(tmp_path / "none")
    write_tables(read_run(SAMPLE), tmp_path / "run")
    (tmp_path / "run" / "tasks.parquet").write_bytes(b"PAR1 junk")
    with pytest.raises(UnusableTables, match="damaged"):
        read_tables(tmp_path / "run")
    written = run_tables.VERSION
    monkeypatch.setattr(run_tables, "VERSION", 99)
    with pytest.raises(UnusableTables, match=f"version {written}"):
        read_tables(tmp_path / "run")


def test_a_log_is_not_parsed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = RunCache(tmp_path / "cache")
    (first,) = cache.runs(SAMPLE)
    monkeypatch.setattr(run_tables, "read_runs", None)
    (second,) = cache.runs(SAMPLE)
    assert_same(first, second)


def test_the_cache_is_bounded_and_heals(tmp_path: Path) -> None:
    cache = RunCache(tmp_path / "cache", max_bytes=1)
    logs = [tmp_path / "a", tmp_path / "b"]
    for number, log in enumerate(logs):
        log.write_bytes(SAMPLE.read_bytes() + b"\n" * number)
        list(cache.runs(log))
    assert len(list((tmp_path / "cache").glob("*-v*"))) == 1
    (entry,) = (tmp_path / "cache").glob("*-v*")
    (entry / "0" / "jobs.parquet").unlink()
    assert len(list(cache.runs(logs[1]))) == 1
    assert (entry / "0" / "jobs.parquet").is_file()
