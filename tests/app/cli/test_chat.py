"""`chat` with piped questions: one answer a line, text or JSON, and errors that are said."""

import io
import json
from pathlib import Path

import pytest

from spark_copilot.app.cli.main import run

LOG = str(Path(__file__).parents[2] / "data" / "laboratory" / "big-sort.zstd")


def test_piped_questions_are_one_conversation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("which stage is the bottleneck?\n\nwhy?\n/runs\n/quit\nnever asked\n"))
    assert run(["chat", "--log", LOG]) == 0
    out, err = capsys.readouterr()
    assert "Why: spilled to disk 203 MiB" in out
    assert "1 runs, the newest first" in out
    assert "[1] " in out
    assert err == ""


def test_json_is_one_object_an_answer_and_a_thread_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("how long did it take?\n"))
    assert run(["chat", "--log", LOG, "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr("sys.stdin", io.StringIO("how sure are you?\n"))
    assert run(["chat", "--log", LOG, "--format", "json", "--thread", first["thread_id"]]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["thread_id"] == first["thread_id"]
    assert "off its wall clock" in again["answer"]


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--log", "/no/such/log"], 3), (["--log", __file__], 3), (["--format", "xml"], 2), (["--thread", "nope"], 3)]
)
def test_errors_are_said(arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n"))
    assert run(["chat", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err
