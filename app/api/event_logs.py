"""`POST /api/v1/event-logs`: a log in, a run out."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.receive import receive
from spark_copilot.app.api.run_resource import LOCATION, MAX_KEY, PREFIX, RunResource, accept, idempotency_key, location
from spark_copilot.app.service import Service

BODY: dict[str, Any] = {
    "required": True,
    "description": "The log as it lies on disk: plain, zstd, lz4, snappy, gzip, bzip2, or a zip of several; or a form with one file.",
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"log": {"type": "string", "format": "binary"}}}},
    },
}


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
        idempotency: Annotated[
            str | None, Header(alias="Idempotency-Key", max_length=MAX_KEY, description="The same key again answers the same run.")
        ] = None,
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

    return api
