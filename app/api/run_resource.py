"""A run as the API shows it, and what routes ask of it."""

from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, Field

from spark_copilot.app.api.receive import Received
from spark_copilot.app.service import Service
from spark_copilot.app.watch.metrics import UPLOAD_BYTES, looked_up
from spark_copilot.connectors import tracing
from spark_copilot.connectors.run_tables import read_tables
from spark_copilot.rules_engine.errors import BadInput, Conflict, LimitExceeded, NotFound
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.storage.models import CANCELLED, DONE, FAILED, FETCHED_LATER, Run, StoredReport

PREFIX = "/api/v1"
MAX_KEY = 255
LOCATION: dict[str, Any] = {"Location": {"description": "Address of the run.", "schema": {"type": "string"}}}
"""Header of an answer that names a run, for the documentation."""


def _unknown(value: object) -> bool:
    return value is None


class Progress(BaseModel):
    """How far a run is: `share` from 0 to 1; reading the log is the most of it. `agent` is the one that ended last."""

    stage: str = Field(examples=["parsing"])
    share: float = Field(0.0, ge=0, le=1, examples=[0.4])
    agent: str | None = Field(None, exclude_if=_unknown)
    received_bytes: int | None = Field(None, exclude_if=_unknown, description="Of a log that is being fetched.")
    size_bytes: int | None = Field(None, exclude_if=_unknown, description="What there is to fetch, where its place says so.")


class RunError(BaseModel):
    """Why a run failed: a stable code, one sentence, and what to do."""

    code: str = Field(examples=["not-an-event-log"])
    detail: str
    hint: str = ""


class RunApplication(BaseModel):
    """The application of the log; the first one when it holds several."""

    id: str
    name: str
    job: str


class RunResource(BaseModel):
    """One uploaded log on its way from upload to report. Times are UTC epoch milliseconds; what is not known yet is left out."""

    run_id: str = Field(examples=["9f0c6f2b7d5e4a0f8c1d2e3f4a5b6c7d"])
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: Progress
    error: RunError | None = Field(None, exclude_if=_unknown)
    application: RunApplication | None = Field(None, exclude_if=_unknown)
    applications: int | None = Field(None, exclude_if=_unknown, description="Reports of the run, once it is done.")
    filename: str | None = Field(None, exclude_if=_unknown)
    size_bytes: int
    content_hash: str | None = Field(None, exclude_if=_unknown, description="SHA-256 of the log's bytes, once they are here.")
    source: str | None = Field(None, exclude_if=_unknown, description="Where the server fetches or fetched the log from.")
    analyser: str | None = Field(None, exclude_if=_unknown, description="Version of the program that made the reports.")
    created_ms: int
    started_ms: int | None = Field(None, exclude_if=_unknown)
    finished_ms: int | None = Field(None, exclude_if=_unknown)

    @classmethod
    def of(cls, run: Run) -> "RunResource":
        """The row as a resource."""
        application = None
        if run.app_id is not None:
            application = RunApplication(id=run.app_id, name=run.app_name or "", job=run.job or "")
        return cls(
            run_id=run.id, status=run.status, progress=Progress.model_validate(run.progress),
            error=None if run.error is None else RunError.model_validate(run.error),
            application=application, applications=run.applications or None, filename=run.filename, size_bytes=run.size_bytes,
            content_hash=None if run.content_hash.startswith(FETCHED_LATER) else run.content_hash,
            source=None if run.source is None else str(run.source.get("url")), analyser=run.analyser, created_ms=run.created_ms, started_ms=run.started_ms,
            finished_ms=run.finished_ms,
        )  # fmt: skip


class RunFailed(BadInput):
    """The report of a run that failed: the failure itself."""


class RunNotFinished(Conflict):
    """There is no report yet."""

    code = "run-not-finished"
    hint = "Ask for the run until its status is done, or follow its events."


class RunCancelled(Conflict):
    """There will be no report."""

    code = "run-cancelled"
    hint = "Upload the log again to have it analysed."


