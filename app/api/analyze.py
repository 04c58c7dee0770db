"""`POST /api/v1/analyze/job`: a log as the body, the report as the answer."""

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.formparsers import MultiPartException

from spark_copilot.app.config import Settings
from spark_copilot.rules_engine.errors import BadInput, LimitExceeded, NotAnEventLog
from spark_copilot.rules_engine.findings import Report


def router(settings: Settings) -> APIRouter:
    """The analyze noun."""
    api = APIRouter(prefix="/api/v1/analyze", tags=["analyze"])

    @api.post(
        "/job",
        response_model=Report,
        summary="Analyse one event log",
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
        },
        responses={413: {"description": "larger than the limit"}, 422: {"description": "not an event log"}},
    )
    async def job(request: Request) -> Response:
        """The body is the log, plain or compressed, or a multipart form with one file. Answers the report of its first application."""
        with tempfile.TemporaryDirectory(prefix="spark-copilot-") as folder:
            path = Path(folder, "upload")
            await _receive(request, path, settings.max_upload_bytes)
            if not path.stat().st_size:
                raise NotAnEventLog("the request's body", "it is empty")
            report = await run_in_threadpool(_first, path, settings)
        return Response(report.model_dump_json(by_alias=True), media_type="application/json")

    return api


def _first(path: Path, settings: Settings) -> Report:
    from spark_copilot.app.wiring import limits_of
    from spark_copilot.connectors.eventlog import read_run
    from spark_copilot.orchestration.analyse import analyse_run

    return analyse_run(read_run(path, limits=limits_of(settings)))


async def _receive(request: Request, path: Path, limit: int) -> None:
    """The body into a file, piece by piece, never more than the limit; of a form the first file."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1, max_fields=10) as form:
                upload: Any = next((v for v in form.values() if not isinstance(v, str)), None)
                if upload is None:
                    raise BadInput("the form holds no file")
                with path.open("wb") as out:
                    while piece := await upload.read(1 << 20):
                        _within(out.tell() + len(piece), limit)
                        out.write(piece)
        except (MultiPartException, AssertionError) as error:
            raise BadInput(f"the form cannot be read: {error}") from error
        return
    with path.open("wb") as out:
        async for piece in request.stream():
            _within(out.tell() + len(piece), limit)
            out.write(piece)


def _within(size: int, limit: int) -> None:
    if size > limit:
        raise LimitExceeded(f"the log is larger than {limit} bytes")
