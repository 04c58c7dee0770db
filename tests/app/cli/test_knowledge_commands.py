"""`ask`, `search`, `index`: JSON shapes, exit codes, answers about a run."""

import json
from pathlib import Path

import pytest

from spark_copilot.app.cli.main import run

SAMPLE = Path(__file__).resolve().parents[3] / "app" / "samples" / "skewed-join.zstd"


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run([*arguments, "--format", "json"]) == 0
    made: dict[str, object] = json.loads(capsys.readouterr().out)
    return made


def test_ask_answers_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    made = answered(capsys, "ask", "why do my tasks spill to disk?")
    assert list(made) == ["schema_version", "answer", "citations", "findings", "model"]
    assert made["model"] is None
    assert isinstance(made["citations"], list)
    assert list(made["citations"][0]) == ["id", "title", "source"]


def test_ask_about_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    made = answered(capsys, "ask", "--log", str(SAMPLE), "which stage is the bottleneck and why?")
    assert isinstance(made["findings"], list)
    assert any(key.startswith("data-skew@stage:") for key in made["findings"])
    assert "skewed" in json.dumps(made["citations"])


def test_search_has_its_shape(capsys: pytest.CaptureFixture[str]) -> None:
    made = answered(capsys, "search", "exit code 137", "-k", "3")
    assert list(made) == ["schema_version", "results"]
    assert isinstance(made["results"], list)
    assert len(made["results"]) == 3
    assert list(made["results"][0]) == ["id", "title", "source", "score", "text"]


def test_index_stats_of_a_new_home(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(capsys, "index", "stats")["documents"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ask", ""], 2),
        (["ask", "x", "--format", "xml"], 2),
        (["search", "x", "--scope", "moon"], 2),
        (["search", "x", "-k", "0"], 2),
        (["ask", "--log", "absent.log", "why"], 3),
        (["index", "add", "absent-folder"], 3),
    ],
)
def test_refusals_are_one_error_and_nothing_on_stdout(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> None:
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
