"""`POST /api/v1/analyze/job`: a log as the body, the report as the answer."""

import asyncio
import json
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.event_logs import BODY
from spark_copilot.app.api.receive import Received, receive
from spark_copilot.app.api.run_resource import (
    LOCATION,
    RunResource,
    accept,
    finished,
    idempotency_key,
    location,
    report_text,
    stored_report,
)
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.findings import Report
from spark_copilot.storage.models import FINISHED, Run

ASK_SECONDS = 0.05
MAX_REQUEST_BYTES = 64 << 10
_JSON: dict[str, Any] = {
    "application/json": {"schema": {"type": "object", "required": ["run_id"], "properties": {"run_id": {"type": "string"}}}}
}


def router(service: Service) -> APIRouter:
    """The analyze noun."""
    api = APIRouter(prefix="/api/v1/analyze", tags=["analyze"])

    @api.post(
        "/job",
        response_model=Report,
        summary="Analyse one event log, or ask for the report of a run",
        openapi_extra={"requestBody": BODY | {"content": BODY["content"] | _JSON}},
        responses={
            202: {"model": RunResource, "description": "It takes longer: the run, with its address in Location.", "headers": LOCATION},
            **problems(400, 404, 408, 409, 413, 422, 503, 507),
        },
    )
    async def job(request: Request, who: CallerDep) -> Response:
        """A body that is one JSON object with `run_id` means that run; anything else is a log, or a form with one file.

        Answers the report of the log's first application, or 202 with the run when that takes more than some seconds.
        """
        key = idempotency_key(request)
        received = await receive(request, service.files, service.settings)
        asked = _asked(received)
        if asked is not None:
            received.part.unlink(missing_ok=True)
            run = await run_in_threadpool(service.repository.run, who.tenant, asked)
        else:
            try:
                await run_in_threadpool(request.app.state.access.admit, who.tenant, received.size)
            except BaseException:
                received.part.unlink(missing_ok=True)
                raise
            run = await run_in_threadpool(accept, service, who.tenant, received, key)
        run = await _settled(service, run)
        headers = {"Location": location(run.id)}
        if run.status not in FINISHED:
            resource = RunResource.of(run).model_dump_json()
            return Response(resource, status_code=202, media_type="application/json", headers=headers)
        return Response(await run_in_threadpool(_first, service, run), media_type="application/json", headers=headers)

    return api


async def _settled(service: Service, run: Run) -> Run:
    """The run, when it has ended or the patience has."""
    until = time.monotonic() + service.settings.answer_within_seconds
    while run.status not in FINISHED and time.monotonic() < until and not service.stopping.is_set():
        await asyncio.sleep(ASK_SECONDS)
        run = await run_in_threadpool(service.repository.run, run.tenant, run.id)
    return run


def _first(service: Service, run: Run) -> bytes:
    done = finished(service, run.tenant, run.id)
    return report_text(service, done, stored_report(service, run.tenant, run.id, None))


def _asked(received: Received) -> str | None:
    """The run id of a body that is a request, not a log."""
    if received.size > MAX_REQUEST_BYTES:
        return None
    try:
        body = json.loads(received.part.read_bytes())
    except (ValueError, RecursionError):
        return None
    if isinstance(body, dict) and isinstance(body.get("run_id"), str) and "Event" not in body:
        return str(body["run_id"])
    return None
