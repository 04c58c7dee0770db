"""`GET /api/v1/audit`: who did what."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from spark_copilot.app.access import Access
from spark_copilot.app.api.caller import CallerDep, allow
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.run_resource import PREFIX


class AuditLine(BaseModel):
    """One write or refusal. `tenant` is empty where nobody knows who it was."""

    id: str
    at_ms: int
    tenant: str
    key_id: str | None
    action: str = Field(examples=["POST /api/v1/runs/{run_id}/cancel"])
    path: str
    status: int
    code: str | None = Field(description="Of the problem document, when it was refused.")
    address: str | None
    request_id: str


class AuditLines(BaseModel):
    """A page of them, the newest first; `next` is the cursor of the next page."""

    items: list[AuditLine]
    next: str | None


def router(access: Access) -> APIRouter:
    """The audit noun."""
    api = APIRouter(prefix=PREFIX, tags=["audit"])

    @api.get("/audit", responses=problems(400, 401, 403, 422, 429, 503))
    def lines(
        who: CallerDep,
        cursor: Annotated[str | None, Query(description="`next` of the page before.", max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> AuditLines:
        """Writes and refusals of the tenant, for keys of scope admin. The tenant `local` sees those of unknown callers as well."""
        allow(who, "admin")
        found, after = access.audit.lines(who.tenant, cursor=cursor, limit=limit)
        names = AuditLine.model_fields
        return AuditLines(items=[AuditLine(**{name: getattr(row, name) for name in names}) for row in found], next=after)

    return api
