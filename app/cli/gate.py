"""`gate`: bad Spark settings stopped before they reach a cluster, and a run held against its baseline."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.app.cli.errors import Exit
from spark_copilot.orchestration import gate_baseline, gate_fix
from spark_copilot.orchestration.gate import GateReport, run_gate
from spark_copilot.orchestration.gate_config import GateConfig, find_config, load_config, load_profile, target_from
from spark_copilot.orchestration.gate_files import looks_like_event_log
from spark_copilot.rules_engine.errors import NotFound, UsageError
from spark_copilot.rules_engine.gate.finding import SEVERITIES

FORMATS = ("text", "json", "sarif", "junit", "github", "gitlab", "md")
_LEVELS = (*SEVERITIES, "never")


def command(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; of event logs the last one is the new run.")],
    output_format: Annotated[str, typer.Option("--format", help=f"What to print: {', '.join(FORMATS)}.")] = "text",
    output: Annotated[list[str] | None, typer.Option("--output", help="FORMAT:FILE, as well as printing; may be repeated.")] = None,
    baseline: Annotated[
        list[Path] | None, typer.Option("--baseline", help="A file of known findings, or the log of an earlier run; may be repeated.")
    ] = None,
    write_baseline: Annotated[Path | None, typer.Option("--write-baseline", help="Write what is found now as known.")] = None,
    select: Annotated[
        list[str] | None, typer.Option("--select", help="Rules to run: SG101, SG1, a name, ALL; +CODE adds to the default set.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="Rules to leave out.")] = None,
    fail_on: Annotated[str | None, typer.Option("--fail-on", help=f"Exit 1 from this level on: {', '.join(_LEVELS)}.")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Make the safe repairs, then judge again.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print the safe repairs as a diff and change nothing.")] = False,
    config: Annotated[Path | None, typer.Option("--config", help="A configuration file instead of the one found.")] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Read no configuration file.")] = False,
    spark_version: Annotated[str | None, typer.Option("--spark-version", help="3.5, 4.0 …")] = None,
    platform: Annotated[str | None, typer.Option("--platform", help="Where it runs: yarn, kubernetes, databricks …")] = None,
    runtime: Annotated[str | None, typer.Option("--runtime", help="Databricks runtime, 15.4.x-scala2.12.")] = None,
    release: Annotated[str | None, typer.Option("--release", help="EMR release, emr-7.5.0.")] = None,
    role: Annotated[str | None, typer.Option("--role", help="production or test.")] = None,
    java: Annotated[str | None, typer.Option("--java", help="Major version of Java.")] = None,
    from_spark_version: Annotated[str | None, typer.Option("--from-spark-version", help="The version an upgrade starts from.")] = None,
    profile: Annotated[Path | None, typer.Option("--profile", help="The machines: {node: {cores, memory}, yarn: {…}}.")] = None,
    max_wall: Annotated[str | None, typer.Option("--max-wall", help="A run's longest wall clock, 30m.")] = None,
    max_cost: Annotated[float | None, typer.Option("--max-cost", help="The most a run may cost; needs --pricing.")] = None,
    no: Annotated[str | None, typer.Option("--no", help="No finding of a run at this severity or above: high, medium …")] = None,
    pricing: Annotated[
        str | None,
        typer.Option("--pricing", help="A price list for --max-cost: NAME, NAME:MACHINE or FILE; default: SPARK_COPILOT_PRICING."),
    ] = None,
) -> None:
    """Settings files and code are judged by rule; event logs are held against the logs given with --baseline, or against budgets.

    Exit 1 when a finding reaches --fail-on (default: error).
    """
    _check(output_format, FORMATS, "--format")
    outputs = [_output(text) for text in output or []]
    held = GateConfig() if isolated else load_config(config) if config is not None else find_config(Path.cwd())
    held = replace(held, select=_codes(select) or held.select, ignore=(*held.ignore, *_codes(ignore)))
    level = fail_on or held.fail_on or "error"
    _check(level, _LEVELS, "--fail-on")
    flags = {
        "spark-version": spark_version, "platform": platform, "runtime": runtime, "release": release, "role": role, "java": java,
        "from-spark-version": from_spark_version,
    }  # fmt: skip
    target = target_from({name: value for name, value in flags.items() if value is not None})
    if profile is not None:
        target = replace(target, profile=load_profile(profile))
    baselines = baseline or []
    missing = [str(p) for p in baselines if not p.exists()]
    if missing:
        raise NotFound(f"no such baseline: {', '.join(missing)}")
    logs = [p for p in paths if looks_like_event_log(p)]
    if logs:
        report = _runs(paths, logs, baselines, max_wall, max_cost, no, pricing)
    else:
        budgets = {"--max-wall": max_wall, "--max-cost": max_cost, "--no": no}
        for option, value in budgets.items():
            if value is not None:
                raise UsageError(f"{option} judges a run", hint="give an event log")
        known = frozenset[str]().union(*(gate_baseline.load(p) for p in baselines))
        report = run_gate(paths, config=held, target=target, baseline=known)
        if fix or diff:
            changed = gate_fix.repaired(report.findings, report.texts)
            if diff:
                typer.echo(gate_fix.diff(changed, report.texts), nl=False)
                raise typer.Exit(Exit.GATE_FAILED if report.fails(level) else Exit.OK)
            for name, text in changed.items():
                Path(name).write_text(text, encoding="utf-8")
            sys.stderr.write(f"{len(changed)} file{'s' if len(changed) != 1 else ''} repaired\n")
            report = run_gate(paths, config=held, target=target, baseline=known) if changed else report
    if write_baseline is not None:
        write_baseline.write_text(gate_baseline.render(report), encoding="utf-8")
        sys.stderr.write(f"{len(report.findings)} findings are known now: {write_baseline}\n")
    _say(report, output_format, outputs)
    if write_baseline is None and report.fails(level):
        raise typer.Exit(Exit.GATE_FAILED)


def _runs(
    paths: Sequence[Path],
    logs: Sequence[Path],
    baselines: Sequence[Path],
    max_wall: str | None,
    max_cost: float | None,
    no: str | None,
    pricing: str | None,
) -> GateReport:
    others = [str(p) for p in paths if p not in logs]
    if others:
        raise UsageError(f"event logs and settings files in one call: {', '.join(others)}", hint="judge them in two calls")
    findings_files = [str(p) for p in baselines if gate_baseline.is_baseline(p)]
    if findings_files:
        raise UsageError(f"{findings_files[0]} is a baseline of findings; a run needs the log of an earlier run")
    from spark_copilot.app.config import load
    from spark_copilot.orchestration.gate_run import Budgets, gate_run  # numpy is loaded for runs only

    return gate_run(
        [*baselines, *logs[:-1]], logs[-1], Budgets.parse(max_wall=max_wall, max_cost=max_cost, no=no, pricing=pricing or load().pricing)
    )


def _say(report: GateReport, output_format: str, outputs: Sequence[tuple[str, Path]]) -> None:
    for name, path in outputs:
        path.write_text(_render(report, name), encoding="utf-8")
    if output_format == "text":
        from spark_copilot.app.report import gate_text

        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        typer.echo(gate_text.render(report, colour=colour), nl=False)
    else:
        typer.echo(_render(report, output_format), nl=False)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if output_format == "github" and summary:
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(_render(report, "md"))
    for code, error in report.failed:
        sys.stderr.write(f"rule {code} broke: {error}\n")


def _render(report: GateReport, name: str) -> str:
    text: str = import_module(f"spark_copilot.app.report.gate_{name}").render(report)
    return text


def _output(text: str) -> tuple[str, Path]:
    name, colon, path = text.partition(":")
    if not colon or not path:
        raise UsageError(f"--output takes FORMAT:FILE, not {text!r}", hint="for instance sarif:gate.sarif")
    _check(name, FORMATS, "--output")
    return name, Path(path)


def _codes(values: list[str] | None) -> tuple[str, ...]:
    return tuple(code.strip() for value in values or [] for code in value.split(",") if code.strip())


def _check(value: str, allowed: Sequence[str], option: str) -> None:
    if value not in allowed:
        raise UsageError(f"{option} {value!r} is not known", hint=f"one of {', '.join(allowed)}")
