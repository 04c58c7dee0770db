"""Leases, tokens and attempts, the same on both databases."""

import threading
from collections import Counter

import pytest

from spark_copilot.rules_engine.errors import CopilotError, NotFound
from spark_copilot.storage.database import EVERYONE, Database
from spark_copilot.storage.job_queue import MAX_WORKERS_LOST, JobQueue, RunFinished
from spark_copilot.storage.metadata_repository import MetadataRepository
from tests.storage.builders import add, claimed, finish

GONE = -1_000  # a lease that has run out when it begins


def _again(database: Database) -> None:
    """Let the wait before the next attempt be over."""
    from sqlalchemy import update

    from spark_copilot.storage.models import Job

    database.write(EVERYONE, lambda session: session.execute(update(Job).values(ready_ms=0)))


def test_the_oldest_comes_first_and_nobody_gets_it_twice(database: Database) -> None:
    first, second = add(database, "1"), add(database, "2")
    queue = JobQueue(database)
    claims = [queue.claim("a"), queue.claim("b"), queue.claim("c")]
    assert [c.run_id if c else None for c in claims[:2]] != [None, None]
    assert {c.run_id for c in claims if c} == {first.id, second.id}
    assert claims[2] is None


def test_j1_a_stale_worker_changes_nothing(database: Database) -> None:
    add(database)
    old = JobQueue(database, lease_ms=GONE).claim("old")
    assert old is not None
    queue = JobQueue(database)
    assert queue.sweep() == 1
    _again(database)
    new = queue.claim("new")
    assert new is not None
    assert (new.job_id, new.attempt) == (old.job_id, 2)
    assert new.token > old.token
    assert not queue.heartbeat(old, {"stage": "x", "share": 0.1})
    assert not finish(database, old)
    assert not queue.fail(old, {"code": "x", "detail": "y"}, final=True)
    assert not queue.release(old)
    assert MetadataRepository(database).reports("local", old.run_id) == []
    assert finish(database, new)
    assert not finish(database, new)
    assert [e.name for e in MetadataRepository(database).events("local", old.run_id)].count("done") == 1


def test_j2_the_lease_runs_from_the_claim(database: Database) -> None:
    add(database)
    assert JobQueue(database, lease_ms=GONE).claim("dies before its first heartbeat") is not None
    assert JobQueue(database).sweep() == 1


def test_a_worker_known_to_be_gone_is_not_waited_for(database: Database) -> None:
    claimed(database)
    queue = JobQueue(database)
    assert queue.holders() == {"w"}
    assert queue.sweep(["other"]) == 0
    assert queue.sweep(["w"]) == 1
    assert queue.holders() == set()


def test_a_heartbeat_keeps_the_lease(database: Database) -> None:
    claim = claimed(database)
    queue = JobQueue(database)
    assert queue.heartbeat(claim, {"stage": "parsing", "share": 0.4}, (("parsing", {"share": 0.5}),))
    assert queue.sweep() == 0
    run = MetadataRepository(database).run("local", claim.run_id)
    assert (run.status, run.progress) == ("running", {"stage": "parsing", "share": 0.4})


def test_j4_three_attempts_then_dead(database: Database) -> None:
    add(database)
    queue = JobQueue(database)
    error = {"code": "analysis-crashed", "detail": "it fell over"}
    run_id = ""
    for attempt in (1, 2, 3):
        claim = queue.claim("w")
        assert claim is not None
        run_id = claim.run_id
        assert claim.attempt == attempt
        assert queue.fail(claim, error, final=False)
        if attempt < 3:
            assert queue.claim("w") is None  # not at once
            _again(database)
    assert queue.depth() == {"dead": 1}
    run = MetadataRepository(database).run("local", run_id)
    assert (run.status, run.error, run.original) == ("failed", error, None)


def test_j1_lost_workers_do_not_use_up_the_attempts(database: Database) -> None:
    add(database)
    queue, doomed = JobQueue(database), JobQueue(database, lease_ms=GONE)
    error = {"code": "analysis-crashed", "detail": "it fell over"}
    for number in range(5):
        assert doomed.claim(f"w{number}") is not None
        assert queue.sweep() == 1
        _again(database)
    for _ in range(2):
        claim = queue.claim("w")
        assert claim is not None
        assert queue.fail(claim, error, final=False)
        _again(database)
    last = queue.claim("w")
    assert last is not None
    assert last.attempt == 8
    assert finish(database, last)
    assert queue.depth() == {"done": 1}


def test_j4_a_job_that_kills_its_workers_ends(database: Database) -> None:
    run = add(database)
    queue, doomed = JobQueue(database), JobQueue(database, lease_ms=GONE)
    taken = 0
    while doomed.claim("w") is not None:
        taken += 1
        assert taken <= MAX_WORKERS_LOST
        assert queue.sweep() == 1
        _again(database)
    assert taken == MAX_WORKERS_LOST
    assert queue.depth() == {"dead": 1}
    ended = MetadataRepository(database).run("local", run.id)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error["code"] == "worker-lost"


def test_j4_crashes_count_whatever_was_lost_between(database: Database) -> None:
    add(database)
    queue, doomed = JobQueue(database), JobQueue(database, lease_ms=GONE)
    for number in range(3):
        assert queue.depth() == {"queued": 1}
        assert doomed.claim("dies") is not None
        assert queue.sweep() == 1
        _again(database)
        claim = queue.claim("w")
        assert claim is not None
        assert queue.fail(claim, {"code": "analysis-crashed", "detail": f"{number}"}, final=False)
        _again(database)
    assert queue.depth() == {"dead": 1}


def test_j13_a_stopped_worker_gives_back_without_counting(database: Database) -> None:
    claim = claimed(database)
    queue = JobQueue(database)
    assert queue.release(claim)
    again = queue.claim("w")
    assert again is not None
    assert again.attempt == 1


@pytest.mark.parametrize("state", ["queued", "running"])
def test_j12_cancel(database: Database, state: str) -> None:
    run = add(database)
    queue = JobQueue(database)
    claim = queue.claim("w") if state == "running" else None
    queue.cancel("local", run.id)
    queue.cancel("local", run.id)
    assert MetadataRepository(database).run("local", run.id).status == "cancelled"
    assert queue.claim("w") is None
    if claim is not None:
        assert not queue.heartbeat(claim)
        assert not finish(database, claim)
    assert [e.name for e in MetadataRepository(database).events("local", run.id)].count("cancelled") == 1


def test_j12_what_has_ended_cannot_be_cancelled(database: Database) -> None:
    claim = claimed(database)
    finish(database, claim)
    with pytest.raises(RunFinished):
        JobQueue(database).cancel("local", claim.run_id)
    with pytest.raises(NotFound):
        JobQueue(database).cancel("other", claim.run_id)


def test_a_deleted_run_is_lost_to_its_worker(database: Database) -> None:
    claim = claimed(database)
    MetadataRepository(database).delete_run("local", claim.run_id)
    assert not JobQueue(database).heartbeat(claim)
    assert not finish(database, claim)


def test_j3_many_workers_no_job_twice(database: Database) -> None:
    for number in range(40):
        add(database, str(number))
    got: list[str] = []
    failures: list[CopilotError] = []

    def work() -> None:
        queue = JobQueue(database)
        try:
            while (claim := queue.claim(threading.current_thread().name)) is not None:
                got.append(claim.job_id)
        except CopilotError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    # A claim may find nothing while others hold the last rows, so some may be left for a second look.
    work()
    assert Counter(got).most_common(1)[0][1] == 1
    assert len(got) == 40
