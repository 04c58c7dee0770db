"""`analyze`: event logs in, reports out."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.app.cli.output import write_whole
from spark_copilot.rules_engine.errors import UsageError

FORMATS = ("text", "json")


def command(
    logs: Annotated[list[str], typer.Argument(help="Event logs: files, directories, or - for standard input.", show_default=False)],
    output_format: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report here instead of to the terminal.")] = None,
) -> None:
    """Several applications give one report each (with --format json: one a line)."""
    if output_format not in FORMATS:
        raise UsageError(f"no format {output_format!r}", hint=f"known: {', '.join(FORMATS)}")
    write_whole(analysed(logs, output_format, colour=output is None and sys.stdout.isatty()), output)


def analysed(logs: list[str], output_format: str, *, colour: bool) -> str:
    """All reports as one text. Nothing is written before every log was read, so a refused log leaves no half answer."""
    from spark_copilot.app.cli.progress import reading
    from spark_copilot.app.report.text import render
    from spark_copilot.orchestration.analyse import analyse

    texts = []
    for log in logs:
        with reading(log) as heard:
            reports = list(analyse(log, reading=heard))
        for report in reports:
            if output_format == "json":
                texts.append(report.model_dump_json(by_alias=True) + "\n")
            else:
                width = (
                    min(max(int(os.environ.get("COLUMNS", 100)), 60), 140)
                    if not sys.stdout.isatty()
                    else min(os.get_terminal_size().columns, 120)
                )
                texts.append(render(report, colour=colour, width=width))
    return "".join(texts) if output_format == "json" else "\n".join(texts)
