"""`analyze`: event logs in, reports out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spark_copilot.app.cli.output import write_whole
from spark_copilot.rules_engine.errors import UsageError

if TYPE_CHECKING:
    from spark_copilot.orchestration.analyse import Options

FORMATS = ("text", "json", "md", "html", "trace")
EMITTED = ("spark-submit", "properties", "sparkapplication")


def command(
    logs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Event logs: files, directories, or - for standard input. Without one: the newest under spark.eventLog.dir.",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report here instead of to the terminal.")] = None,
    pricing: Annotated[
        str | None,
        typer.Option(
            help="Money at this price list: NAME, NAME:MACHINE or FILE (docs/cost.md); default: SPARK_COPILOT_PRICING.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Rules and limits of your own: a TOML file instead of the nearest one.", show_default=False),
    ] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Read no configuration file.")] = False,
    emit: Annotated[str | None, typer.Option("--emit", help=f"Print the proposed settings ready to paste: {', '.join(EMITTED)}.")] = None,
) -> None:
    """Several applications give one report each (with --format json: one a line)."""
    if not logs:
        from spark_copilot.connectors.eventlog import newest_log

        logs = [str(newest_log())]
    if output_format not in FORMATS:
        raise UsageError(f"no format {output_format!r}", hint=f"known: {', '.join(FORMATS)}")
    if emit is not None and emit not in EMITTED:
        raise UsageError(f"cannot emit {emit!r}", hint=f"known: {', '.join(EMITTED)}")
    if emit is not None:
        write_whole(emitted(logs, emit), output)
        return
    write_whole(
        analysed(logs, output_format, colour=output is None and sys.stdout.isatty(), options=_options(pricing, config, isolated)), output
    )


def _options(pricing: str | None, config: Path | None, isolated: bool) -> "Options":
    """Rules and limits of the configuration, prices of the option or the settings."""
    from spark_copilot.app.config import load
    from spark_copilot.orchestration.analyse import Options
    from spark_copilot.orchestration.extensions import find_configuration, load_extensions

    if config is not None and not config.is_file():
        raise UsageError(f"{config}: no such configuration file")
    extensions = load_extensions(None if isolated else config or find_configuration(Path.cwd()))
    return Options(limits=extensions.limits, rules=extensions.rules, pricing=pricing or load().pricing)


def analysed(logs: list[str], output_format: str, *, colour: bool, options: "Options | None" = None) -> str:
    """All reports as one text. Nothing is written before every log was read, so a refused log leaves no half answer."""
    from spark_copilot.app.cli.progress import reading
    from spark_copilot.app.report import html, markdown, trace
    from spark_copilot.app.report.text import render
    from spark_copilot.connectors.eventlog import read_runs
    from spark_copilot.orchestration.analyse import analyse_run

    texts = []
    traced = []
    for log in logs:
        with reading(log) as heard:
            runs = list(read_runs(log, progress=heard))
        for run in runs:
            report = analyse_run(run, options)
            if output_format == "json":
                texts.append(report.model_dump_json(by_alias=True) + "\n")
            elif output_format == "md":
                texts.append(markdown.render(report))
            elif output_format == "trace":
                traced.append((run, report))
            elif output_format == "html":
                texts.append(html.render(report, run))
            else:
                width = (
                    min(max(int(os.environ.get("COLUMNS", 100)), 60), 140)
                    if not sys.stdout.isatty()
                    else min(os.get_terminal_size().columns, 120)
                )
                texts.append(render(report, colour=colour, width=width))
    if output_format == "trace":
        return trace.render(traced)
    return "".join(texts) if output_format == "json" else "\n".join(texts)


def emitted(logs: list[str], form: str) -> str:
    """The settings that the findings of all logs propose, in the form asked for."""
    from spark_copilot.app.report.emit import render
    from spark_copilot.orchestration.analyse import analyse

    return render([report for log in logs for report in analyse(log)], form)
