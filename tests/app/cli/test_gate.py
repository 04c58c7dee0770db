"""`gate` from the outside: exit codes, formats, baselines, repairs, runs."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from spark_copilot.app.cli.main import run
from spark_copilot.app.report import gate_github, gate_gitlab, gate_junit, gate_md, gate_sarif, gate_text
from spark_copilot.orchestration.gate import gate_texts
from tests.conftest import SHARED

BAD = "spark.executor.memroy 4g\nspark.sql.autoBroadcastJoinThreshold -1\n"


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("spark-defaults.conf")
    path.write_text(BAD)
    return path


def test_json_has_the_contracts_keys(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(bad), "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"schema_version", "findings", "files", "suppressed", "summary"}
    assert report["summary"] == {"error": 1, "warning": 1, "info": 0}
    assert report["files"] == [{"file": "spark-defaults.conf", "kind": "properties", "keys": 2}]
    first = report["findings"][0]
    assert {k: first[k] for k in ("rule", "name", "severity", "file", "line", "column", "key")} == {
        "rule": "SG101", "name": "unknown-key", "severity": "error", "file": "spark-defaults.conf", "line": 1, "column": 1,
        "key": "spark.executor.memroy",
    }  # fmt: skip
    assert first["fix"] == "write spark.executor.memory"


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ([], 1),
        (["--fail-on", "never"], 0),
        (["--ignore", "SG101"], 0),
        (["--ignore", "SG101", "--fail-on", "warning"], 1),
        (["--select", "SG7"], 0),
        (["--select", "SG999"], 2),
        (["--format", "xml"], 2),
        (["--platform", "cloud"], 2),
        (["--spark-version", "three"], 2),
        (["--max-wall", "3m"], 2),
        (["--baseline", "none.json"], 3),
    ],
)
def test_exit_codes(bad: Path, extra: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(bad), *extra]) == code
    out, err = capsys.readouterr()
    assert (out == "") == (code > 1)
    assert "Traceback" not in err


def test_no_such_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "/no/such/path"]) == 3
    assert "no such file" in capsys.readouterr().err


def test_only_new_findings_count_with_a_baseline(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(bad), "--write-baseline", "known.json"]) == 0
    assert run(["gate", str(bad), "--baseline", "known.json"]) == 0
    bad.write_text("# a line more\n" + BAD + "spark.executor.cores four\n")
    capsys.readouterr()
    assert run(["gate", str(bad), "--baseline", "known.json", "--format", "json"]) == 1
    assert [f["rule"] for f in json.loads(capsys.readouterr().out)["findings"]] == ["SG202"]


def test_fix_and_diff(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(bad), "--diff"]) == 1
    assert "+spark.executor.memory 4g" in capsys.readouterr().out
    assert bad.read_text() == BAD
    assert run(["gate", str(bad), "--fix"]) == 0
    assert bad.read_text() == BAD.replace("memroy", "memory")


def test_several_outputs(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(bad), "--output", "sarif:a.sarif", "--output", "junit:a.xml"]) == 1
    assert json.loads(Path("a.sarif").read_text())["version"] == "2.1.0"
    assert Path("a.xml").read_text().startswith("<?xml")
    assert "SG101" in capsys.readouterr().out


def test_configuration_is_found(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pyproject.toml").write_text('[tool.spark-copilot.gate]\nknown-keys = ["spark.executor.memroy"]\nfail-on = "warning"\n')
    assert run(["gate", str(bad)]) == 1
    assert run(["gate", str(bad), "--isolated"]) == 1
    Path("pyproject.toml").write_text('[tool.spark-copilot.gate]\nknown-keys = ["spark.executor.memroy"]\n')
    assert run(["gate", str(bad)]) == 0
    capsys.readouterr()
    Path("pyproject.toml").write_text("[tool.spark-copilot.gate]\nselekt = []\n")
    assert run(["gate", str(bad)]) == 2


def test_reports_of_every_format() -> None:
    report = gate_texts({"a b/spark-defaults.conf": BAD, "ok.conf": "spark.app.name x"})
    assert "1 | spark.executor.memroy 4g\n    | ^^^^^^^^^^^^^^^^^^^^^\n  fix: write spark.executor.memory" in gate_text.render(report)
    suites = ET.fromstring(gate_junit.render(report))
    assert (suites.get("tests"), suites.get("failures"), len(suites)) == ("3", "2", 2)
    lines = gate_github.render(report).splitlines()
    assert lines[0].startswith("::error title=SG101 unknown-key,file=a b/spark-defaults.conf,line=1,endLine=1,col=1,endColumn=22::")
    issues = json.loads(gate_gitlab.render(report))
    assert len({issue["fingerprint"] for issue in issues}) == 2
    assert issues[0]["location"] == {"path": "a b/spark-defaults.conf", "lines": {"begin": 1}}
    assert "| error | `SG101` unknown-key | `a b/spark-defaults.conf:1` |" in gate_md.render(report)


def test_sarif_has_what_code_scanning_needs() -> None:
    text = "# spark-copilot: ignore[SG606] needed\nspark.sql.autoBroadcastJoinThreshold -1\nspark.executor.memroy 4g\n"
    sarif = json.loads(gate_sarif.render(gate_texts({"a b/spark-defaults.conf": text})))
    first = sarif["runs"][0]
    rules, results = first["tool"]["driver"]["rules"], first["results"]
    assert [rules[r["ruleIndex"]]["id"] for r in results] == [r["ruleId"] for r in results] == ["SG101", "SG606"]
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "a%20b/spark-defaults.conf",
        "uriBaseId": "%SRCROOT%",
    }
    assert results[0]["partialFingerprints"]["primaryLocationLineHash"]
    assert results[1]["suppressions"] == [{"kind": "inSource", "justification": "needed"}]
    assert all({"id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"} <= set(r) for r in rules)


def test_upgrade_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "spark.mesos.coarse true\nspark.speculation.multiplier 3\nspark.sql.shuffle.partitions 4x\n"
    )
    assert run(["upgrade-check", "--from", "3.5", "--to", "4.1", str(tmp_path), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [f["rule"] for f in report["findings"]] == ["SG107"], "what is wrong in both versions is not the upgrade's"
    assert report["now_default"] == [{"key": "spark.speculation.multiplier", "value": "3"}]
    assert {"key": "spark.sql.ansi.enabled", "from": "false", "to": "true", "near": []} in report["defaults"]
    assert run(["upgrade-check", "--from", "3.5", "--to", "9.9", str(tmp_path)]) == 2


def test_start_is_light() -> None:
    heavy = ("langgraph", "sklearn", "chromadb", "fastapi", "numpy", "sqlalchemy", "hcl2")
    code = f"import sys; from spark_copilot.app.cli.main import run; run(['gate', sys.argv[1]]); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, __file__], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture(scope="session")
def dev_cases() -> Path:
    folder = SHARED / "gate" / "dev_cases"
    if not folder.is_dir():
        pytest.skip(f"no labelled cases at {folder} (set SPARK_COPILOT_SHARED)")
    return folder


def test_labelled_cases(dev_cases: Path) -> None:
    command = [sys.executable, str(dev_cases.parent / "score.py"), str(dev_cases), str(Path(sys.executable).parent / "spark-copilot")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "on clean files 0, unlisted warnings 0" in done.stdout


def test_a_run_needs_a_baseline_or_a_budget(dev_cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(dev_cases / "runs" / "unchanged" / "candidate.json")
    assert run(["gate", log]) == 2
    assert run(["gate", log, "--max-wall", "10s"]) == 1
    assert run(["gate", log, "--max-wall", "1h"]) == 0
    capsys.readouterr()
    assert run(["gate", "--baseline", log, log, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"].startswith("same")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--max-cost", "5", "--pricing", "aws-glue"], 0, "within budget"),
        (["--max-cost", "0.000001", "--pricing", "aws-glue"], 1, "the budget is"),
        (["--no", "high"], 1, "data-skew"),
        (["--no", "critical"], 0, "within budget"),
        (["--max-cost", "5"], 2, "needs prices"),
        (["--no", "nonsense"], 2, "takes a severity"),
    ],
)
def test_budgets_of_a_run(options: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    sample = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")
    assert run(["gate", sample, "--isolated", *options]) == code
    out, err = capsys.readouterr()
    assert said in out + err


def test_sarif_keeps_the_official_schema(dev_cases: Path) -> None:
    schema = json.loads((Path(__file__).parents[2] / "data" / "sarif" / "sarif-schema-2.1.0.json").read_text())
    validator = jsonschema.Draft4Validator(schema)
    texts = {str(p.relative_to(dev_cases)): p.read_text(errors="replace") for p in sorted(dev_cases.rglob("*")) if p.is_file()}
    texts["a b/spark-defaults.conf"] = "spark.executors.memory 8g\nspark.executor.memory 4\n"
    sarif = json.loads(gate_sarif.render(gate_texts(texts)))
    assert len(sarif["runs"][0]["results"]) > 50
    assert [error.message for error in validator.iter_errors(sarif)] == []
    assert [e.message for e in validator.iter_errors({**sarif, "version": "1.0.0"})]
