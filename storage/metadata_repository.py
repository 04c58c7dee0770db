"""What is known of runs: uploads, states, reports, findings, and what people say of them. Nothing is seen across tenants."""

import base64
import binascii
import hashlib
import json
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ScalarSelect, and_, delete, func, inspect, literal, or_, select, update
from sqlalchemy.orm import Session, defer

from spark_copilot.rules_engine.errors import BadInput, NotFound, UsageError
from spark_copilot.rules_engine.findings import Report
from spark_copilot.storage.database import EVERYONE, Database, clock
from spark_copilot.storage.job_queue import DEFAULT_ATTEMPTS, Claim, enqueue, forget_jobs
from spark_copilot.storage.models import (
    CANCELLED,
    DONE,
    FAILED,
    FETCHED_LATER,
    QUEUED,
    RUNNING,
    Feedback,
    FindingRow,
    IdempotencyKey,
    Job,
    Mute,
    Run,
    RunAlias,
    RunEvent,
    RunMetrics,
    StoredReport,
    TableSeen,
    Upload,
)
from spark_copilot.storage.text import CleanText
from spark_copilot.storage.upload_repository import advance

MAX_BODY_BYTES = 8 << 20
"""Packed reports up to this size lie in the database; larger ones stay in the results folder, and the row says so by having no body."""
MAX_INDEXED = 500
"""Characters of a name that is looked up by; an index entry of PostgreSQL takes no more than about 2,700 bytes."""


