"""The command line on a real log: reports, refusals, exit codes, and what it may import."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from spark_copilot.app.cli.main import COMMANDS, run
from spark_copilot.rules_engine.catalog import RULES
from tests.conftest import ROOT

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")
HEAVY = ("langgraph", "chromadb", "sklearn", "numpy", "fastapi", "sqlalchemy", "duckdb", "pydantic_settings")
NOT_FOR_ANALYZE = ("chromadb", "sklearn", "langchain", "sqlalchemy", "fastapi", "onnxruntime", "duckdb", "mcp")


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running some code."""
    script = f"{code}\nimport sys, json; print('\\n' + json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_after("from spark_copilot.app.cli.main import run; run(['--help'])")
    assert not loaded & set(HEAVY)


def test_analyze_loads_only_what_it_needs() -> None:
    loaded = modules_after(f"from spark_copilot.app.cli.main import run; assert run(['analyze', {SAMPLE!r}]) == 0")
    assert not loaded & set(NOT_FOR_ANALYZE)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_help_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_json_report_keeps_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", SAMPLE, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    assert report["schema_version"] == 1
    assert report["findings"][0]["code"] == "data-skew"
    assert report["findings"][0]["where"]["stage_id"] >= 0


def test_two_logs_are_two_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", SAMPLE, SAMPLE, "--format", "json"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_the_text_report_says_what_where_how_much_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo"]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 100 for line in out.splitlines())
    for part in ("can come back", "where", "worth", "do", "until", "--conf ", "data-skew"):
        assert part in out


def test_a_healthy_run_says_so_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "healthy"]) == 0
    assert "healthy: tasks ran for" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"<html><body>not here</body></html>\n", "not a Spark event log", id="a page"),
        pytest.param(b"26/11/24 17:43:21 WARN NativeCodeLoader: Unable to load\n" * 50, "not a Spark event log", id="a driver log"),
        pytest.param(bytes(range(256)) * 20, "not a Spark event log", id="binary"),
    ],
)
def test_refused_input_leaves_nothing_behind(content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, output = tmp_path / "log", tmp_path / "report.json"
    log.write_bytes(content)
    assert run(["analyze", str(log), "--format", "json", "--output", str(output)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err
    assert not output.exists()


def test_a_missing_file_is_input_not_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(tmp_path / "nowhere")]) == 3
    assert "nowhere" in capsys.readouterr().err


def test_an_unknown_format_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", SAMPLE, "--format", "xml"]) == 2
    assert "text" in capsys.readouterr().err


def test_standard_input() -> None:
    command = [sys.executable, "-m", "spark_copilot", "analyze", "-", "--format", "json"]
    done = subprocess.run(command, input=Path(SAMPLE).read_bytes(), capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["application"]["complete"] is True


def test_output_is_replaced_whole(tmp_path: Path) -> None:
    output = tmp_path / "report.txt"
    output.write_text("old")
    assert run(["analyze", SAMPLE, "-o", str(output)]) == 0
    assert output.read_text().startswith("skewed-join")
    assert [p.name for p in tmp_path.iterdir()] == ["report.txt"]


@pytest.mark.parametrize("code", [r.code for r in RULES])
def test_every_rule_explains_itself(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", code]) == 0
    assert "Blind spot:" in capsys.readouterr().out
