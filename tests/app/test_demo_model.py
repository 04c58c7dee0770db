"""`chat --demo-model`: the path of a model, over HTTP on loopback, at the command line."""

import io
import json

import pytest
from langchain_core.messages import AIMessageChunk

from spark_copilot.app.cli.main import run
from spark_copilot.app.demo_model import INVENTED, demo_model
from spark_copilot.orchestration.chat.grounding import NO_NUMBER
from spark_copilot.orchestration.chat.with_model import Budget, ModelPlace, chat_model


def answers(questions: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *more: str) -> list[dict[str, object]]:
    pytest.importorskip("langchain_openai", reason="the extra llm is not installed")
    monkeypatch.setattr("sys.stdin", io.StringIO(questions))
    assert run(["chat", "--demo-model", "--format", "json", *more]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_answers_from_the_tools_and_its_invention_is_struck(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = answers("why is it slow?\nwhat if 8 executors?\n", capsys, monkeypatch)
    assert first["model"] == second["model"] == "openai:demo"
    assert "One task has far more data than the others" in str(first["answer"])
    assert "With 8 executors: 20" in str(second["answer"])
    for answer in (first, second):
        assert INVENTED.replace("97.3 s", NO_NUMBER) in str(answer["answer"])
        assert "97.3" not in str(answer["answer"])


def test_without_runs_it_asks_for_a_search() -> None:
    pytest.importorskip("langchain_openai", reason="the extra llm is not installed")
    with demo_model() as server:
        model = chat_model(ModelPlace("openai:demo", server.url, "demo"), Budget())
        offered = {"name": "search", "description": "", "parameters": {"type": "object", "properties": {}}}
        pieces = [piece for piece in model.bind_tools([offered]).stream("exit code 137") if isinstance(piece, AIMessageChunk)]
        whole = sum(pieces[1:], pieces[0])
        assert isinstance(whole, AIMessageChunk)
        assert [(c["name"], c["args"]["query"]) for c in whole.tool_calls] == [("search", "exit code 137")]
