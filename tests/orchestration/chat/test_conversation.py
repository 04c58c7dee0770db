"""Conversations without a model: follow-ups, several runs, what is not in the log, threads that are kept and kept apart."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.orchestration.ask import AskAnswer, KnowledgePlace
from spark_copilot.orchestration.chat.focus import Focus, meaning
from spark_copilot.orchestration.chat.threads import Chat, Emit, Event, StoredTurn, open_chat
from spark_copilot.orchestration.chat.without_model import Talk, reply
from spark_copilot.orchestration.runs import FixedRuns, LogRuns
from spark_copilot.rag.answer import WORDS, count_words
from spark_copilot.rules_engine.errors import NotFound, UsageError

LOGS = Path(__file__).parents[2] / "data" / "laboratory"


@pytest.fixture(scope="module")
def runs() -> LogRuns:
    return LogRuns([LOGS / "big-sort.zstd", LOGS / "big-sort-room.zstd"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> KnowledgePlace:
    return KnowledgePlace(tmp_path_factory.mktemp("home"))


@pytest.fixture
def chat(runs: LogRuns, tmp_path: Path) -> Iterator[Chat]:
    made = open_chat(runs, KnowledgePlace(tmp_path))
    yield made
    made.close()


def talk_through(questions: list[str], runs: LogRuns, place: KnowledgePlace) -> list[str]:
    focus, said = Focus(), []
    for question in questions:
        turn = reply(question, focus, Talk(runs, place))
        focus = turn.focus
        assert count_words(turn.answer.answer) <= WORDS
        said.append(turn.answer.answer)
    return said


START = "in big-sort which stage is the bottleneck?"


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ([START, "why?"], "Why: spilled to disk 203 MiB (the rule fires from 16 MiB)"),
        ([START, "how sure are you?"], "confidence medium"),
        ([START, "how do I fix it?"], "`spark.memory.fraction` = 0.6 (now 0.08)"),
        ([START, "what does that save?"], "worth 2.1 s of wall clock (between 878 ms and 2.7 s)"),
        ([START, "and the one after it?"], "Stage 1.0"),
        ([START, "and the one after it?", "and the next one?"], "There is no further one: 2 were listed."),
        ([START, "and the second?"], "Stage 1.0"),
        ([START, "what about stage 5?"], "Stage 5 is not in the log. It holds stages 0 to 1."),
        ([START, "what about stage 1?", "how many tasks did it have?"], "2 tasks ended"),
        ([START, "what if I had 8 executors", "and with 4?"], "With 4 executors of 2 cores"),
        ([START, "and with 8 executors?"], "With 8 executors of 2 cores"),
        ([START, "compare with the other run"], "The same, within noise: big-sort"),
        ([START, "compare with yesterday", "why?"], "spill 203 MiB -> 0 B"),
        ([START, "and the other run?"], "healthy"),
        ([START, "which customer has the hot key?"], "That is not in the log."),
        ([START, "what is broadcast join?"], "broadcast"),
        ([START, "what about gc?"], "Garbage collection took"),
        (["which runs are there"], "2 runs, the newest first"),
        (["what changed between the two runs"], "Settings that differ:"),
        (["compare big-sort with big-sort-room"], "`spark.memory.fraction`: 0.08 -> (not set)"),
        ([START, "tell me about spill@stage:0.0"], "Replayed with it mended the run takes about"),
        ([START, "what was spark.sql.shuffle.partitions set to"], "`spark.sql.shuffle.partitions` = 8 in this run."),
        ([START, "what would it cost at 0.05 USD per core hour"], "At 0.05 USD a core hour"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)  # fmt: skip
def test_follow_ups(questions: list[str], said: str, runs: LogRuns, place: KnowledgePlace) -> None:
    assert said in talk_through(questions, runs, place)[-1]


def test_a_conversation_without_runs_answers_from_the_knowledge(place: KnowledgePlace) -> None:
    first = reply("why do my executors run out of memory?", Focus(), Talk(FixedRuns([]), place))
    assert first.answer.citations
    longer = reply("tell me more", first.focus, Talk(FixedRuns([]), place))
    assert count_words(longer.answer.answer) > count_words(first.answer.answer)


def test_short_questions_mean_nothing_without_something_before() -> None:
    assert meaning("why?", Focus()).action == "answer"
    assert meaning("why?", Focus(question="x", finding="spill@app")).action == "why"


def events(chat: Chat, message: str, **more: object) -> list[Event]:
    return list(chat.say(message, **more))  # type: ignore[arg-type]


def test_tokens_are_the_answer_that_is_kept(chat: Chat) -> None:
    told = events(chat, START)
    done = told[-1]
    assert [e.event for e in told[:1]] == ["status"]
    assert done.event == "done"
    text = "".join(str(e.data["text"]) for e in told if e.event == "token")
    kept = chat.history(str(done.data["thread_id"]))
    assert text == done.data["answer"] == kept[0].answer
    assert [e.data["id"] for e in told if e.event == "citation"] == [c["id"] for c in kept[0].citations]


def test_threads_survive_a_restart_and_go_on(runs: LogRuns, tmp_path: Path) -> None:
    place = KnowledgePlace(tmp_path)
    first = open_chat(runs, place)
    thread = str(events(first, START)[-1].data["thread_id"])
    first.close()
    second = open_chat(runs, place)
    assert "Why: spilled" in events(second, "why?", thread_id=thread)[-1].data["answer"]
    assert [(t.thread_id, t.turns, t.title) for t in second.threads()] == [(thread, 2, START)]
    with second.checkpointer.cursor() as rows:  # type: ignore[attr-defined]
        rows.execute("SELECT count(*) FROM checkpoints")
        assert rows.fetchone()[0] == 1
    second.delete(thread)
    assert second.threads() == ()
    with pytest.raises(NotFound):
        second.history(thread)
    second.close()


def test_threads_belong_to_their_owner(chat: Chat) -> None:
    thread = str(events(chat, START, owner="ann")[-1].data["thread_id"])
    assert len(chat.threads("ann")) == 1
    assert chat.threads("bob") == chat.threads() == ()
    for call in (
        lambda: chat.history(thread, "bob"),
        lambda: chat.delete(thread, "bob"),
        lambda: chat.say("why?", thread_id=thread, owner="bob"),
    ):
        with pytest.raises(NotFound):
            call()
    assert not chat.stop(thread, "bob")


def test_a_conversation_keeps_to_the_runs_it_was_given(chat: Chat, runs: LogRuns) -> None:
    mine = next(run.run_id for run in runs.known() if run.name == "big-sort")
    done = events(chat, "compare with the other run", run_ids=[mine])[-1]
    assert "One log holds one run" in str(done.data["answer"])
    again = events(chat, "which runs are there", thread_id=done.data["thread_id"])[-1]
    assert "1 runs" in str(again.data["answer"])
    with pytest.raises(NotFound):
        chat.say("x", run_ids=["../../etc/passwd"])


def test_one_turn_at_a_time_and_an_abandoned_turn_frees_its_thread(chat: Chat) -> None:
    thread = str(events(chat, START)[-1].data["thread_id"])
    going = chat.say("why?", thread_id=thread)
    with pytest.raises(UsageError, match="answering already"):
        chat.say("why?", thread_id=thread)
    going.close()
    assert events(chat, "why?", thread_id=thread)[-1].event == "done"


def test_a_stopped_turn_keeps_what_was_said(runs: LogRuns, tmp_path: Path) -> None:
    def slow(question: str, turns: list[dict[str, Any]], talk: Talk, emit: Emit, stop: threading.Event) -> AskAnswer | None:
        del question, turns, talk
        emit(Event(event="token", data={"text": "first\n"}))
        assert stop.wait(10)
        return AskAnswer(answer="first\nsecond\n", citations=(), model="slow")

    chat = open_chat(runs, KnowledgePlace(tmp_path), model=slow)
    thread = "t1"
    for event in chat.say(START, thread_id=thread, new=True):
        if event.event == "token":
            assert chat.stop(thread)
        last = event
    assert last.data["cut_short"]
    assert last.data["answer"] == chat.history(thread)[0].answer == "first\n"
    chat.close()


def test_many_threads_at_once(chat: Chat) -> None:
    done: list[object] = []

    def one() -> None:
        done.append(events(chat, "how many tasks were there")[-1].data["answer"])

    workers = [threading.Thread(target=one) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(done) == 6
    assert len(set(map(str, done))) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x" * 65, "a b", "-\n"])
def test_thread_ids_are_plain_words(chat: Chat, name: str) -> None:
    with pytest.raises((UsageError, NotFound)):
        chat.say("hello", thread_id=name)


def test_old_turns_go_first(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_copilot.orchestration.chat.threads.MOST_TURNS", 2)
    thread = None
    for question in ("how many tasks were there", "how long did it take", "did it spill"):
        thread = str(events(chat, question, thread_id=thread)[-1].data["thread_id"])
    assert thread is not None
    kept: tuple[StoredTurn, ...] = chat.history(thread)
    assert [turn.question for turn in kept] == ["how long did it take", "did it spill"]
