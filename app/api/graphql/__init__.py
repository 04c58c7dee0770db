"""`POST /graphql`: runs, findings, figures and tables in one question. It only reads; keys, tenants and limits are those of the other routes."""

import asyncio
import logging
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from graphql import GraphQLError
from pydantic import BaseModel, ConfigDict, Field
from strawberry.types import ExecutionResult

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.graphql.schema import SCHEMA, Asking
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.errors import CopilotError, Unavailable

log = logging.getLogger(__name__)

PATH = "/graphql"
MAX_QUESTION = 20_000
ANSWER_SECONDS = 10.0


class GraphQLRequest(BaseModel):
    """A question; `extensions` of clients is taken and left alone."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=MAX_QUESTION)
    variables: dict[str, Any] | None = None
    operationName: str | None = Field(None, max_length=200)  # noqa: N815
    extensions: dict[str, Any] | None = None


class GraphQLErrorBody(BaseModel):
    """Why something is missing from the answer; `extensions.code` is stable, the sentence is not."""

    message: str
    locations: list[dict[str, int]] | None = None
    path: list[str | int] | None = None
    extensions: dict[str, Any]


class GraphQLAnswer(BaseModel):
    """The answer; `extensions` says what it cost."""

    data: dict[str, Any] | None
    errors: list[GraphQLErrorBody] | None = None
    extensions: dict[str, Any] | None = None


def router(service: Service) -> APIRouter:
    """The one route."""
    api = APIRouter(tags=["graphql"])

    @api.post(
        PATH,
        response_model=GraphQLAnswer,
        summary="Ask by GraphQL",
        responses={
            400: {
                "description": "the question is not valid, too deep or too large; or the request does not make sense",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/GraphQLAnswer"}},
                    **problems(400)[400]["content"],
                },
            },
            **problems(422, 503),
        },
    )
    async def ask(who: CallerDep, asked: GraphQLRequest) -> JSONResponse:
        """Read-only. What cannot be answered is null and named in `errors`; a question that is refused whole answers 400."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await SCHEMA.execute(
                    asked.query,
                    variable_values=asked.variables,
                    context_value=Asking(service, who.tenant),
                    operation_name=asked.operationName,
                )
        except TimeoutError:
            found = ExecutionResult(None, [GraphQLError("this takes too long", extensions={"code": "query-too-slow"})])
        errors = [_told(error) for error in found.errors or ()]
        body: dict[str, Any] = {"data": found.data}
        if errors:
            body["errors"] = errors
        if found.extensions:
            body["extensions"] = found.extensions
        refused = found.data is None and not any("path" in error for error in errors)
        return JSONResponse(body, status_code=400 if refused else 200, headers={"Cache-Control": "no-store"})

    return api


def _told(error: GraphQLError) -> dict[str, Any]:
    """The error as a client may know it."""
    original = error.original_error
    if isinstance(original, Unavailable):
        raise original  # answered as on every other route
    told: dict[str, Any] = dict(error.formatted)
    if isinstance(original, CopilotError):
        told["extensions"] = {"code": original.code} | ({"hint": original.hint} if original.hint else {})
    elif original is not None and not isinstance(original, GraphQLError):
        log.error("unexpected failure of a GraphQL field", exc_info=original)
        told["message"] = "this is a bug; the server's log has the details"
        told["extensions"] = {"code": "internal-error"}
    elif "code" not in (error.extensions or {}):
        told["extensions"] = {"code": "query-not-valid"}
    return told
