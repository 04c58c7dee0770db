"""`train`, and `analyze` with a history or a model."""

import json
from pathlib import Path

import pytest

from spark_copilot.app.cli.main import run
from tests.app.service.test_history import log_of
from tests.app.test_cli import SAMPLE, modules_after


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    for day in range(1, 8):
        (folder / f"app-{day}").write_bytes(log_of(day, 6 + 2 * day))
    (folder / "notes.txt").write_text("no log")
    (tmp_path / "now").write_bytes(log_of(20, 12, 4_000))
    return folder


def test_a_model_and_a_history_say_the_same(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now, model = str(tmp_path / "now"), tmp_path / "model.json"
    assert run(["train", str(logs), "--out", str(model)]) == 0
    out, err = capsys.readouterr()
    assert "nightly, 7 runs from " in out
    assert "leave-one-out error" in out
    assert "left out: notes.txt: not a Spark event log" in err
    assert run(["analyze", now, "--model", str(model), "--format", "json"]) == 0
    by_model = json.loads(capsys.readouterr().out)["prediction"]
    assert run(["analyze", now, "--history", str(logs), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["prediction"] == by_model
    assert by_model["runs_used"] == 7
    assert "slower than its input explains" in by_model["drift"]


def test_too_little_is_said_beside_the_report(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(tmp_path / "now"), "--history", str(logs / "app-1"), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["prediction"] is None
    assert "no prediction: there is 1 complete earlier run" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "{logs}/app-1", "--out", "{tmp}/m"], 3, "1 complete run of the job"),
        (["train", "{logs}", SAMPLE, "--out", "{tmp}/m"], 2, "runs of 2 jobs"),
        (["train", "{logs}", "--job", "weekly", "--out", "{tmp}/m"], 2, "no run of the job 'weekly'"),
        (["train", "{tmp}/nowhere", "--out", "{tmp}/m"], 3, "no such file"),
        (["train", "{logs}/notes.txt", "--out", "{tmp}/m"], 3, "not a Spark event log"),
        (["analyze", "{tmp}/now", "--model", "{logs}/notes.txt"], 3, "not a model file"),
        (["analyze", "{tmp}/now", "--history", "{tmp}/nowhere"], 3, "no such file"),
    ],
)
def test_refusals(arguments: list[str], code: int, words: str, logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([a.format(logs=logs, tmp=tmp_path) for a in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "m").exists()


def test_without_history_no_library_for_models_is_loaded() -> None:
    loaded = modules_after(f"from spark_copilot.app.cli.main import run; assert run(['analyze', {SAMPLE!r}]) == 0")
    assert not loaded & {"sklearn", "scipy"}
