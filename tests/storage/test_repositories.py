"""Runs, reports, findings, feedback and mutes as rows, the same on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from spark_copilot.rules_engine.errors import NotFound, UsageError
from spark_copilot.storage.database import Database
from spark_copilot.storage.job_queue import Claim, JobQueue
from spark_copilot.storage.metadata_repository import Added, KeyReused, MetadataRepository
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


def fetch(database: Database, url: str = "s3://logs/x", key: str | None = None) -> Claim:
    """A fetch in the hands of a worker."""
    made = MetadataRepository(database).add_fetch("local", {"url": url}, filename="x", idempotency_key=key)
    claim = JobQueue(database).claim("w")
    assert claim is not None
    assert claim.run_id == made.id
    return claim


def came(database: Database, claim: Claim, content_hash: str) -> Added | None:
    repository = MetadataRepository(database)
    return JobQueue(database).holding(
        claim,
        lambda session: repository.fetched(session, claim, content_hash=content_hash, size_bytes=5, original="uploads/n", analyser="1"),
    )


def test_a_fetched_log_becomes_the_runs(database: Database) -> None:
    claim = fetch(database)
    added = came(database, claim, "h")
    assert added is not None
    assert (added.run.id, added.fresh) == (claim.run_id, True)
    run = MetadataRepository(database).run("local", claim.run_id)
    assert (run.content_hash, run.size_bytes, run.original, run.source) == ("h", 5, "uploads/n", {"url": "s3://logs/x"})
    assert finish(database, replace(claim, content_hash="h"))


@pytest.mark.parametrize("ended", ["done", "failed"])
def test_a_fetch_of_known_bytes_is_another_name_of_their_run(database: Database, ended: str) -> None:
    repository, queue = MetadataRepository(database), JobQueue(database)
    first = claimed(database)
    assert finish(database, first) if ended == "done" else queue.fail(first, {"code": "x", "detail": "y"}, final=True)
    names = []
    for key in ("one", "two"):
        claim = fetch(database, key=key)
        added = came(database, claim, first.content_hash)
        assert added is not None
        assert added.run.id == first.run_id
        assert added.fresh == (ended == "failed" and key == "one")
        names.append(claim.run_id)
        assert repository.add_fetch("local", {"url": "s3://logs/x"}, filename="x", idempotency_key=key).id == first.run_id
        if ended == "failed" and key == "one":
            again = queue.claim("w")
            assert again is not None
            assert (again.run_id, again.original) == (first.run_id, "uploads/n")
            assert finish(database, again)
    assert [repository.run("local", name).id for name in names] == [first.run_id] * 2
    assert len(repository.reports("local", names[0])) == 1
    with pytest.raises(NotFound):
        repository.run("other", names[0])
    assert repository.reports("other", names[0]) == []
    assert len(repository.runs("local")[0]) == 1
    repository.delete_run("local", names[1])
    for name in (*names, first.run_id):
        with pytest.raises(NotFound):
            repository.run("local", name)


def test_what_a_stale_fetch_brings_changes_nothing(database: Database) -> None:
    claim = fetch(database)
    JobQueue(database).cancel("local", claim.run_id)
    assert came(database, claim, "h") is None
    assert MetadataRepository(database).run("local", claim.run_id).original is None
    fetch(database, key="k")
    with pytest.raises(KeyReused):
        fetch(database, "s3://logs/y", key="k")


def test_two_fetches_of_the_same_bytes_at_the_same_time_are_one_run(database: Database) -> None:
    claims = [fetch(database, f"s3://logs/{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = [added for added in pool.map(lambda claim: came(database, claim, "same"), claims) if added is not None]
    assert len(found) == 4
    (run,), _ = MetadataRepository(database).runs("local")
    assert {MetadataRepository(database).run("local", claim.run_id).id for claim in claims} == {run.id}
