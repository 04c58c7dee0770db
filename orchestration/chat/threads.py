"""Conversations that are kept: a LangGraph of two nodes with a checkpointer, one thread an owner's conversation, events as a turn goes on."""

import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from spark_copilot.orchestration.ask import QUESTION_LIMIT, AskAnswer, KnowledgePlace
from spark_copilot.orchestration.chat.focus import Focus
from spark_copilot.orchestration.chat.without_model import Talk, Turn, reply
from spark_copilot.orchestration.runs import ChosenRuns, RunSource
from spark_copilot.rag.safe_text import shown, visible
from spark_copilot.rules_engine.errors import CopilotError, NotFound, Unavailable, UsageError
from spark_copilot.rules_engine.findings import Value

MOST_TURNS = 100
"""Turns a thread keeps; the oldest go first."""
MOST_LISTED = 1_000
POOL_WAIT_S = 10.0
"""How long PostgreSQL may take to answer before it is said to be away."""
_THREAD = re.compile(r"[A-Za-z0-9_-]{1,64}")
Emit = Callable[["Event"], None]


class Event(Value):
    """One thing a turn tells while it goes on. `token` events joined are the answer as the history keeps it."""

    event: Literal["status", "tool", "token", "citation", "done"]
    data: dict[str, Any]


class ThreadInfo(Value):
    """One conversation in a list."""

    thread_id: str
    title: str
    turns: int
    updated: str


class StoredTurn(Value):
    """One turn as the history keeps it. `cut_short`: it was stopped before its end."""

    question: str
    answer: str
    citations: tuple[dict[str, str], ...] = ()
    findings: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    model: str | None = None
    cut_short: bool = False


def _kept(before: list[dict[str, Any]] | None, more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*(before or []), *more][-MOST_TURNS:]


class ChatState(TypedDict, total=False):
    """What a thread keeps, all of it JSON."""

    question: str
    run_ids: list[str]
    focus: dict[str, Any]
    turns: list[dict[str, Any]]
    answer: dict[str, Any]


Model = Callable[[str, list[dict[str, Any]], Talk, Emit, threading.Event], AskAnswer | None]
"""A model's turn: question, turns before it, what it may draw on, where events go, whether to stop. None: answer without it."""


@dataclass(frozen=True, slots=True)
class ChatContext:
    """What a turn may use."""

    runs: RunSource
    place: KnowledgePlace
    long: bool
    stop: threading.Event
    model: Model | None


def _answer(state: ChatState, runtime: Runtime[ChatContext]) -> ChatState:
    """Answer the question of this turn. Reads `question`, `focus`, `turns`; writes `answer`, `focus`."""
    context, emit = runtime.context, get_stream_writer()
    talk = Talk(context.runs, context.place, context.long)
    question, focus = state["question"], Focus.of(state.get("focus"))
    emit(Event(event="status", data={"text": "looking"}))
    told: list[str] = []

    def say(event: Event) -> None:
        if event.event == "token":
            told.append(str(event.data["text"]))
        emit(event)

    by_model = context.model(question, state.get("turns", []), talk, say, context.stop) if context.model is not None else None
    turn: Turn | None = None
    if by_model is None or not context.stop.is_set():
        try:
            turn = reply(question, focus, talk)
        except CopilotError as error:
            if by_model is None:
                turn = Turn(AskAnswer(answer=shown(f"{error}." + (f" {error.hint}" if error.hint else "")), citations=()), focus)
    answer = by_model or (turn.answer if turn is not None else AskAnswer(answer="", citations=()))
    if by_model is None:
        if told:
            say(Event(event="token", data={"text": "\n" if told[-1].endswith("\n") else "\n\n"}))
        for line in answer.answer.splitlines(keepends=True):
            if context.stop.is_set():
                break
            say(Event(event="token", data={"text": line}))
    for number, citation in enumerate(answer.citations, 1):
        emit(Event(event="citation", data={"n": number, **citation.model_dump()}))
    stored = StoredTurn(
        question=visible(question),
        answer="".join(told),
        citations=tuple(c.model_dump() for c in answer.citations),
        findings=answer.findings,
        run_ids=turn.run_ids if turn is not None else (),
        model=answer.model,
        cut_short=context.stop.is_set(),
    )
    return ChatState(answer=stored.model_dump(mode="json"), focus=turn.focus.as_json() if turn is not None else focus.as_json())


def _remember(state: ChatState) -> ChatState:
    """Keep the turn. Reads `answer`; writes `turns`."""
    return ChatState(turns=_kept(state.get("turns"), [state["answer"]]))


