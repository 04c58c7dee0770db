"""`ask`: one question, one answer with its sources."""

from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(
    question: Annotated[list[str], typer.Argument(help="The question, in your own words.", show_default=False)],
    log: Annotated[str | None, typer.Option("--log", help="An event log: questions about the run are answered from it.")] = None,
    long: Annotated[bool, typer.Option("--long", help="Up to 600 words instead of 200.")] = False,
    output_format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Works without a model: from the topic cards, the settings catalog, your index and, with --log, the run's own numbers."""
    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")
    from spark_copilot.app.cli.knowledge import place
    from spark_copilot.orchestration.ask import ask

    run = report = None
    if log is not None:
        from spark_copilot.app.cli.logs import run_of
        from spark_copilot.app.config import load
        from spark_copilot.orchestration.analyse import report_of

        run = run_of(log)
        report = report_of(run, load().pricing)
    made = ask(" ".join(question), place(), run=run, report=report, long=long)
    if output_format == "json":
        typer.echo(made.model_dump_json())
        return
    typer.echo(made.answer)
    if made.citations:
        typer.echo()
        for number, citation in enumerate(made.citations, 1):
            typer.echo(f"[{number}] {citation.title}  {citation.source}")
