"""The tables. Times are UTC epoch milliseconds; every row belongs to a tenant; large things lie in files, and rows keep where."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from spark_copilot.storage.text import CleanText, JsonText

LOCAL_TENANT = "local"

QUEUED, RUNNING, DONE, FAILED, CANCELLED, DEAD = "queued", "running", "done", "failed", "cancelled", "dead"
"""States. A run is never `dead`: its job is, and the run has failed."""
FETCHED_LATER = "fetched-later:"
FINISHED = frozenset({DONE, FAILED, CANCELLED})


class Base(DeclarativeBase):
    """Base of all tables. The step that makes one calls `row_security.secure` on it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: CleanText, int: BigInteger, bytes: LargeBinary, dict[str, Any]: JsonText}  # noqa: RUF012


class Run(Base):
    """One event log of one tenant, from upload to reports. The same bytes are the same run."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("tenant", "content_hash"), Index(None, "tenant", "created_ms", "id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    content_hash: Mapped[str]
    """SHA-256 of the bytes as they were sent; of a log that is still to be fetched, `FETCHED_LATER` and the run's id."""
    filename: Mapped[str | None]
    """What the client called it: shown, never used as a path."""
    size_bytes: Mapped[int]
    status: Mapped[str]
    progress: Mapped[dict[str, Any]]
    error: Mapped[dict[str, Any] | None]
    original: Mapped[str | None]
    """The log under the home folder, while it is there."""
    source: Mapped[dict[str, Any] | None]
    """Where the server fetches the log from, when nobody sends it."""
    results: Mapped[str | None]
    """Folder of the run tables under the home folder."""
    analyser: Mapped[str | None]
    """Version of the program that made the reports."""
    app_id: Mapped[str | None]
    app_name: Mapped[str | None]
    job: Mapped[str | None]
    applications: Mapped[int]
    """Reports of the run: a log may hold several applications. `app_id`, `app_name` and `job` are the first one's."""
    created_ms: Mapped[int]
    started_ms: Mapped[int | None]
    finished_ms: Mapped[int | None]


class RunAlias(Base):
    """The id of a fetch whose bytes turned out to be those of a run that the tenant had."""

    __tablename__ = "run_aliases"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))


class Job(Base):
    """Work to be done for a run, by whichever worker holds the lease."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "status", "ready_ms"),
        Index(
            "uq_jobs_active",
            "run_id",
            unique=True,
            sqlite_where=text("status IN ('queued', 'running')"),
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    status: Mapped[str]
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    workers_lost: Mapped[int] = mapped_column(server_default="0")
    """Attempts that ended because the worker was gone, which says little about the log."""
    token: Mapped[int]
    """Grows with every claim: a worker that lost its lease holds an old one, and its writes change nothing."""
    worker: Mapped[str | None]
    lease_until_ms: Mapped[int | None]
    ready_ms: Mapped[int]
    created_ms: Mapped[int]
    last_error: Mapped[dict[str, Any] | None]
    traceparent: Mapped[str | None]
    """The trace of the request that asked for it (W3C trace context)."""


class RunEvent(Base):
    """What happened to a run, in order: what a stream of progress replays."""

    __tablename__ = "run_events"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str]
    name: Mapped[str]
    data: Mapped[dict[str, Any]]
    at_ms: Mapped[int]


class StoredReport(Base):
    """One application's report, as bytes: what is served is what was analysed."""

    __tablename__ = "reports"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str]
    content_hash: Mapped[str]
    analyser: Mapped[str]
    app_id: Mapped[str]
    attempt: Mapped[str | None]
    etag: Mapped[str]
    """SHA-256 of the JSON."""
    body: Mapped[bytes | None]
    """The JSON, packed by zlib; None when it is large and lies in a file of the results folder."""


