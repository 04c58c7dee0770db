"""`analyze`: event logs in, reports out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spark_copilot.app.cli.output import write_whole
from spark_copilot.rules_engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_copilot.ml.feature_builder import HistoryRow
    from spark_copilot.orchestration.analyse import Options

FORMATS = ("text", "json", "md", "html", "trace")
EMITTED = ("spark-submit", "properties", "sparkapplication")


def command(
    logs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Event logs: files, directories, - for standard input, or addresses (s3://, gs://, az://, a History Server's page of "
            "an application; where SPARK_COPILOT_IMPORT_FROM is set, only those it names). Without one: the newest under spark.eventLog.dir.",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report here instead of to the terminal.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Of a directory of logs take the newest only.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow a log that is still written: a line at each change, the report when the run ends.")
    ] = False,
    history_server: Annotated[
        str | None,
        typer.Option(
            "--history-server",
            help="Fetch the logs from this History Server, each named by its application: ID or ID/ATTEMPT.",
            show_default=False,
        ),
    ] = None,
    pricing: Annotated[
        str | None,
        typer.Option(
            help="Money at this price list: NAME, NAME:MACHINE or FILE (docs/cost.md); default: SPARK_COPILOT_PRICING.", show_default=False
        ),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            "--history",
            help="Logs of earlier runs of the job, or a directory of them: how long this one should have taken. May be repeated.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="The same from a model file that `train` wrote.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Rules and limits of your own: a TOML file instead of the nearest one.", show_default=False),
    ] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Read no configuration file.")] = False,
    emit: Annotated[str | None, typer.Option("--emit", help=f"Print the proposed settings ready to paste: {', '.join(EMITTED)}.")] = None,
) -> None:
    """Several applications give one report each (with --format json: one a line)."""
    if output_format not in FORMATS:
        raise UsageError(f"no format {output_format!r}", hint=f"known: {', '.join(FORMATS)}")
    if emit is not None and emit not in EMITTED:
        raise UsageError(f"cannot emit {emit!r}", hint=f"known: {', '.join(EMITTED)}")
    if history_server is not None:
        logs = _of_history_server(history_server, logs or [])
    logs = chosen(logs or [], latest)
    if watch:
        from spark_copilot.app.cli.logs import is_address

        if any(is_address(log) for log in logs):
            raise UsageError("--watch follows a log on this machine", hint="an address is fetched once; leave --watch out")
        if len(logs) > 1 or emit is not None:
            raise UsageError("--watch follows one log and prints its report", hint="name one log, and leave --emit out")
        from spark_copilot.app.cli.watch import follow

        logs = [str(follow(logs[0]))]
    options = _options(pricing, config, isolated, history or [], model)
    if emit is not None:
        write_whole(emitted(logs, emit, options), output)
        return
    write_whole(analysed(logs, output_format, colour=output is None and sys.stdout.isatty(), options=options), output)


def _options(pricing: str | None, config: Path | None, isolated: bool, history: list[Path], model: Path | None) -> "Options":
    """Rules and limits of the configuration, prices of the option or the settings, earlier runs of the logs and the model named."""
    from spark_copilot.app.config import load
    from spark_copilot.orchestration.analyse import Options
    from spark_copilot.orchestration.extensions import find_configuration, load_extensions

    if config is not None and not config.is_file():
        raise UsageError(f"{config}: no such configuration file")
    extensions = load_extensions(None if isolated else config or find_configuration(Path.cwd()))
    return Options(
        limits=extensions.limits,
        rules=extensions.rules,
        pricing=pricing or load().pricing,
        preserve=extensions.preserve,
        enforce=extensions.enforce,
        history=_rows(history, model),
        unpredicted=lambda reason: print(f"no prediction: {reason}", file=sys.stderr),  # noqa: T201 - beside the report, not in it
    )


def _rows(history: list[Path], model: Path | None) -> "Sequence[HistoryRow]":
    rows: list[HistoryRow] = []
    if model is not None:
        from spark_copilot.orchestration.run_rows import load_rows

        rows += load_rows(model)
    if history:
        from spark_copilot.app.cli.train import rows_of

        rows += rows_of(history)
        if not rows:
            raise UsageError(
                f"no run in {', '.join(map(str, history))}", hint="--history takes logs of earlier runs, or a directory of them"
            )
    return rows


def _of_history_server(server: str, applications: list[str]) -> list[str]:
    if not applications:
        raise UsageError("--history-server fetches the logs of applications", hint="name one: ID or ID/ATTEMPT")
    from spark_copilot.app.cli.fetched import application_url

    return [application_url(server, application) for application in applications]


def chosen(logs: list[str], latest: bool) -> list[str]:
    """The logs to read: those named, the newest of each directory, or without any the newest that a Spark of this machine wrote."""
    from spark_copilot.connectors.eventlog import newest_in, newest_log

    if not logs:
        return [str(newest_log())]
    return [str(newest_in(Path(log))) if latest and log != "-" and Path(log).is_dir() else log for log in logs]


def analysed(logs: list[str], output_format: str, *, colour: bool, options: "Options | None" = None) -> str:
    """All reports as one text. Nothing is written before every log was read, so a refused log leaves no half answer."""
    from spark_copilot.app.cli.logs import runs_of
    from spark_copilot.app.report import html, markdown, trace
    from spark_copilot.app.report.text import render
    from spark_copilot.orchestration.analyse import analyse_run

    texts = []
    traced = []
    for log in logs:
        for run in runs_of(log):
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


def emitted(logs: list[str], form: str, options: "Options | None" = None) -> str:
    """The settings that the findings of all logs propose, in the form asked for."""
    from spark_copilot.app.cli.logs import runs_of
    from spark_copilot.app.report.emit import render
    from spark_copilot.orchestration.analyse import analyse_run

    return render([analyse_run(run, options) for log in logs for run in runs_of(log)], form)