class KeyReused(BadInput):
    """The idempotency key belongs to another log."""

    code = "idempotency-key-reused"
    hint = "Take a new Idempotency-Key for every new upload."


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an upload. `fresh`: the run did not have these bytes, so the file is now the run's."""

    run: Run
    fresh: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has: runs, bytes of their logs and of uploads that are announced, jobs that wait or run."""

    runs: int
    stored_bytes: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Analysed:
    """The outcome of an analysis, to be stored in one go. `texts` is the JSON of each report, as it is served."""

    reports: Sequence[Report]
    texts: Sequence[bytes]
    results: str
    analyser: str
    original: str | None
    rows: Sequence[dict[str, Any] | None] = ()
    """What prediction reads of each application; none where the analysis left none."""


class MetadataRepository:
    """Runs and what hangs on them."""

    def __init__(self, database: Database, *, max_attempts: int = DEFAULT_ATTEMPTS) -> None:
        self.database, self.max_attempts = database, max_attempts

    def add_run(
        self,
        tenant: str,
        *,
        content_hash: str,
        size_bytes: int,
        original: str,
        analyser: str,
        filename: str | None = None,
        idempotency_key: str | None = None,
        upload: tuple[str, int] | None = None,
        traceparent: str | None = None,
    ) -> Added:
        """A run for these bytes and the job that analyses them; the tenant's old run when it has these bytes already.

        A run that failed, was cancelled, or was made by another version of the program is queued again.

        `traceparent`: the request's trace, in which the analysis is told of.
        With `upload` (its id, and the bytes it had before its last chunk) that resumable upload ends in the same transaction.

        Raises:
            KeyReused: the idempotency key came with other bytes before.
            WrongOffset: the upload was written to by somebody else meanwhile.
        """

        def work(session: Session) -> Added:
            if idempotency_key is not None:
                known = session.get(IdempotencyKey, (tenant, idempotency_key))
                if known is not None and known.content_hash != content_hash:
                    raise KeyReused("this Idempotency-Key came with another body before")
                if known is not None:
                    return Added(session.get_one(Run, known.run_id), fresh=False)
            run = session.scalar(select(Run).where(Run.tenant == tenant, Run.content_hash == content_hash).with_for_update())
            fresh = run is None or _to_do(run, analyser)
            if run is None:
                run = Run(
                    id=secrets.token_hex(16), tenant=tenant, content_hash=content_hash, filename=filename, size_bytes=size_bytes,
                    status="", progress={}, applications=0, created_ms=clock(session),
                )  # fmt: skip
                session.add(run)
            if fresh:
                run.original = original
                enqueue(session, run, max_attempts=self.max_attempts, traceparent=traceparent)
            if upload is not None:
                session.flush()
                advance(session, *upload, size_bytes, run.id)
            if idempotency_key is not None:
                session.flush()
                session.add(
                    IdempotencyKey(tenant=tenant, key=idempotency_key, content_hash=content_hash, run_id=run.id, at_ms=clock(session))
                )
            return Added(run, fresh)

        return self.database.write(tenant, work)

    def add_fetch(
        self, tenant: str, source: dict[str, Any], *, filename: str, idempotency_key: str | None = None, traceparent: str | None = None
    ) -> Run:
        """A run whose log the worker fetches first, and its job.

        Raises:
            KeyReused: the idempotency key came with another log before.
        """
        digest = FETCHED_LATER + hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()

        def work(session: Session) -> Run:
            if idempotency_key is not None and (known := session.get(IdempotencyKey, (tenant, idempotency_key))) is not None:
                if known.content_hash != digest:
                    raise KeyReused("this Idempotency-Key came with another log before")
                return session.get_one(Run, known.run_id)
            run_id = secrets.token_hex(16)
            run = Run(
                id=run_id, tenant=tenant, content_hash=FETCHED_LATER + run_id, filename=filename, size_bytes=0, status="", progress={},
                applications=0, created_ms=clock(session), source=source,
            )  # fmt: skip
            session.add(run)
            enqueue(session, run, max_attempts=self.max_attempts, traceparent=traceparent)
            if idempotency_key is not None:
                session.add(IdempotencyKey(tenant=tenant, key=idempotency_key, content_hash=digest, run_id=run.id, at_ms=clock(session)))
            return run

        return self.database.write(tenant, work)

    def fetched(self, session: Session, claim: Claim, *, content_hash: str, size_bytes: int, original: str, analyser: str) -> Added:
        """The log of a fetch has come, inside a transaction that holds its claim.

        When the tenant has a run with these bytes, the fetch becomes another name of that one, and its own run and job are gone. `fresh` as in
        `add_run`.
        """
        mine = session.get_one(Run, claim.run_id)
        same = select(Run).where(Run.tenant == claim.tenant, Run.content_hash == content_hash, Run.id != mine.id)
        other = session.scalar(same.with_for_update())
        if other is None:
            mine.content_hash, mine.size_bytes, mine.original = content_hash, size_bytes, original
            return Added(mine, fresh=True)
        fresh = _to_do(other, analyser)
        if fresh:
            other.original = original
            enqueue(session, other, max_attempts=self.max_attempts, traceparent=claim.traceparent)
        for table in (IdempotencyKey, RunAlias):
            session.execute(update(table).where(table.run_id == mine.id).values(run_id=other.id))
        session.add(RunAlias(id=mine.id, tenant=claim.tenant, run_id=other.id))
        forget_jobs(session, mine.id)
        session.execute(delete(Run).where(Run.id == mine.id))
        return Added(other, fresh)

    def run(self, tenant: str, run_id: str) -> Run:
        """One run, by its id or that of a fetch that brought the same bytes.

        Raises:
            NotFound: no such run of this tenant.
        """
        with self.database.read(tenant) as session:
            run = session.scalar(select(Run).where(Run.id == _real(tenant, run_id), Run.tenant == tenant))
        if run is None:
            raise NotFound(f"no run {run_id!r}")
        return run

    def runs(
        self, tenant: str, *, status: str | None = None, job: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> tuple[list[Run], str | None]:
        """Runs, the newest first, and where the next page begins.

        Raises:
            UsageError: a cursor that was not given out.
        """
        wanted = select(Run).where(Run.tenant == tenant).order_by(Run.created_ms.desc(), Run.id.desc()).limit(limit + 1)
        if status is not None:
            wanted = wanted.where(Run.status == status)
        if job is not None:
            wanted = wanted.where(Run.job == job[:MAX_INDEXED])
        if cursor is not None:
            created, last = _decoded(cursor)
            wanted = wanted.where(or_(Run.created_ms < created, and_(Run.created_ms == created, Run.id < last)))
        with self.database.read(tenant) as session:
            found = list(session.scalars(wanted))
        more = len(found) > limit
        found = found[:limit]
        return found, _encoded(found[-1].created_ms, found[-1].id) if more else None

    def usage(self, tenant: str) -> Usage:
        """How much a tenant has."""
        with self.database.read(tenant) as session:
            count, size = session.execute(
                select(func.count(), func.coalesce(func.sum(Run.size_bytes), 0)).where(Run.tenant == tenant)
            ).one()
            announced = select(func.coalesce(func.sum(Upload.length), 0)).where(Upload.tenant == tenant, Upload.run_id.is_(None))
            active = select(func.count()).select_from(Job).where(Job.tenant == tenant, Job.status.in_((QUEUED, RUNNING)))
            return Usage(count, int(size) + int(session.scalar(announced) or 0), session.scalar(active) or 0)

    def done_runs(self, tenant: str) -> list[tuple[Run, list[StoredReport]]]:
        """Every finished run with its reports (without their bodies), the newest first."""
        with self.database.read(tenant) as session:
            runs = list(session.scalars(select(Run).where(Run.tenant == tenant, Run.status == DONE).order_by(Run.finished_ms.desc())))
            rows = session.scalars(
                select(StoredReport)
                .join(Run, Run.id == StoredReport.run_id)
                .where(Run.tenant == tenant, Run.status == DONE)
                .order_by(StoredReport.number)
                .options(defer(StoredReport.body, raiseload=True))
            ).all()
        by_run: dict[str, list[StoredReport]] = {}
        for row in rows:
            by_run.setdefault(row.run_id, []).append(row)
        return [(run, by_run.get(run.id, [])) for run in runs]

    def delete_run(self, tenant: str, run_id: str) -> tuple[str | None, str | None]:
        """Forget a run with all that hangs on it; the paths of its log and its results, which the caller removes.

        Raises:
            NotFound: no such run of this tenant.
        """

        def work(session: Session) -> tuple[str | None, str | None]:
            found = session.scalar(select(Run).where(Run.id == _real(tenant, run_id), Run.tenant == tenant))
            if found is None:
                raise NotFound(f"no run {run_id!r}")
            forget_jobs(session, found.id)
            session.execute(delete(Run).where(Run.id == found.id))
            return found.original, found.results

        return self.database.write(tenant, work)

    def store(self, session: Session, claim: Claim, made: Analysed) -> None:
        """Keep the outcome of an analysis, inside the transaction that ends its job. What an earlier analysis left is replaced."""
        for table in (StoredReport,):  # the rest goes with it
            session.execute(delete(table).where(table.run_id == claim.run_id))
        now = clock(session)
        for number, (report, text) in enumerate(zip(made.reports, made.texts, strict=True)):
            packed = zlib.compress(text, 6)
            session.add(
                StoredReport(
                    run_id=claim.run_id, number=number, tenant=claim.tenant, content_hash=claim.content_hash, analyser=made.analyser,
                    app_id=report.application.id, attempt=report.application.attempt, etag=hashlib.sha256(text).hexdigest(),
                    body=packed if len(packed) <= MAX_BODY_BYTES else None,
                )
            )  # fmt: skip
            session.flush()
            session.add_all(_findings(claim, number, report))
            session.add(_metrics(claim, number, report, made.rows[number] if number < len(made.rows) else None))
            session.add_all(_tables(claim, number, report, now))
        first = made.reports[0].application
        run = session.get_one(Run, claim.run_id)
        run.results, run.analyser, run.original, run.applications = made.results, made.analyser, made.original, len(made.reports)
        run.app_id, run.app_name, run.job = first.id, first.name, first.job[:MAX_INDEXED]
        session.flush()

    def reports(self, tenant: str, run_id: str, *, bodies: bool = True) -> list[StoredReport]:
        """The reports of a run in the order of the log; without their bodies where something else is likely to have them."""
        wanted = (
            select(StoredReport)
            .where(StoredReport.run_id == _real(tenant, run_id), StoredReport.tenant == tenant)
            .order_by(StoredReport.number)
        )
        with self.database.read(tenant) as session:
            return list(session.scalars(wanted if bodies else wanted.options(defer(StoredReport.body, raiseload=True))))

    def report_text(self, stored: StoredReport, folder: Path) -> bytes:
        """A report's JSON, from the row or from the run's results folder.

        Raises:
            NotFound: it lay in a file that is gone.
        """
        if "body" in inspect(stored).unloaded:
            same = (StoredReport.run_id == stored.run_id, StoredReport.number == stored.number, StoredReport.etag == stored.etag)
            with self.database.read(stored.tenant) as session:
                body = session.scalar(select(StoredReport.body).where(*same))
        else:
            body = stored.body
        if body is not None:
            return zlib.decompress(body)
        try:
            return (folder / f"{stored.number}.json").read_bytes()
        except OSError as error:
            raise NotFound(
                f"the report of run {stored.run_id!r} is not in the results folder any more", hint="upload the log again"
            ) from error

    def events(self, tenant: str, run_id: str, after: int = 0) -> list[RunEvent]:
        """Events of a run after a sequence number."""
        with self.database.read(tenant) as session:
            return list(
                session.scalars(
                    select(RunEvent)
                    .where(RunEvent.run_id == _real(tenant, run_id), RunEvent.tenant == tenant, RunEvent.seq > after)
                    .order_by(RunEvent.seq)
                )
            )

    def add_feedback(self, tenant: str, run_id: str, key: str, verdict: str, note: str | None) -> Feedback:
        """What somebody says of a finding; a second word replaces the first.

        Raises:
            NotFound: the run has no such finding.
        """

        def work(session: Session) -> Feedback:
            finding = session.scalars(
                select(FindingRow)
                .where(FindingRow.run_id == _real(tenant, run_id), FindingRow.tenant == tenant, FindingRow.key == key)
                .limit(1)
            ).first()
            if finding is None:
                raise NotFound(f"no finding {key!r} in run {run_id!r}")
            return session.merge(
                Feedback(
                    run_id=finding.run_id, key_digest=_digest(key), tenant=tenant, key=key, fingerprint=finding.fingerprint, verdict=verdict,
                    note=note, at_ms=clock(session),
                )
            )  # fmt: skip

        return self.database.write(tenant, work)

    def feedback(self, tenant: str, run_id: str) -> dict[str, Feedback]:
        """Feedback on a run's findings, by key."""
        with self.database.read(tenant) as session:
            said = select(Feedback).where(Feedback.run_id == _real(tenant, run_id), Feedback.tenant == tenant)
            return {f.key: f for f in session.scalars(said)}

    def mute(self, tenant: str, fingerprint: str, reason: str | None) -> Mute:
        """Leave findings with this fingerprint out of the tenant's lists from now on."""
        return self.database.write(
            tenant, lambda session: session.merge(Mute(tenant=tenant, fingerprint=fingerprint, reason=reason, at_ms=clock(session)))
        )

    def unmute(self, tenant: str, fingerprint: str) -> None:
        """Show them again.

        Raises:
            NotFound: it is not muted.
        """

        def work(session: Session) -> None:
            found = session.get(Mute, (tenant, fingerprint))
            if found is None:
                raise NotFound(f"no mute {fingerprint!r}")
            session.delete(found)

        self.database.write(tenant, work)

    def mutes(self, tenant: str) -> list[Mute]:
        """Every mute of the tenant, the newest first."""
        with self.database.read(tenant) as session:
            return list(session.scalars(select(Mute).where(Mute.tenant == tenant).order_by(Mute.at_ms.desc(), Mute.fingerprint)))

    def tables(self, tenant: str, name: str | None = None, *, limit: int = 100) -> list[TableSeen]:
        """Tables that runs used, with what their logs say of them, the last seen first."""
        wanted = select(TableSeen).where(TableSeen.tenant == tenant).order_by(TableSeen.seen_ms.desc(), TableSeen.position).limit(limit)
        if name is not None:
            wanted = wanted.where(TableSeen.name == name[:MAX_INDEXED])
        with self.database.read(tenant) as session:
            return list(session.scalars(wanted))

    def files_in_use(self) -> set[str]:
        """Paths under the home folder that rows point to: what a sweep must not remove."""
        with self.database.read(EVERYONE) as session:
            rows = session.execute(select(Run.original, Run.results)).all()
        return {path for row in rows for path in row if path is not None}