class FindingRow(Base):
    """One finding of one report; `rank` 0 is the most valuable."""

    __tablename__ = "findings"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "number"], ["reports.run_id", "reports.number"], ondelete="CASCADE"),
        Index(None, "tenant", "fingerprint"),
    )

    run_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str]
    key: Mapped[str]
    code: Mapped[str]
    fingerprint: Mapped[str]
    severity: Mapped[str]
    wall_saving_ms: Mapped[int | None]


class RunMetrics(Base):
    """Figures of one application's run: what history and prediction read."""

    __tablename__ = "metrics"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "number"], ["reports.run_id", "reports.number"], ondelete="CASCADE"),
        Index(None, "tenant", "job", "started_ms"),
    )

    run_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str]
    job: Mapped[str]
    app_id: Mapped[str]
    attempt: Mapped[str | None]
    complete: Mapped[bool]
    started_ms: Mapped[int]
    wall_ms: Mapped[int]
    executors_max: Mapped[int]
    cores_max: Mapped[int]
    core_used_ms: Mapped[int | None]
    core_idle_ms: Mapped[int | None]
    core_failed_ms: Mapped[int | None]
    findings: Mapped[int]
    saving_ms: Mapped[int]
    """The largest single saving: what can come back at least."""
    history_row: Mapped[dict[str, Any] | None]
    """The run as prediction reads it; None for runs of before there was one."""


class TableSeen(Base):
    """A table that a run read or wrote, with what its log says of it."""

    __tablename__ = "tables_seen"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "number"], ["reports.run_id", "reports.number"], ondelete="CASCADE"),
        Index(None, "tenant", "name"),
    )

    run_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str]
    name: Mapped[str]
    record: Mapped[dict[str, Any]]
    seen_ms: Mapped[int]


class Feedback(Base):
    """What somebody says of a finding; one verdict a finding of a run, the last one counts."""

    __tablename__ = "feedback"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key_digest: Mapped[str] = mapped_column(primary_key=True)
    """Keys hold names from the log, of any length; an index entry of PostgreSQL does not."""
    tenant: Mapped[str]
    key: Mapped[str]
    fingerprint: Mapped[str]
    verdict: Mapped[str]
    note: Mapped[str | None]
    at_ms: Mapped[int]


class Mute(Base):
    """A finding nobody wants to see again in any run of the tenant."""

    __tablename__ = "mutes"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str | None]
    at_ms: Mapped[int]


class IdempotencyKey(Base):
    """A request that was answered: the same key again gets the same run."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    content_hash: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    at_ms: Mapped[int]


class Upload(Base):
    """A resumable upload that is not finished yet, or was finished into a run."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    filename: Mapped[str | None]
    meta: Mapped[str | None]
    length: Mapped[int]
    received: Mapped[int]
    """Bytes that are safely on disk."""
    file: Mapped[str]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    created_ms: Mapped[int]
    expires_ms: Mapped[int]


class ApiKey(Base):
    """A key that lets a tenant in. The key itself is not kept: its beginning to find it by, and its SHA-256 to know it by."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "prefix"), Index(None, "tenant"))

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str]
    scope: Mapped[str]
    created_ms: Mapped[int]
    expires_ms: Mapped[int | None]
    revoked_ms: Mapped[int | None]
    last_used_ms: Mapped[int | None]


class AuditRow(Base):
    """Who did what, and what came of it."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "tenant", "at_ms", "id"), Index(None, "at_ms"))

    id: Mapped[str] = mapped_column(primary_key=True)
    at_ms: Mapped[int]
    tenant: Mapped[str]
    """Empty when nobody knows who it was."""
    key_id: Mapped[str | None]
    action: Mapped[str]
    """Method and route: `POST /api/v1/runs/{run_id}/cancel`."""
    path: Mapped[str]
    """The path itself, without its query."""
    status: Mapped[int]
    code: Mapped[str | None]
    """The problem's code, when it was refused."""
    address: Mapped[str | None]
    request_id: Mapped[str]
