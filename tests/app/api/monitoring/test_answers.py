"""Answers that are kept: true, bounded, and never of a run that goes on."""

import shutil
from pathlib import Path

import pytest

from spark_copilot.app.api.monitoring import stages
from spark_copilot.app.api.monitoring import store as store_module
from spark_copilot.app.api.monitoring.answers import Answers
from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.connectors.eventlog import read_run
from tests.app.api.monitoring.test_parity import client

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "eventlogs" / "codec-sample"
APP = read_run(SAMPLE).app.id
BASE = f"/api/v1/applications/{APP}"


def test_what_was_asked_longest_ago_goes_first() -> None:
    kept = Answers(max_bytes=100)
    for name in "abcd":
        kept.put(1, name, b"x" * 24)
    assert kept.get(1, "a") is not None
    kept.put(1, "e", b"x" * 24)
    assert [name for name in "abcde" if kept.get(1, name) is None] == ["b"]
    assert kept.held_bytes == 100
    kept.put(1, "e", b"y")
    assert (kept.get(1, "e"), kept.held_bytes) == (b"y", 77)


def test_one_large_answer_does_not_push_out_the_others() -> None:
    kept = Answers(max_bytes=100)
    kept.put(1, "a", b"small")
    kept.put(1, "b", b"x" * 90)
    assert (kept.get(1, "a"), kept.get(1, "b"), kept.get(2, "a")) == (b"small", None, None)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of the stages that were worded."""
    monkeypatch.setattr(store_module, "RESCAN_SECONDS", 0.0)
    worded: list[int] = []
    original = stages.stage_json

    def counting(totals: Totals, row: int, **given: object) -> dict[str, object]:
        worded.append(row)
        return original(totals, row, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "stage_json", counting)
    return worded


def test_the_second_answer_is_the_first(tmp_path: Path, counted: list[int]) -> None:
    shutil.copy(SAMPLE, tmp_path / "log")
    ask = client(tmp_path)
    first = ask.get(f"{BASE}/stages")
    done = len(counted)
    again = ask.get(f"{BASE}/stages")
    assert done > 0
    assert len(counted) == done
    assert (again.content, again.headers["content-type"]) == (first.content, first.headers["content-type"])
    assert ask.get(f"{BASE}/stages?details=true").content != first.content


def test_a_run_that_goes_on_is_worded_each_time(tmp_path: Path, counted: list[int]) -> None:
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    log = tmp_path / "log"
    log.write_bytes(b"".join(lines[:-1]))
    ask = client(tmp_path)
    ask.get(f"{BASE}/stages")
    done = len(counted)
    ask.get(f"{BASE}/stages")
    assert len(counted) == 2 * done > 0


def test_an_execution_that_only_a_job_names_is_not_listed(tmp_path: Path) -> None:
    shutil.copy(SAMPLE.parents[1] / "older" / "spark-1.6.3.zstd", tmp_path / "log.zstd")
    ask = client(tmp_path)
    (app,) = ask.get("/api/v1/applications").json()
    assert ask.get(f"/api/v1/applications/{app['id']}/sql").json() == []
    assert ask.get(f"/api/v1/applications/{app['id']}/sql/0").status_code == 404
    assert len(ask.get(f"/api/v1/applications/{app['id']}/jobs").json()) == 5


def test_a_log_written_anew_is_answered_anew(tmp_path: Path, counted: list[int]) -> None:
    log = tmp_path / "log"
    shutil.copy(SAMPLE, log)
    ask = client(tmp_path)
    assert ask.get(f"{BASE}/jobs").json()[0]["name"] != "renamed"
    log.write_bytes(SAMPLE.read_bytes().replace(b'"Stage Name":"', b'"Stage Name":"renamed '))
    assert all(job["name"].startswith("renamed ") for job in ask.get(f"{BASE}/jobs").json())