class Going:
    """The events of one turn. However it ends, also when nobody listens to its end, the thread is free for the next one."""

    def __init__(self, events: Iterator[Event], release: Callable[[], None]) -> None:
        self._events, self._release = events, release

    def __iter__(self) -> "Going":
        return self

    def __next__(self) -> Event:
        try:
            return next(self._events)
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Stop listening; the turn ends."""
        self._release()

    def __del__(self) -> None:
        self._release()


@dataclass(slots=True)
class Chat:
    """Conversations over a source of runs. One object serves many threads and many callers; `close` gives back the database."""

    runs: RunSource
    place: KnowledgePlace
    checkpointer: BaseCheckpointSaver[Any]
    model: Model | None = None
    model_name: str | None = None
    closing: ExitStack = field(default_factory=ExitStack)
    _graph: Any = None
    _stops: dict[str, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        graph = StateGraph(ChatState, context_schema=ChatContext)
        graph.add_node("reply", _answer)
        graph.add_node("remember", _remember)
        graph.add_edge(START, "reply")
        graph.add_edge("reply", "remember")
        graph.add_edge("remember", END)
        self._graph = graph.compile(checkpointer=self.checkpointer)

    def say(
        self,
        message: str,
        *,
        thread_id: str | None = None,
        run_ids: Sequence[str] = (),
        long: bool = False,
        owner: str = "",
        new: bool = False,
        runs: RunSource | None = None,
    ) -> Going:
        """Answer one message; events as they come, `done` last. Without a thread id a new thread begins.

        `run_ids` narrows the conversation to these runs from now on; without it the thread's own choice holds, else every run of the source. `runs`
        takes the place of the chat's own source for this turn: a server of several tenants hands in the caller's.

        Raises:
            UsageError: nothing is said, the thread id is malformed, or the thread is answering already.
            NotFound: no such thread of this owner, or no such run.
        """
        question = " ".join(visible(message).split())[:QUESTION_LIMIT]
        if not question:
            raise UsageError("nothing is asked")
        chosen, source = list(dict.fromkeys(run_ids)), runs or self.runs
        if chosen:
            known = {run.run_id for run in source.known()}
            for handle in chosen:
                if handle not in known:
                    source.get(handle)  # a source may know it by another name, or says that it does not
        fresh = thread_id is None or new
        name = thread_id if thread_id is not None else uuid.uuid4().hex
        state = {} if fresh and not self._exists(name, owner) else self._state(name, owner)
        chosen = chosen or list(state.get("run_ids", []))
        stop = self._begin(owner, name)
        context = ChatContext(
            runs=ChosenRuns(source, chosen) if chosen else source, place=self.place, long=long, stop=stop, model=self.model
        )
        return Going(self._turn(ChatState(question=question, run_ids=chosen), name, owner, context), lambda: self._end(owner, name, stop))

    def _end(self, owner: str, name: str, stop: threading.Event) -> None:
        stop.set()
        with self._lock:
            if self._stops.get(f"{owner}/{name}") is stop:
                del self._stops[f"{owner}/{name}"]

    def _turn(self, state: ChatState, name: str, owner: str, context: ChatContext) -> Iterator[Event]:
        config = self._config(name, owner)
        yield from self._graph.stream(state, config, context=context, stream_mode="custom", durability="exit")
        turn = self._graph.get_state(config).values["answer"]
        self._prune(name, owner)
        yield Event(event="done", data={"thread_id": name, **{k: v for k, v in turn.items() if k != "question"}})

    def stop(self, thread_id: str, owner: str = "") -> bool:
        """Ask the turn that is going on in a thread to end; what was said is kept. False when none is going on."""
        with self._lock:
            stop = self._stops.get(f"{owner}/{thread_id}")
        if stop is None:
            return False
        stop.set()
        return True

    def threads(self, owner: str = "", limit: int = 50) -> tuple[ThreadInfo, ...]:
        """An owner's conversations, the last used first."""
        found: dict[str, ThreadInfo] = {}
        for kept in self.checkpointer.list(None, filter={"owner": owner or "-"}, limit=MOST_LISTED):
            name = str(kept.config["configurable"]["thread_id"]).rpartition("/")[2]
            values = kept.checkpoint["channel_values"]
            turns = values.get("turns") or []
            if name in found or not turns:
                continue
            found[name] = ThreadInfo(thread_id=name, title=turns[0]["question"][:80], turns=len(turns), updated=str(kept.checkpoint["ts"]))
            if len(found) >= limit:
                break
        return tuple(found.values())

    def history(self, thread_id: str, owner: str = "") -> tuple[StoredTurn, ...]:
        """The turns of a thread, the first first.

        Raises:
            NotFound: no such thread of this owner.
        """
        return tuple(StoredTurn.model_validate(turn) for turn in self._state(thread_id, owner).get("turns", []))

    def delete(self, thread_id: str, owner: str = "") -> None:
        """Forget a thread.

        Raises:
            NotFound: no such thread of this owner.
        """
        self._state(thread_id, owner)
        self.stop(thread_id, owner)
        self.checkpointer.delete_thread(f"{owner or '-'}/{thread_id}")

    def close(self) -> None:
        """Give back the database."""
        self.closing.close()

    def __del__(self) -> None:
        self.closing.close()

    def _begin(self, owner: str, name: str) -> threading.Event:
        with self._lock:
            if f"{owner}/{name}" in self._stops:
                raise UsageError("this conversation is answering already", hint="wait for its end, or stop it")
            stop = self._stops[f"{owner}/{name}"] = threading.Event()
        return stop

    def _config(self, name: str, owner: str) -> RunnableConfig:
        if not _THREAD.fullmatch(name):
            raise UsageError("a thread id has up to 64 letters, digits, - and _")
        return {"configurable": {"thread_id": f"{owner or '-'}/{name}"}, "metadata": {"owner": owner or "-"}}

    def _exists(self, name: str, owner: str) -> bool:
        return self.checkpointer.get_tuple(self._config(name, owner)) is not None

    def _state(self, name: str, owner: str) -> dict[str, Any]:
        if not _THREAD.fullmatch(name) or not self._exists(name, owner):
            raise NotFound("no such conversation")
        values: dict[str, Any] = self._graph.get_state(self._config(name, owner)).values
        return values

    def _prune(self, name: str, owner: str) -> None:
        """Only the newest state of a thread is ever read; without this a thread's size would grow with its square."""
        thread = f"{owner or '-'}/{name}"
        cursor = getattr(self.checkpointer, "cursor", None)
        if type(self.checkpointer).__name__ == "SqliteSaver" and cursor is not None:
            newest = "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ?)"
            with cursor() as rows:
                rows.execute(f"DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < {newest}", (thread, thread))
                rows.execute(f"DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < {newest}", (thread, thread))
        else:
            self.checkpointer.prune([thread])


