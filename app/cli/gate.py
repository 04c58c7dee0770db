"""`gate`: bad Spark settings stopped before they reach a cluster."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.app.cli.errors import Exit
from spark_copilot.orchestration.gate import run_gate
from spark_copilot.orchestration.gate_config import find_config, load_profile, target_from


def command(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; with event logs the last one is the new run.")],
    output_format: Annotated[str, typer.Option("--format")] = "text",
    spark_version: Annotated[str | None, typer.Option()] = None,
    platform: Annotated[str | None, typer.Option()] = None,
    runtime: Annotated[str | None, typer.Option()] = None,
    release: Annotated[str | None, typer.Option()] = None,
    role: Annotated[str | None, typer.Option()] = None,
    java: Annotated[str | None, typer.Option()] = None,
    from_spark_version: Annotated[str | None, typer.Option()] = None,
    profile: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Judge settings files."""
    flags = {
        "spark-version": spark_version,
        "platform": platform,
        "runtime": runtime,
        "release": release,
        "role": role,
        "java": java,
        "from-spark-version": from_spark_version,
    }
    target = target_from({k: v for k, v in flags.items() if v is not None})
    if profile is not None:
        target = replace(target, profile=load_profile(profile))
    report = run_gate(paths, config=find_config(Path.cwd()), target=target)
    from spark_copilot.app.report import gate_json

    typer.echo(gate_json.render(report), nl=False)
    if report.fails("error"):
        raise typer.Exit(Exit.GATE_FAILED)
