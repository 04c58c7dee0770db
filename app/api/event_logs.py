"""`POST /api/v1/event-logs`: a log in, a run out; `…/import`: a log that the server fetches."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.receive import MAX_NAME, receive
from spark_copilot.app.api.run_resource import LOCATION, MAX_KEY, PREFIX, RunResource, accept, idempotency_key, location
from spark_copilot.app.fetching import asked
from spark_copilot.app.service import Service
from spark_copilot.connectors import tracing
from spark_copilot.connectors.remote import MAX_URL

BODY: dict[str, Any] = {
    "required": True,
    "description": "The log as it lies on disk: plain, zstd, lz4, snappy, gzip, bzip2, or a zip of several; or a form with one file.",
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"log": {"type": "string", "format": "binary"}}}},
    },
}


IDEMPOTENCY = Header(alias="Idempotency-Key", max_length=MAX_KEY, description="The same key again answers the same run.")


class Import(BaseModel):
    """Where a log lies: an object store's address, or a History Server with an application and, where only one is wanted, an attempt."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"url": "s3://spark-logs/events/application_1718000000000_0042.zstd"},
                {"url": "https://history.example.com:18480", "application": "application_1718000000000_0042", "attempt": "1"},
            ]
        },
    )

    url: str = Field(min_length=1, max_length=MAX_URL)
    application: str | None = Field(None, max_length=200, description="As the History Server lists it.")
    attempt: str | None = Field(None, max_length=200, description="Absent: all attempts.")


def router(service: Service) -> APIRouter:
    """The event-log noun."""
    api = APIRouter(prefix=PREFIX, tags=["runs"])

    @api.post(
        "/event-logs",
        status_code=202,
        response_model=RunResource,
        summary="Upload one event log",
        openapi_extra={"requestBody": BODY},
        responses={202: {"description": "The log is on disk; the run", "headers": LOCATION}, **problems(400, 408, 413, 422, 503, 507)},
    )
    async def upload(
        request: Request,
        response: Response,
        who: CallerDep,
        filename: Annotated[
            str | None, Query(max_length=1_000, description="What the log is called; messages about it name it so.")
        ] = None,
        idempotency: Annotated[str | None, IDEMPOTENCY] = None,
    ) -> RunResource:
        """The body is the log. When this answers, the log is on disk and will be analysed, whatever happens to the server.

        The same bytes twice are one run.
        """
        del filename, idempotency  # declared for the documentation; read where both ways of uploading read them
        key = idempotency_key(request)
        declared = request.headers.get("content-length", "")
        await run_in_threadpool(request.app.state.access.admit, who.tenant, int(declared) if declared.isdigit() else 0)
        received = await receive(request, service.files, service.settings)
        run = await run_in_threadpool(accept, service, who.tenant, received, key)
        response.headers["Location"] = location(run.id)
        return RunResource.of(run)

    @api.post(
        "/event-logs/import",
        status_code=202,
        response_model=RunResource,
        summary="Have one event log fetched",
        responses={202: {"description": "The log will be fetched; the run", "headers": LOCATION}, **problems(400, 403, 413, 422, 503)},
    )
    def fetch(
        request: Request, response: Response, who: CallerDep, wanted: Import, idempotency: Annotated[str | None, IDEMPOTENCY] = None
    ) -> RunResource:
        """The server fetches the log itself, from a place that its settings name, and analyses it. When this answers, it will be, whatever happens to the server.

        A log whose bytes the tenant has already is that run: the id answered here then means it, too.
        """
        del idempotency
        key = idempotency_key(request)
        source, name = asked(service.settings, wanted.url, wanted.application, wanted.attempt)
        request.app.state.access.admit(who.tenant, 0)
        run = service.repository.add_fetch(
            who.tenant, source, filename=name[:MAX_NAME], idempotency_key=key, traceparent=tracing.current()
        )  # fmt: skip
        service.wake()
        response.headers["Location"] = location(run.id)
        return RunResource.of(run)

    return api