def open_chat(
    runs: RunSource, place: KnowledgePlace, *, database_url: str | None = None, model: Model | None = None, model_name: str | None = None
) -> Chat:
    """Conversations kept in PostgreSQL where the URL names one, else in `chat.sqlite` of the home.

    Raises:
        Unavailable: PostgreSQL is named and its driver is not installed, or it does not answer.
    """
    closing = ExitStack()
    named = database_url or ""
    is_postgres = named.startswith(("postgresql", "postgres:"))
    checkpointer = _postgres(named, closing) if is_postgres else _sqlite(place.home, closing)
    return Chat(runs, place, checkpointer, model, model_name, closing)


def _sqlite(home: Path, closing: ExitStack) -> BaseCheckpointSaver[Any]:
    import sqlite3

    from langgraph.checkpoint.sqlite import SqliteSaver

    home.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(home / "chat.sqlite", check_same_thread=False, timeout=30.0)
    closing.callback(connection.close)
    saver = SqliteSaver(connection)
    saver.setup()
    return saver


def _postgres(url: str, closing: ExitStack) -> BaseCheckpointSaver[Any]:
    try:
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg import Connection, OperationalError
        from psycopg.rows import DictRow, dict_row
        from psycopg_pool import ConnectionPool, PoolTimeout
    except ImportError as error:
        raise Unavailable("PostgreSQL's driver is not installed", hint='pip install "spark-intelligence-copilot[postgres]"') from error
    plain = re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql://", url)
    try:
        pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
            plain, connection_class=Connection[DictRow], min_size=1, max_size=4, open=False, timeout=POOL_WAIT_S,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        )  # fmt: skip
        closing.callback(pool.close)
        pool.open(wait=True, timeout=POOL_WAIT_S)
        saver = PostgresSaver(pool)
        saver.setup()
    except (OperationalError, PoolTimeout) as error:
        closing.close()
        raise Unavailable("the database of the conversations does not answer", hint="see DATABASE_URL") from error
    return saver
