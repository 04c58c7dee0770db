"""`rules new NAME`: a rule of your own, its page and two tests, ready to fill in."""

import keyword
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError

app = typer.Typer(no_args_is_help=True)

_NAME = re.compile(r"x-([a-z0-9]+)-([a-z0-9]+(?:-[a-z0-9]+)*)\Z")


@app.callback()
def rules() -> None:
    """Rules of your own: they load from your configuration or from an installed package, never from a log."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Its code: x-vendor-name, for example x-acme-late-start.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where the package goes.")] = Path(),
    family: Annotated[str, typer.Option("--family", help="The family it runs with.")] = "executors",
) -> None:
    """A small installable package: one rule that works, its page in its docstring, and a test each way."""
    from spark_copilot.rules_engine.findings import FAMILIES

    match = _NAME.match(name)
    if match is None:
        raise UsageError(f"{name!r} is no code for a rule of your own", hint="x-vendor-name in lower case, for example x-acme-late-start")
    if family not in FAMILIES:
        raise UsageError(f"no family {family!r}", hint="known: " + ", ".join(FAMILIES))
    package = f"{match[1]}_spark_rules"
    function = match[2].replace("-", "_")
    if keyword.iskeyword(function) or not function.isidentifier():
        function = f"rule_{function}"
    root = folder / package.replace("_", "-")
    if root.exists():
        raise UsageError(f"{root} is there already", hint="name another --folder")
    words = {"CODE": name, "PACKAGE": package, "FUNCTION": function, "FAMILY": family, "DIST": package.replace("_", "-")}
    for path, text in _FILES.items():
        target = root / _filled(path, words)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_filled(text, words), encoding="utf-8")
    sys.stderr.write(f"{root}: fill in {package}/rules.py, then pip install -e {root} and run pytest {root}\n")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


_FILES = {
    "pyproject.toml": """[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "@DIST@"
version = "0.1.0"
dependencies = ["spark-intelligence-copilot"]

[project.entry-points."spark_copilot.rules"]
@DIST@ = "@PACKAGE@.rules"

[tool.setuptools]
packages = ["@PACKAGE@"]
""",
    "@PACKAGE@/__init__.py": "",
    "@PACKAGE@/rules.py": '''"""Rules for runs, beside those of Spark Intelligence Copilot."""

from collections.abc import Iterator
from dataclasses import dataclass

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change, Evidence, Observation, Severity, Where
from spark_copilot.rules_engine.rule import rule


@dataclass(frozen=True, slots=True)
class Limits:
    """When this rule speaks."""

    startup_ms: int = 60_000  # what the first job may wait for


@rule("@CODE@", family="@FAMILY@", limits=Limits, title="The first job starts late")
def @FUNCTION@(run: AppRun, limits: Limits) -> Iterator[Observation]:
    """Between the start of the application and its first job more time passes than is usual here.

    Why it costs: the executors are held and wait.
    What to do: look at what the program does before its first action.
    Blind spot: a cluster that hands out executors slowly looks the same.
    """
    waited = run.first_job_ms - run.started_ms
    if waited < limits.startup_ms:
        return
    yield Observation(
        code="@CODE@",
        where=Where(),
        evidence=(Evidence(metric="start to first job", value=waited, limit=limits.startup_ms, unit="ms"),),
        severity_floor=Severity.LOW,
        changes=(
            Change(kind="code", key="startup", text="move what stands before the first action behind it", stop_condition="stop when the first job starts in time"),
        ),
    )


RULES = (@FUNCTION@,)
''',
    "tests/test_rules.py": '''"""The rule speaks where it should, and is silent where it should."""

from dataclasses import replace
from importlib.resources import files

from spark_copilot import read

from @PACKAGE@.rules import Limits, @FUNCTION@

SAMPLE = str(files("spark_copilot.app") / "samples" / "skewed-join.zstd")


def test_a_late_start_is_named() -> None:
    found = list(@FUNCTION@.check(read(SAMPLE), replace(Limits(), startup_ms=10)))
    assert [f.code for f in found] == ["@CODE@"]


def test_a_start_in_time_is_not() -> None:
    assert not list(@FUNCTION@.check(read(SAMPLE), replace(Limits(), startup_ms=3_600_000)))
''',
}
