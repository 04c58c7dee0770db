"""`POST /api/v1/chat`: a conversation as server-sent events; its threads, their history, and how to stop one."""

import json
from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.errors import problems
from spark_copilot.orchestration.chat.threads import Chat, Event, Going, StoredTurn, ThreadInfo
from spark_copilot.orchestration.runs import RunSource
from spark_copilot.rules_engine.errors import CopilotError

ThreadId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["status", "tool", "token", "citation", "done"]},
        "data": {"type": "string", "description": "One JSON object."},
    },
}


class Message(BaseModel):
    """What is said. Without `thread_id` a new conversation begins; `run_ids` narrows it to these runs."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, max_length=4_000, examples=["which stage is the bottleneck, and why?"])
    thread_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The conversation to go on with.")
    run_ids: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list,
        max_length=20,
        description="What it is about: ids of uploaded runs or of applications. Absent: all that the server knows.",
    )
    long: bool = Field(False, description="Up to 600 words instead of 200.")


class Threads(BaseModel):
    """Conversations, the last used first."""

    items: tuple[ThreadInfo, ...]
    next: str | None = None


class History(BaseModel):
    """The turns of one conversation, the first first."""

    thread_id: str
    items: tuple[StoredTurn, ...]
    next: str | None = None


class Stopped(BaseModel):
    """Whether a turn was going on."""

    stopped: bool


def nobody() -> str:
    """The owner of every conversation on a server without callers of its own."""
    return ""


def router(
    chat: Callable[[], Chat], owner: Callable[..., str] = nobody, runs_of: Callable[[str], RunSource | None] = lambda _: None
) -> APIRouter:
    """The chat noun. `chat` opens the conversations on first use; `owner` (a dependency) names whose they are, `runs_of` the runs an owner may see."""
    api = APIRouter(prefix="/api/v1/chat", tags=["chat"])

    @api.post(
        "",
        response_class=StreamingResponse,
        openapi_extra={"responses": {"200": {"content": {"text/event-stream": {"itemSchema": _EVENT}}}}},
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "events: status, tool, token, citation, done"},
            **problems(404, 422),
        },
    )
    def say(said: Message, who: Annotated[str, Depends(owner)]) -> StreamingResponse:
        """One turn. `token` events joined are the answer that the history keeps; `done` carries it whole, with `thread_id`, sources and findings."""
        going = chat().say(said.message, thread_id=said.thread_id, run_ids=said.run_ids, long=said.long, owner=who, runs=runs_of(who))
        return StreamingResponse(
            _wire(going), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )

    @api.get("/threads")
    def threads(who: Annotated[str, Depends(owner)]) -> Threads:
        """The conversations."""
        return Threads(items=chat().threads(who))

    @api.get("/threads/{thread_id}", responses=problems(404, 422))
    def history(thread_id: ThreadId, who: Annotated[str, Depends(owner)]) -> History:
        """The turns of a conversation."""
        return History(thread_id=thread_id, items=chat().history(thread_id, who))

    @api.delete("/threads/{thread_id}", status_code=204, responses=problems(404, 422))
    def delete(thread_id: ThreadId, who: Annotated[str, Depends(owner)]) -> None:
        """Forget a conversation."""
        chat().delete(thread_id, who)

    @api.post("/threads/{thread_id}/stop", responses=problems(422))
    def stop(thread_id: ThreadId, who: Annotated[str, Depends(owner)]) -> Stopped:
        """End the turn that is going on; what was said is kept."""
        return Stopped(stopped=chat().stop(thread_id, who))

    return api


def _wire(going: Going) -> Iterator[str]:
    try:
        for event in going:
            yield wire(event)
    except CopilotError as error:
        yield wire(Event(event="status", data={"text": str(error), "code": error.code}))
        yield wire(Event(event="done", data={"answer": "", "error": {"code": error.code, "detail": str(error)}}))
    finally:
        going.close()


def wire(event: Event) -> str:
    """One server-sent event. JSON in one line holds no line break, so text cannot begin an event of its own."""
    return f"event: {event.event}\ndata: {json.dumps(event.data, ensure_ascii=False, default=str)}\n\n"
