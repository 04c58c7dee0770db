"""The queue of analyses: a table with leases. At least once in execution, once in effect.

A worker claims a job and holds it by heartbeats. Every claim raises the job's token, and whatever a worker writes names its token, so a worker
that was taken for dead and comes back changes nothing. A job whose analysis failed is queued again, three times by default, then it is dead and
its run has failed. A job whose worker was lost is queued again without that counting, since workers are killed for many reasons; only when it has
lost so many that it may be what kills them it is dead too. No transaction is open while a job is worked on.
"""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from spark_copilot.rules_engine.errors import Conflict, NotFound
from spark_copilot.storage.database import EVERYONE, Database, clock, now_ms
from spark_copilot.storage.models import CANCELLED, DEAD, DONE, FAILED, FINISHED, QUEUED, RUNNING, Job, Run, RunEvent

T = TypeVar("T")

DEFAULT_LEASE_MS = 30_000
DEFAULT_ATTEMPTS = 3
MAX_WORKERS_LOST = 10
"""An analysis runs in a process of its own, so a log that takes its worker along is rare; one that has cost as many is it."""
_BACKOFF_MS = 1_000
"""Wait before the second attempt; doubled with each, up to five times."""


class RunFinished(Conflict):
    """Asked to stop what has ended."""

    code = "run-finished"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in the hands of one worker. `token` tells this claim from every earlier and later one."""

    job_id: str
    run_id: str
    tenant: str
    token: int
    attempt: int
    content_hash: str
    original: str | None
    traceparent: str | None


class JobQueue:
    """Claims, heartbeats and ends of jobs."""

    def __init__(self, database: Database, *, lease_ms: int = DEFAULT_LEASE_MS) -> None:
        self.database, self.lease_ms = database, lease_ms

    def claim(self, worker: str) -> Claim | None:
        """The oldest job that waits, now this worker's; None when none does. The lease runs from here."""
        return self.database.write(EVERYONE, lambda session: self._claim(session, worker))

    def heartbeat(self, claim: Claim, progress: dict[str, Any] | None = None, events: tuple[tuple[str, dict[str, Any]], ...] = ()) -> bool:
        """Hold the job for another lease and say how far it is. False: it is no longer this claim's (cancelled, deleted, or given away)."""

        def work(session: Session) -> bool:
            if not self._hold(session, claim, {"lease_until_ms": now_ms() + self.lease_ms}):
                return False
            if progress is not None:
                session.execute(update(Run).where(Run.id == claim.run_id).values(progress=progress))
            for name, data in events:
                add_event(session, claim.tenant, claim.run_id, name, data)
            return True

        return self.database.write(claim.tenant, work)

    def finish(self, claim: Claim, store: Callable[[Session], None], events: tuple[tuple[str, dict[str, Any]], ...] = ()) -> bool:
        """End the job and store what it made, both or neither. False: the claim is stale, and nothing was stored."""

        def work(session: Session) -> bool:
            if not self._hold(session, claim, {"status": DONE, "lease_until_ms": None}):
                return False
            store(session)
            for name, data in events:
                add_event(session, claim.tenant, claim.run_id, name, data)
            session.execute(
                update(Run)
                .where(Run.id == claim.run_id)
                .values(status=DONE, finished_ms=now_ms(), error=None, progress={"stage": "done", "share": 1.0})
            )
            add_event(session, claim.tenant, claim.run_id, "done", {"status": DONE})
            return True

        return self.database.write(claim.tenant, work)

    def holding(self, claim: Claim, work: Callable[[Session], T]) -> T | None:
        """Do this in a transaction that holds the job. None: the claim is stale, and nothing was done."""

        def held(session: Session) -> T | None:
            if not self._hold(session, claim, {"lease_until_ms": now_ms() + self.lease_ms}):
                return None
            return work(session)

        return self.database.write(claim.tenant, held)

    def fail(self, claim: Claim, error: dict[str, Any], *, final: bool) -> bool:
        """The attempt failed. `final`: another one would fail as well, so the run has failed; else it is tried again while attempts are left."""

        def work(session: Session) -> bool:
            job = self._locked(session, claim)
            if job is None:
                return False
            self._end_attempt(session, job, error, final=final)
            return True

        return self.database.write(claim.tenant, work)

    def release(self, claim: Claim) -> bool:
        """Give the job back untried: the worker is being stopped."""

        def work(session: Session) -> bool:
            if not self._hold(session, claim, {"status": QUEUED, "lease_until_ms": None, "worker": None, "attempts": Job.attempts - 1}):
                return False
            session.execute(update(Run).where(Run.id == claim.run_id).values(status=QUEUED, progress={"stage": "queued", "share": 0.0}))
            add_event(session, claim.tenant, claim.run_id, "queued", {"status": QUEUED})
            return True

        return self.database.write(claim.tenant, work)

    def holders(self) -> set[str]:
        """Names of the workers that hold jobs."""
        with self.database.read(EVERYONE) as session:
            return {name for name in session.scalars(select(Job.worker).where(Job.status == RUNNING).distinct()) if name is not None}

    def sweep(self, gone: Collection[str] = ()) -> int:
        """Take back the jobs whose lease ran out, and those of workers that are known to be gone; how many they were."""

        def work(session: Session) -> int:
            lost = or_(Job.lease_until_ms < now_ms(), Job.worker.in_(gone))
            late = session.scalars(select(Job).where(Job.status == RUNNING, lost).with_for_update(skip_locked=True).limit(100)).all()
            error = {"code": "worker-lost", "detail": "the worker that held this job did not answer any more"}
            for job in late:
                job.workers_lost += 1
                self._end_attempt(session, job, error, final=False)
            return len(late)

        return self.database.write(EVERYONE, work)

    def cancel(self, tenant: str, run_id: str) -> None:
        """Stop a run that waits or is worked on; its worker hears of it with the next heartbeat. Twice is the same as once.

        Raises:
            NotFound: no such run of this tenant.
            RunFinished: it is done or has failed.
        """

        def work(session: Session) -> None:
            jobs = session.scalars(
                select(Job).where(Job.run_id == run_id, Job.tenant == tenant, Job.status.in_((QUEUED, RUNNING))).with_for_update()
            ).all()
            run = session.scalar(select(Run).where(Run.id == run_id, Run.tenant == tenant))
            if run is None:
                raise NotFound(f"no run {run_id!r}")
            if run.status == CANCELLED:
                return
            if run.status in FINISHED:
                raise RunFinished(f"the run is {run.status}", hint="only a run that is queued or running can be cancelled")
            for job in jobs:
                job.status, job.lease_until_ms = CANCELLED, None
            run.status, run.progress, run.original = CANCELLED, {"stage": CANCELLED, "share": 0.0}, None
            run.finished_ms = clock(session)
            add_event(session, tenant, run_id, CANCELLED, {"status": CANCELLED})

        self.database.write(tenant, work)

    def depth(self) -> dict[str, int]:
        """Jobs by status."""
        with self.database.read(EVERYONE) as session:
            rows = session.execute(select(Job.status, func.count()).group_by(Job.status)).all()
        return {str(row[0]): int(row[1]) for row in rows}

    def oldest_ms(self) -> int:
        """How long the oldest job that waits has waited; 0 when none does."""
        with self.database.read(EVERYONE) as session:
            since = session.scalar(select(func.min(Job.created_ms)).where(Job.status == QUEUED))
            return max(clock(session) - since, 0) if since is not None else 0

    def _claim(self, session: Session, worker: str) -> Claim | None:
        job = session.scalar(
            select(Job)
            .where(Job.status == QUEUED, Job.ready_ms <= now_ms())
            .order_by(Job.created_ms, Job.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if job is None:
            return None
        now = clock(session)
        job.status, job.worker, job.lease_until_ms = RUNNING, worker, now + self.lease_ms
        job.token += 1
        job.attempts += 1
        run = session.get_one(Run, job.run_id)
        run.status, run.started_ms = RUNNING, run.started_ms or now
        run.progress = {"stage": "starting", "share": 0.0}
        add_event(session, job.tenant, job.run_id, "running", {"status": RUNNING, "attempt": job.attempts})
        return Claim(job.id, job.run_id, job.tenant, job.token, job.attempts, run.content_hash, run.original, job.traceparent)

    def _hold(self, session: Session, claim: Claim, values: dict[str, Any]) -> bool:
        """Write to the job as its holder: the one place where a stale token is told."""
        held = session.execute(
            update(Job)
            .where(Job.id == claim.job_id, Job.token == claim.token, Job.status == RUNNING)
            .values(values)
            .execution_options(synchronize_session=False)
        )
        return bool(held.rowcount == 1)  # type: ignore[attr-defined]

    def _locked(self, session: Session, claim: Claim) -> Job | None:
        return session.scalar(select(Job).where(Job.id == claim.job_id, Job.token == claim.token, Job.status == RUNNING).with_for_update())

    def _end_attempt(self, session: Session, job: Job, error: dict[str, Any], *, final: bool) -> None:
        run = session.get_one(Run, job.run_id)
        now = clock(session)
        job.last_error, job.lease_until_ms = error, None
        failures = job.attempts - job.workers_lost
        if final or failures >= job.max_attempts or job.workers_lost >= MAX_WORKERS_LOST:
            job.status = FAILED if final else DEAD
            run.status, run.error, run.finished_ms = FAILED, error, now
            run.original = None  # nobody reads it again; what no row names is swept
            run.progress = {"stage": FAILED, "share": 0.0}
            add_event(session, job.tenant, job.run_id, FAILED, {"status": FAILED, "error": error})
            return
        job.status, job.worker = QUEUED, None
        job.ready_ms = now + _BACKOFF_MS * 2 ** min(job.attempts - 1, 5)
        run.status, run.progress = QUEUED, {"stage": "queued", "share": 0.0}
        add_event(session, job.tenant, job.run_id, QUEUED, {"status": QUEUED, "because": error["detail"]})


def enqueue(session: Session, run: Run, *, max_attempts: int = DEFAULT_ATTEMPTS, traceparent: str | None = None) -> None:
    """A job for this run, in the caller's transaction: there is never the one without the other."""
    now = clock(session)
    run.status, run.error, run.finished_ms, run.started_ms = QUEUED, None, None, None
    run.progress = {"stage": "queued", "share": 0.0}
    session.flush()
    session.add(
        Job(
            id=secrets.token_hex(16), tenant=run.tenant, run_id=run.id, status=QUEUED, attempts=0, max_attempts=max_attempts, token=0,
            ready_ms=now, created_ms=now, traceparent=traceparent,
        )
    )  # fmt: skip
    add_event(session, run.tenant, run.id, QUEUED, {"status": QUEUED})


def add_event(session: Session, tenant: str, run_id: str, name: str, data: dict[str, Any]) -> None:
    """One more event of a run. The caller holds the run's job, so that no two writers count at the same time."""
    last = session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run_id)) or 0
    session.add(RunEvent(run_id=run_id, seq=last + 1, tenant=tenant, name=name, data=data, at_ms=clock(session)))
    session.flush()


def forget_jobs(session: Session, run_id: str) -> None:
    """Drop the jobs of a run that is being deleted; before the run itself, in the order in which claims lock them."""
    session.execute(delete(Job).where(Job.run_id == run_id))
