"""`/api/v1/runs`: what became of uploaded logs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.run_resource import PREFIX, RunResource
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.storage.models import FINISHED, Run

WATCH_SECONDS = 0.4


class Runs(BaseModel):
    """A page of runs; `next` is the cursor of the next page."""

    items: list[RunResource]
    next: str | None


def router(service: Service) -> APIRouter:
    """The run noun."""
    api = APIRouter(prefix=f"{PREFIX}/runs", tags=["runs"])

    @api.get("", responses=problems(400, 422, 503))
    def runs(
        who: CallerDep,
        status: Annotated[Literal["queued", "running", "done", "failed", "cancelled"] | None, Query()] = None,
        job: Annotated[str | None, Query(description="`application.job` of the reports.", max_length=500)] = None,
        cursor: Annotated[str | None, Query(description="`next` of the page before.", max_length=500)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> Runs:
        """Runs, the newest first."""
        found, after = service.repository.runs(who.tenant, status=status, job=job, cursor=cursor, limit=limit)
        return Runs(items=[RunResource.of(run) for run in found], next=after)

    @api.get("/{run_id}", responses=problems(404, 503))
    def run(who: CallerDep, run_id: str) -> RunResource:
        """One run."""
        return RunResource.of(service.repository.run(who.tenant, run_id))

    @api.post("/{run_id}/cancel", responses=problems(404, 409, 503))
    def cancel(who: CallerDep, run_id: str) -> RunResource:
        """Stop a run that is queued or running. Cancelling it again changes nothing."""
        found = service.repository.run(who.tenant, run_id)
        service.queue.cancel(who.tenant, found.id)
        service.files.remove(found.original)
        service.wake()
        return RunResource.of(service.repository.run(who.tenant, run_id))

    @api.delete("/{run_id}", status_code=204, responses=problems(404, 503))
    def delete(who: CallerDep, run_id: str) -> Response:
        """Forget a run: its log, tables, reports and feedback. Mutes stay."""
        reports = service.repository.reports(who.tenant, run_id, bodies=False)
        for kept in service.repository.delete_run(who.tenant, run_id):
            service.files.remove(kept)
        for stored in reports:
            service.bodies.forget(stored.etag)
        service.wake()
        return Response(status_code=204)

    def known(who: CallerDep, run_id: str) -> Run:
        # A dependency: once the stream has begun, a 404 could not be said any more.
        return service.repository.run(who.tenant, run_id)

    @api.get("/{run_id}/events", response_class=EventSourceResponse, responses=problems(404, 422, 503))
    async def events(
        who: CallerDep,
        run: Annotated[Run, Depends(known)],
        last_event_id: Annotated[str | None, Header(description="Id of the last event seen: the stream goes on after it.")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """Everything that happened to the run and will: queued, running, fetching, parsing (share), parsed, analysing (agent), done, failed, cancelled.

        Ids count from 1. The stream ends with the run.
        """
        seen = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 16 else 0
        while not service.stopping.is_set():
            try:
                # The state first: what ended the run is among the events that are read after it.
                state = await run_in_threadpool(service.repository.run, who.tenant, run.id)
                new = await run_in_threadpool(service.repository.events, who.tenant, run.id, seen)
            except CopilotError:  # deleted meanwhile, or the database is away: the client asks again and hears why
                return
            for event in new:
                seen = event.seq
                yield ServerSentEvent(data=event.data, event=event.name, id=str(event.seq))
            if not new and state.status in FINISHED:
                return
            if not new:
                await asyncio.sleep(WATCH_SECONDS)

    return api
