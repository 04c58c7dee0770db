"""Expected failures as RFC 9457 problem documents: {type, title, status, detail, code, hint}."""

import logging
from contextvars import ContextVar
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from spark_copilot.app.access import KeyMissing, TooMany
from spark_copilot.app.api.caller import ScopeMissing
from spark_copilot.app.api.receive import BadForm, UploadBroken, UploadIdle
from spark_copilot.app.quota import QuotaReached
from spark_copilot.app.watch.metrics import refused
from spark_copilot.connectors.remote import ImportNotAllowed
from spark_copilot.rules_engine.errors import (
    AuthError,
    BadInput,
    Conflict,
    CopilotError,
    LimitExceeded,
    NotFound,
    StorageFull,
    Unavailable,
    UsageError,
)
from spark_copilot.storage.upload_repository import UploadGone

log = logging.getLogger(__name__)

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered."""
PROBLEM_CODE: ContextVar[list[str] | None] = ContextVar("problem_code", default=None)
"""Takes the codes of the problems that the request is answered with: the audit log wants them. A list, since handlers may run in a copy of the context."""

STATUS: tuple[tuple[type[CopilotError], int], ...] = (
    (ScopeMissing, 403),
    (QuotaReached, 403),
    (ImportNotAllowed, 403),
    (TooMany, 429),
    (LimitExceeded, 413),
    (UploadGone, 410),
    (NotFound, 404),
    (UploadIdle, 408),
    (UploadBroken, 400),
    (BadForm, 400),
    (UsageError, 400),
    (Conflict, 409),
    (BadInput, 422),
    (AuthError, 401),
    (StorageFull, 507),
    (Unavailable, 503),
)


def problem(status: int, title: str, detail: str, code: str, hint: str = "") -> JSONResponse:
    """One problem document."""
    refused(code)
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    if hint:
        body["hint"] = hint
    if (request_id := REQUEST_ID.get()) is not None:
        body["request_id"] = request_id
    if (codes := PROBLEM_CODE.get()) is not None:
        codes.append(code)
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


class Problem(BaseModel):
    """An RFC 9457 problem document; `code` is stable, the sentences are not."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(examples=["not-an-event-log"])
    hint: str | None = None
    request_id: str | None = None


_DESCRIBED = {
    400: "the request does not make sense",
    401: "an API key is needed, and none or a wrong one was sent",
    403: "the caller may not do this",
    404: "there is no such thing",
    408: "nothing was sent for too long",
    409: "it does not go with the state of things",
    410: "it is gone",
    412: "the protocol version is not known",
    413: "larger than the limit",
    415: "the content type is wrong",
    422: "not readable as what it should be",
    421: "the server does not answer by that name",
    429: "asked too often; Retry-After says how long to wait",
    460: "the chunk is not what its checksum says",
    503: "the database does not answer",
    507: "no room left",
}
_HEADERS = {
    401: ("WWW-Authenticate", "How to name a key: Bearer.", "string"),
    429: ("Retry-After", "Seconds to wait.", "integer"),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": Problem, "description": _DESCRIBED[status], "content": {"application/problem+json": schema}}
        if status in _HEADERS:
            name, sentence, kind = _HEADERS[status]
            found[status]["headers"] = {name: {"description": sentence, "schema": {"type": kind}}}
    return found


def install(app: FastAPI) -> None:
    """Handlers for our own errors, for FastAPI's, and for bugs (500 without details)."""

    @app.exception_handler(CopilotError)
    async def ours(request: Request, error: CopilotError) -> JSONResponse:
        del request
        status = next((s for kind, s in STATUS if isinstance(error, kind)), 500)
        answer = problem(status, error.code.replace("-", " "), str(error), error.code, error.hint)
        if isinstance(error, ScopeMissing):
            answer.headers["WWW-Authenticate"] = f'Bearer realm="spark-copilot", error="insufficient_scope", scope="{error.needed}"'
        elif isinstance(error, AuthError):
            wrong = "" if isinstance(error, KeyMissing) else ', error="invalid_token"'
            answer.headers["WWW-Authenticate"] = f'Bearer realm="spark-copilot"{wrong}'
        elif isinstance(error, TooMany):
            answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        del request
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        return problem(422, "request not valid", f"{place}: {first['msg']}", "request-not-valid")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        del request
        code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http-error")
        return problem(error.status_code, str(error.detail), str(error.detail), code)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected failure on %s %s", request.method, request.url.path, exc_info=error)
        return problem(500, "internal error", "this is a bug; the server's log has the details", "internal-error")
