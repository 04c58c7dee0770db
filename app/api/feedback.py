"""What people say of findings: a verdict on one, or silence for its kind."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.run_resource import PREFIX, finished
from spark_copilot.app.service import Service
from spark_copilot.storage.models import Feedback, Mute

FINGERPRINT = Path(pattern=r"^[0-9a-f]{16}$", description="`fingerprint` of a finding.")


class FeedbackRequest(BaseModel):
    """A verdict on a finding: it helped, it is not so, or the change was made."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["useful", "wrong", "done"]
    note: str | None = Field(None, max_length=4_000)


class FeedbackResource(BaseModel):
    """What was said."""

    run_id: str
    key: str
    fingerprint: str
    verdict: str
    note: str | None
    at_ms: int

    @classmethod
    def of(cls, row: Feedback) -> "FeedbackResource":
        """The row as a resource."""
        return cls(run_id=row.run_id, key=row.key, fingerprint=row.fingerprint, verdict=row.verdict, note=row.note, at_ms=row.at_ms)


class MuteRequest(BaseModel):
    """Why nobody wants to see it."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = Field(None, max_length=4_000)


class MuteResource(BaseModel):
    """A muted kind of finding."""

    fingerprint: str
    reason: str | None
    at_ms: int

    @classmethod
    def of(cls, row: Mute) -> "MuteResource":
        """The row as a resource."""
        return cls(fingerprint=row.fingerprint, reason=row.reason, at_ms=row.at_ms)


class Mutes(BaseModel):
    """Everything that is muted, the newest first."""

    items: list[MuteResource]
    next: str | None = None


def router(service: Service) -> APIRouter:
    """The feedback and mute nouns."""
    api = APIRouter(prefix=PREFIX, tags=["feedback"])

    @api.post("/runs/{run_id}/findings/{key:path}/feedback", responses=problems(400, 404, 409, 413, 422, 503))
    def feedback(who: CallerDep, run_id: str, key: str, said: FeedbackRequest) -> FeedbackResource:
        """Say whether a finding helped; a second verdict replaces the first. `key` is the finding's key, percent-encoded."""
        finished(service, who.tenant, run_id)
        return FeedbackResource.of(service.repository.add_feedback(who.tenant, run_id, key, said.verdict, said.note))

    @api.put("/mutes/{fingerprint}", responses=problems(400, 422, 503))
    def mute(who: CallerDep, fingerprint: Annotated[str, FINGERPRINT], asked: Annotated[MuteRequest | None, Body()] = None) -> MuteResource:
        """Leave this finding out of the lists of every run, past and future."""
        return MuteResource.of(service.repository.mute(who.tenant, fingerprint, asked.reason if asked else None))

    @api.delete("/mutes/{fingerprint}", status_code=204, responses=problems(404, 422, 503))
    def unmute(who: CallerDep, fingerprint: Annotated[str, FINGERPRINT]) -> Response:
        """Show it again."""
        service.repository.unmute(who.tenant, fingerprint)
        return Response(status_code=204)

    @api.get("/mutes", responses=problems(503))
    def mutes(who: CallerDep) -> Mutes:
        """What is muted."""
        return Mutes(items=[MuteResource.of(row) for row in service.repository.mutes(who.tenant)])

    return api
