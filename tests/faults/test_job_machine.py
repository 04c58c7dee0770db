"""The queue against a model (J12): whatever is done to runs and jobs, in any order, by live workers and by those taken for dead, the states stay legal."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import update

from spark_copilot.rules_engine.errors import NotFound
from spark_copilot.storage import migrate
from spark_copilot.storage.database import EVERYONE, Database
from spark_copilot.storage.job_queue import DEFAULT_ATTEMPTS, MAX_WORKERS_LOST, Claim, JobQueue, RunFinished
from spark_copilot.storage.metadata_repository import MetadataRepository
from spark_copilot.storage.models import Job
from tests.storage.builders import add, finish

ERROR = {"code": "analysis-crashed", "detail": "it fell over"}
OVER_MS = -1_000  # a lease that has run out when it begins


@dataclass
class Modelled:
    """What a run should be. `holder`: the claim whose writes count, and whether its lease has run out."""

    status: str = "queued"
    attempts: int = 0
    lost: int = 0
    holder: Claim | None = None
    late: bool = False
    done: int = 0


class Jobs(RuleBasedStateMachine):
    """Uploads, workers, deaths, cancellations, deletions."""

    runs = Bundle("runs")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(f"sqlite:///{self.folder}/jobs.db", self.folder)
        migrate.upgrade(self.database)
        self.queue, self.repository = JobQueue(self.database), MetadataRepository(self.database)
        self.model: dict[str, Modelled] = {}

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    @rule(target=runs, content=st.sampled_from("abcd"))
    def upload(self, content: str) -> str:
        run = add(self.database, content)
        known = self.model.get(run.id)
        if known is None or known.status in ("failed", "cancelled"):
            self.model[run.id] = Modelled(done=known.done if known else 0)
        return run.id

    @rule(target=claims, dies=st.booleans())
    def claim(self, dies: bool) -> object:
        self.database.write(
            EVERYONE, lambda session: session.execute(update(Job).values(ready_ms=0))
        )  # the wait before the next attempt is over
        got = JobQueue(self.database, lease_ms=OVER_MS).claim("w") if dies else self.queue.claim("w")
        waiting = {run for run, one in self.model.items() if one.status == "queued"}
        assert (got is None) == (not waiting)
        if got is None:
            return multiple()
        assert got.run_id in waiting
        run = self.model[got.run_id]
        run.status, run.attempts, run.holder, run.late = "running", run.attempts + 1, got, dies
        assert got.attempt == run.attempts
        return got

    def held(self, claim: Claim) -> Modelled | None:
        run = self.model.get(claim.run_id)
        return run if run is not None and run.holder is claim else None

    def ended(self, run: Modelled, *, final: bool) -> None:
        run.holder = None
        over = run.attempts - run.lost >= DEFAULT_ATTEMPTS or run.lost >= MAX_WORKERS_LOST
        run.status = "failed" if final or over else "queued"

    @rule(claim=claims)
    def heartbeat(self, claim: Claim) -> None:
        run = self.held(claim)
        assert self.queue.heartbeat(claim, {"stage": "parsing", "share": 0.5}) == (run is not None)
        if run is not None:
            run.late = False

    @rule(claim=claims)
    def finish(self, claim: Claim) -> None:
        run = self.held(claim)
        assert finish(self.database, claim) == (run is not None)
        if run is not None:
            run.status, run.holder, run.done = "done", None, run.done + 1

    @rule(claim=claims, final=st.booleans())
    def fail(self, claim: Claim, final: bool) -> None:
        run = self.held(claim)
        assert self.queue.fail(claim, ERROR, final=final) == (run is not None)
        if run is not None:
            self.ended(run, final=final)

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        run = self.held(claim)
        assert self.queue.release(claim) == (run is not None)
        if run is not None:
            run.status, run.holder, run.attempts = "queued", None, run.attempts - 1

    @rule()
    def sweep(self) -> None:
        late = [run for run in self.model.values() if run.status == "running" and run.late]
        assert self.queue.sweep() == len(late)
        for run in late:
            run.lost += 1
            self.ended(run, final=False)

    @rule(run_id=runs)
    def cancel(self, run_id: str) -> None:
        run = self.model.get(run_id)
        if run is None:
            with pytest.raises(NotFound):
                self.queue.cancel("local", run_id)
        elif run.status in ("done", "failed"):
            with pytest.raises(RunFinished):
                self.queue.cancel("local", run_id)
        else:
            self.queue.cancel("local", run_id)
            run.status, run.holder = "cancelled", None

    @rule(run_id=consumes(runs))
    def delete(self, run_id: str) -> None:
        if self.model.pop(run_id, None) is None:
            with pytest.raises(NotFound):
                self.repository.delete_run("local", run_id)
        else:
            self.repository.delete_run("local", run_id)

    @invariant()
    def the_database_says_the_same(self) -> None:
        listed, _ = self.repository.runs("local")
        assert {run.id: run.status for run in listed} == {run_id: one.status for run_id, one in self.model.items()}
        depth = self.queue.depth()
        for state in ("queued", "running"):
            assert depth.get(state, 0) == sum(one.status == state for one in self.model.values())
        for run_id, one in self.model.items():
            names = [event.name for event in self.repository.events("local", run_id)]
            assert names.count("done") == one.done
            assert len(self.repository.reports("local", run_id)) == min(one.done, 1)


def test_j12_the_states_of_runs_and_jobs_stay_legal() -> None:
    run_state_machine_as_test(
        Jobs,
        settings=settings(
            max_examples=20, stateful_step_count=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
