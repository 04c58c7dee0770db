"""Rules and limits of one's own: a scaffolded package that runs once it is installed, limits from a file, and what is refused."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from spark_copilot.app.cli.main import run as cli
from spark_copilot.orchestration.extensions import find_configuration, load_extensions
from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.errors import UsageError
from tests.conftest import ROOT

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")


def install(package: Path, site: Path) -> None:
    """Lay a package out as an installer does: its modules, and the metadata that names its entry point."""
    name = package.name.replace("-", "_")
    (site / name).mkdir(parents=True)
    for module in (package / name).iterdir():
        (site / name / module.name).write_text(module.read_text())
    info = site / f"{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[spark_copilot.rules]\n{package.name} = {name}.rules\n")


def python(*arguments: str, site: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env, check=False, cwd=site)


def test_a_new_rule_runs_and_its_tests_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["rules", "new", "x-acme-late-start", "--folder", str(tmp_path)]) == 0
    package = tmp_path / "acme-spark-rules"
    site = tmp_path / "site"
    install(package, site)
    tests = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "tests"), site=site)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    limits = tmp_path / "house.toml"
    report = python("-m", "spark_copilot", "analyze", SAMPLE, "--format", "json", "--isolated", site=site)
    assert report.returncode == 0, report.stderr
    assert "x-acme-late-start" in report.stdout  # looked and saw nothing: the start was quick
    del limits
    assert cli(["rules", "new", "x-acme-late-start", "--folder", str(tmp_path)]) == 2
    assert "there already" in capsys.readouterr().err


def test_limits_come_from_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.spark-copilot.limits.skew]\ntail_ratio = 50.0\nmin_tasks = 4\n")
    limits = load_extensions(path).limits
    assert limits.skew.tail_ratio == 50.0
    assert limits.skew.min_tasks == 4
    assert cli(["analyze", SAMPLE, "--format", "json", "--config", str(path)]) == 0
    assert '"code":"data-skew"' not in capsys.readouterr().out


def test_the_nearest_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_configuration(inner) is None or find_configuration(inner) != tmp_path / "pyproject.toml"
    (tmp_path / ".spark-copilot.toml").write_text("")
    assert find_configuration(inner) == tmp_path / ".spark-copilot.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules = 'mine'", "list of module names"),
        ("rules = ['no.such.module']", "cannot be imported"),
        ("rules = ['json']", "has no RULES"),
        ("rules = ['spark_copilot.rules_engine.catalog']", "form x-vendor-name"),
        ("[limits.skew]\ntail_ratio = 'much'", "must be a number"),
        ("[limits.nonsense]\na = 1", "no limits of the name"),
        ("[limits.skew]\nnonsense = 1", "no limit 'nonsense'"),
        ("limits = 3", "must be a table"),
        ("= nonsense", "Invalid"),
    ],
)
def test_what_is_wrong_says_where(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / ".spark-copilot.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_extensions(path)


@pytest.mark.parametrize("name", ["late-start", "x-acme", "X-Acme-Late", "x-acme-late_start", "x-acme-../../etc"])
def test_codes_of_ones_own_begin_with_a_vendor(name: str, tmp_path: Path) -> None:
    assert cli(["rules", "new", name, "--folder", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())


def test_without_extensions_the_rules_are_ours() -> None:
    assert load_extensions(None).rules == RULES
