"""Runs, reports, findings, feedback and mutes as rows, the same on both databases."""

from pathlib import Path

import pytest

from spark_copilot.rules_engine.errors import NotFound, UsageError
from spark_copilot.storage.database import Database
from spark_copilot.storage.job_queue import JobQueue
from spark_copilot.storage.metadata_repository import KeyReused, MetadataRepository
from spark_copilot.storage.metrics_repository import MetricsRepository
from spark_copilot.storage.text import clean
from tests.storage.builders import add, claimed, finish, outcome, sample_report


def test_a_report_comes_back_as_it_was(database: Database, tmp_path: Path) -> None:
    claim = claimed(database)
    assert finish(database, claim)
    repository = MetadataRepository(database)
    (stored,) = repository.reports("local", claim.run_id)
    assert repository.report_text(stored, tmp_path).decode() == sample_report().model_dump_json(by_alias=True)
    run = repository.run("local", claim.run_id)
    assert (run.status, run.app_name, run.applications, run.original) == ("done", "skewed-join", 1, None)


def test_j15_large_reports_lie_in_a_file(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_copilot.storage.metadata_repository.MAX_BODY_BYTES", 10)
    claim = claimed(database)
    assert finish(database, claim)
    repository = MetadataRepository(database)
    (stored,) = repository.reports("local", claim.run_id)
    assert stored.body is None
    with pytest.raises(NotFound, match="results folder"):
        repository.report_text(stored, tmp_path)
    (tmp_path / "0.json").write_bytes(b"{}")
    assert repository.report_text(stored, tmp_path) == b"{}"


def test_the_same_bytes_are_one_run_of_a_tenant(database: Database) -> None:
    first, again, other = add(database, "a"), add(database, "a"), add(database, "a", tenant="other")
    assert first.id == again.id
    assert other.id != first.id
    with pytest.raises(NotFound):
        MetadataRepository(database).run("other", first.id)
    assert JobQueue(database).depth() == {"queued": 2}


def test_a_failed_run_is_tried_again_with_the_next_upload(database: Database) -> None:
    claim = claimed(database)
    assert JobQueue(database).fail(claim, {"code": "x", "detail": "y"}, final=True)
    again = add(database)
    assert (again.id, again.status, again.error) == (claim.run_id, "queued", None)


def test_another_version_of_the_program_analyses_again(database: Database) -> None:
    claim = claimed(database)
    assert finish(database, claim)
    repository = MetadataRepository(database)
    same = repository.add_run("local", content_hash=claim.content_hash, size_bytes=3, original="uploads/n", analyser="1")
    assert (same.fresh, same.run.status) == (False, "done")
    newer = repository.add_run("local", content_hash=claim.content_hash, size_bytes=3, original="uploads/n", analyser="2")
    assert (newer.fresh, newer.run.status) == (True, "queued")
    claim = JobQueue(database).claim("w")  # type: ignore[assignment]
    assert finish(database, claim)
    assert len(repository.reports("local", claim.run_id)) == 1


def test_idempotency_keys(database: Database) -> None:
    repository = MetadataRepository(database)

    def send(content: str, key: str) -> str:
        return repository.add_run("local", content_hash=content, size_bytes=1, original="u", analyser="1", idempotency_key=key).run.id

    assert send("a", "k") == send("a", "k")
    with pytest.raises(KeyReused):
        send("b", "k")
    assert send("b", "l") != send("a", "k")


def test_pages_go_on_where_the_last_one_ended(database: Database) -> None:
    repository = MetadataRepository(database)
    sent = [add(database, str(n)).id for n in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = repository.runs("local", cursor=cursor, limit=3)
        seen += [run.id for run in page]
        if cursor is None:
            break
    assert sorted(seen) == sorted(sent)
    assert len(seen) == 7
    for wrong in ("x", "", "!!", "W10", "WzEsMl0"):
        with pytest.raises(UsageError, match="not a cursor"):
            repository.runs("local", cursor=wrong)


def test_runs_by_status_and_job(database: Database) -> None:
    claim = claimed(database, "a")
    finish(database, claim)
    add(database, "b")
    repository = MetadataRepository(database)
    assert [r.id for r in repository.runs("local", status="done")[0]] == [claim.run_id]
    assert [r.id for r in repository.runs("local", job="skewed-join")[0]] == [claim.run_id]
    assert repository.runs("local", job="'; DROP TABLE runs; --")[0] == []


def test_feedback_and_mutes(database: Database) -> None:
    claim = claimed(database)
    finish(database, claim)
    repository = MetadataRepository(database)
    finding = sample_report().findings[0]
    repository.add_feedback("local", claim.run_id, finding.key, "useful", None)
    repository.add_feedback("local", claim.run_id, finding.key, "wrong", "no \0 skew \ud800")
    said = repository.feedback("local", claim.run_id)[finding.key]
    assert (said.verdict, said.note, said.fingerprint) == ("wrong", "no \ufffd skew \ufffd", finding.fingerprint)
    with pytest.raises(NotFound):
        repository.add_feedback("other", claim.run_id, finding.key, "useful", None)
    repository.mute("local", finding.fingerprint, "known")
    repository.mute("local", finding.fingerprint, "known well")
    assert [m.reason for m in repository.mutes("local")] == ["known well"]
    assert repository.mutes("other") == []
    repository.unmute("local", finding.fingerprint)
    with pytest.raises(NotFound):
        repository.unmute("local", finding.fingerprint)


def test_history_of_a_job(database: Database) -> None:
    for content, started in (("a", 1_000), ("b", 3_000), ("c", 2_000)):
        report = sample_report()
        report = report.model_copy(update={"application": report.application.model_copy(update={"started_ms": started})})
        assert finish(database, claimed(database, content), outcome(report))
    metrics = MetricsRepository(database)
    assert [m.started_ms for m in metrics.history("local", "skewed-join")] == [3_000, 2_000, 1_000]
    assert [m.started_ms for m in metrics.history("local", "skewed-join", before_ms=3_000, limit=1)] == [2_000]
    assert metrics.history("other", "skewed-join") == []
    first = metrics.history("local", "skewed-join")[0]
    assert metrics.of_run("local", first.run_id).wall_ms == sample_report().application.duration_ms


def test_deleting_forgets_everything_but_mutes(database: Database) -> None:
    claim = claimed(database)
    finish(database, claim)
    repository = MetadataRepository(database)
    repository.mute("local", "0" * 16, None)
    assert repository.delete_run("local", claim.run_id) == (None, "runs/x/1")
    assert repository.reports("local", claim.run_id) == []
    assert MetricsRepository(database).history("local", "skewed-join") == []
    assert repository.events("local", claim.run_id) == []
    assert len(repository.mutes("local")) == 1
    with pytest.raises(NotFound):
        repository.delete_run("local", claim.run_id)


def test_p6_texts_no_database_keeps_are_cleaned_by_one_rule(database: Database) -> None:
    run = add(database, "a", filename="a\0b\ud800c")
    assert MetadataRepository(database).run("local", run.id).filename == "a\ufffdb\ufffdc" == clean("a\0b\ud800c")


def test_names_and_numbers_out_of_all_bounds_are_kept(database: Database) -> None:
    report = sample_report()
    application = report.application.model_copy(
        update={"job": "j" * 9_000, "name": "n\0" * 5_000, "started_ms": 2**80, "duration_ms": -(2**90)}
    )
    claim = claimed(database)
    assert finish(database, claim, outcome(report.model_copy(update={"application": application})))
    assert len(MetricsRepository(database).history("local", "j" * 9_000)) == 1
    assert MetadataRepository(database).runs("local", job="j" * 9_000)[0][0].id == claim.run_id
