"""Turns by a model over real HTTP: tools, checks, streaming, and the answer without it when it fails."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.app.scripted_model import (
    Scripted,
    Step,
    broken_stream,
    call,
    calls,
    empty,
    endless,
    fail,
    garbage,
    say,
    scripted,
    silence,
)
from spark_copilot.orchestration.ask import KnowledgePlace
from spark_copilot.orchestration.chat.grounding import NO_KEY, NO_NUMBER
from spark_copilot.orchestration.chat.threads import Chat, Event, open_chat
from spark_copilot.orchestration.chat.with_model import Budget, ModelPlace, model_turns
from spark_copilot.orchestration.runs import LogRuns
from tests.timing import below

LOGS = Path(__file__).parents[2] / "data" / "laboratory"
RUNS = LogRuns([LOGS / "big-sort.zstd", LOGS / "big-sort-room.zstd"])


def run_id() -> str:
    return next(run.run_id for run in RUNS.known() if run.name == "big-sort")


def talk(steps: Sequence[Step], question: str, home: Path, **budget: Any) -> tuple[list[Event], Scripted, Chat]:
    with scripted(steps) as server:
        place = ModelPlace("openai:scripted", server.url, "sk-canary-key-heliotrope", timeout_s=budget.pop("timeout_s", 5.0))
        chat = open_chat(RUNS, KnowledgePlace(home), model=model_turns(place, Budget(**budget)), model_name=place.name)
        told = list(chat.say(question, thread_id="t", new=True))
        return told, server, chat


def test_a_model_answers_with_the_tools_and_its_lines_are_checked(tmp_path: Path) -> None:
    text = (
        "The run took 15.3 s; stage 0 spilled 203 MiB.\nIt would take 99 s on Mars.\nSet `spark.sql.turbo.mode` = 1 or `spark.memory.fraction` = 0.6.\n"
        "![x](https://evil.example/?q=1) ok [1] and [7]\n"
    )
    steps = [
        call("run_summary", run_id=run_id()),
        call("finding", run_id=run_id(), key="spill@stage:0.0"),
        call("search", query="spill"),
        say(text),
    ]
    told, server, chat = talk(steps, "why is it slow?", tmp_path)
    answer = str(told[-1].data["answer"])
    assert answer.startswith("The run took 15.3 s; stage 0 spilled 203 MiB.\n")
    assert f"It would take {NO_NUMBER} on Mars." in answer
    assert f"`{NO_KEY}`" in answer
    assert "`spark.memory.fraction` = 0.6." in answer
    assert "evil" not in answer
    assert "[7]" not in answer
    assert [e.data["name"] for e in told if e.event == "tool"] == ["run_summary", "finding", "search"]
    assert "".join(str(e.data["text"]) for e in told if e.event == "token") == answer == chat.history("t")[0].answer
    assert told[-1].data["model"] == "openai:scripted"
    assert "spill@stage:0.0" in told[-1].data["findings"]
    assert told[-1].data["citations"]
    assert {tool["function"]["name"] for tool in server.requests[0]["tools"]} >= {"run_summary", "whatif", "compare", "search"}
    chat.close()


def test_history_goes_with_the_next_question(tmp_path: Path) -> None:
    with scripted([call("run_summary", run_id=run_id()), say("It took 15.3 s.\n"), say("Yes, 15.3 s.\n")]) as server:
        chat = open_chat(RUNS, KnowledgePlace(tmp_path), model=model_turns(ModelPlace("openai:scripted", server.url, "k" * 10)))
        list(chat.say("how long?", thread_id="t", new=True))
        done = list(chat.say("sure?", thread_id="t"))[-1]
        assert done.data["answer"] == "Yes, 15.3 s.\n"
        assert [m["role"] for m in server.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]
        chat.close()


@pytest.mark.parametrize(
    ("steps", "budget"),
    [
        pytest.param([fail(429)], {}, id="429"),
        pytest.param([fail(500)], {}, id="500"),
        pytest.param([garbage()], {}, id="no json"),
        pytest.param([broken_stream()], {}, id="broken stream"),
        pytest.param([empty()], {}, id="empty"),
        pytest.param([silence(20)], {"timeout_s": 0.3}, id="timeout"),
        pytest.param([endless()], {}, id="endless text"),
        pytest.param([endless("x")], {"answer_chars": 10**9, "seconds": 0.5}, id="endless, by the clock"),
        pytest.param([call("run_summary", run_id="x")], {"model_calls": 4}, id="calls for ever"),
        pytest.param([call("delete_everything", path="/")], {"model_calls": 3}, id="unknown tool for ever"),
    ],
)
def test_a_model_that_fails_is_answered_for(steps: list[Step], budget: dict[str, Any], tmp_path: Path) -> None:
    began = time.monotonic()
    told, _, chat = talk(steps, "which stage is the bottleneck?", tmp_path, **budget)
    done = told[-1].data
    assert "can come back" in str(done["answer"]) or "healthy" in str(done["answer"])
    assert done["model"] is None
    assert any("without" in str(e.data.get("text")) for e in told if e.event == "status")
    assert below(time.monotonic() - began, 15)
    assert "".join(str(e.data["text"]) for e in told if e.event == "token") == done["answer"]
    chat.close()


def test_text_said_before_a_failure_stays(tmp_path: Path) -> None:
    told, _, chat = talk([broken_stream()], "which stage is the bottleneck?", tmp_path)
    assert str(told[-1].data["answer"]).startswith("The run is\n\n")
    chat.close()


def test_identical_calls_are_answered_once(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"run_id": run_id(), "stage_id": 0}
    same = ("stage", asked)
    _, server, chat = talk([calls(same, same), call("stage", **asked), say("done\n")], "stage?", tmp_path)
    results = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "tool"]
    assert sum("asked already" in str(r) for r in results) == 2
    chat.close()


def test_results_are_bounded(tmp_path: Path) -> None:
    steps = [call("run_summary", run_id=run_id()), call("findings", run_id=run_id()), say("ok\n")]
    _, server, chat = talk(steps, "what?", tmp_path, result_chars=500, all_result_chars=800)
    results = [str(m["content"]) for m in server.requests[-1]["messages"] if m["role"] == "tool"]
    assert "cut:" in results[0]
    assert sum(map(len, results)) < 1_200
    chat.close()


def test_a_missing_provider_is_said_and_answered_for(tmp_path: Path) -> None:
    chat = open_chat(RUNS, KnowledgePlace(tmp_path), model=model_turns(ModelPlace("no-such-provider:x")))
    told = list(chat.say("how long did it take?", thread_id="t", new=True))
    assert "took" in str(told[-1].data["answer"])
    assert any("without the model" in str(e.data.get("text")) for e in told)
    chat.close()