def _to_do(run: Run, analyser: str) -> bool:
    """Whether a run that has these bytes is to be analysed again."""
    return run.status in (FAILED, CANCELLED) or (run.status == DONE and run.analyser != analyser)


def _real(tenant: str, run_id: str) -> ScalarSelect[str]:
    """The run that an id means: itself, but for a fetch that brought what another run had."""
    other = select(RunAlias.run_id).where(RunAlias.id == run_id, RunAlias.tenant == tenant).scalar_subquery()
    return select(func.coalesce(other, literal(run_id, CleanText()))).scalar_subquery()


def _findings(claim: Claim, number: int, report: Report) -> list[FindingRow]:
    return [
        FindingRow(
            run_id=claim.run_id, number=number, rank=rank, tenant=claim.tenant, key=f.key, code=f.code, fingerprint=f.fingerprint,
            severity=str(f.severity), wall_saving_ms=round(f.saving.wall_ms.mid) if f.saving is not None else None,
        )
        for rank, f in enumerate(report.findings)
    ]  # fmt: skip


def _metrics(claim: Claim, number: int, report: Report, row: dict[str, Any] | None) -> RunMetrics:
    a, core = report.application, report.facts.get("core_ms") or {}
    savings = [f.saving.wall_ms.mid for f in report.findings if f.saving is not None]
    return RunMetrics(
        run_id=claim.run_id, number=number, tenant=claim.tenant, job=a.job[:MAX_INDEXED], app_id=a.id, attempt=a.attempt,
        complete=a.complete, started_ms=_whole(a.started_ms), wall_ms=_whole(a.duration_ms), executors_max=a.executors_max,
        cores_max=a.cores_max, core_used_ms=_whole(core.get("used")), core_idle_ms=_whole(core.get("idle")),
        core_failed_ms=_whole(core.get("failed")), findings=len(report.findings), saving_ms=round(max(savings, default=0)), history_row=row,
    )  # fmt: skip


def _tables(claim: Claim, number: int, report: Report, now: int) -> list[TableSeen]:
    found = [record for record in report.facts.get("tables") or [] if isinstance(record, dict)]
    return [
        TableSeen(
            run_id=claim.run_id, number=number, position=position, tenant=claim.tenant,
            name=str(record.get("name") or record.get("location") or "")[:MAX_INDEXED], record=record, seen_ms=now,
        )
        for position, record in enumerate(found)
    ]  # fmt: skip


def _whole(value: Any) -> Any:
    """A figure as a 64-bit number; a log may claim more."""
    return None if value is None else max(min(round(value), 2**63 - 1), -(2**63))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]


def _encoded(created_ms: int, run_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_ms, run_id]).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[int, str]:
    try:
        created, last = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(created, int) and abs(created) < 2**63 and isinstance(last, str):
            return created, last
    except (ValueError, TypeError, binascii.Error):
        pass
    raise UsageError("not a cursor of this list", hint="take `next` of the page before as it stands")