def location(run_id: str) -> str:
    """Where a run is."""
    return f"{PREFIX}/runs/{run_id}"


def idempotency_key(request: Request) -> str | None:
    """The request's Idempotency-Key.

    Raises:
        BadInput: it is too long.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise BadInput(f"an Idempotency-Key has 1 to {MAX_KEY} characters")
    return key


def accept(service: Service, tenant: str, received: Received, key: str | None, *, upload: tuple[str, int] | None = None) -> Run:
    """Make a run of what was received. When this returns, the log and its job survive whatever happens to the server.

    `upload`: the resumable upload that this ends, and the bytes it had before its last chunk.
    """
    kept = service.files.keep(received.part) if upload is None else service.files.kept(received.part)
    try:
        added = service.repository.add_run(
            tenant, content_hash=received.sha256, size_bytes=received.size, original=kept, analyser=service.analyser,
            filename=received.filename, idempotency_key=key, upload=upload, traceparent=tracing.current(),
        )  # fmt: skip
    except BaseException:
        if upload is None:  # the last chunk of a resumable upload can be sent again
            service.files.remove(kept)
        raise
    UPLOAD_BYTES.inc(received.size)
    looked_up("analysis", hit=not added.fresh)
    if not added.fresh:
        service.files.remove(kept)
    service.wake()
    return added.run


def finished(service: Service, tenant: str, run_id: str) -> Run:
    """The run, when it is done.

    Raises:
        NotFound: no such run.
        RunNotFinished: it is queued or running.
        RunCancelled, RunFailed, LimitExceeded: it never will be.
    """
    run = service.repository.run(tenant, run_id)
    if run.status == DONE:
        return run
    if run.status == CANCELLED:
        raise RunCancelled("the run was cancelled")
    if run.status == FAILED:
        raise failure(run)
    raise RunNotFinished(f"the run is {run.status}")


def failure(run: Run) -> BadInput:
    """Why it failed, as an error with the run's own code."""
    error: dict[str, Any] = run.error or {}
    kind = LimitExceeded if error.get("code") == LimitExceeded.code else RunFailed
    raised = kind(str(error.get("detail", "the run failed")), hint=str(error.get("hint", "")))
    raised.code = str(error.get("code", "run-failed"))
    return raised


def stored_report(service: Service, tenant: str, run_id: str, application: str | None) -> StoredReport:
    """The report of one application of a run: by its number in the log, its id, or `id/attempt`; the first when none is named.

    Raises:
        NotFound: no such application in this run.
    """
    return chosen(reports_of(service, tenant, run_id), run_id, application)


def reports_of(service: Service, tenant: str, run_id: str) -> list[StoredReport]:
    """The reports of a run in the order of the log, for `report_text`."""
    return service.repository.reports(tenant, run_id, bodies=service.bodies.redis is None)


def report_text(service: Service, run: Run, stored: StoredReport) -> bytes:
    """The JSON of a report."""
    assert run.results is not None
    folder = service.files.path(run.results)
    return service.bodies.text(stored.etag, lambda: service.repository.report_text(stored, folder))


def chosen(reports: list[StoredReport], run_id: str, application: str | None) -> StoredReport:
    """The one that is named among the reports of a run."""
    for report in reports:
        names = (str(report.number), report.app_id, f"{report.app_id}/{report.attempt}")
        if application is None or application in names:
            return report
    raise NotFound(f"no application {application!r} in run {run_id!r}")


def tables(service: Service, tenant: str, run_id: str, application: str | None) -> AppRun:
    """The parsed run of one application.

    Raises:
        NotFound, RunNotFinished, RunCancelled, RunFailed: as `finished`; or its tables are gone.
        UnusableTables: they are of another version of the program.
    """
    run = finished(service, tenant, run_id)
    report = stored_report(service, tenant, run_id, application)
    assert run.results is not None
    folder = service.files.path(run.results) / str(report.number)
    if not folder.is_dir():
        raise NotFound(f"the tables of run {run_id!r} are not there any more", hint="delete the run and upload the log again")
    return read_tables(folder)
