"""`search`: retrieval alone."""

from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(
    query: Annotated[list[str], typer.Argument(help="Words, an error message or a setting.", show_default=False)],
    k: Annotated[int, typer.Option("-k", help="How many passages.")] = 5,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="Only passages of this scope (driver, delta, kubernetes …); repeatable.")
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Words and meaning together; keys, exceptions and exit codes are looked up exactly."""
    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")
    from spark_copilot.app.cli.knowledge import place
    from spark_copilot.orchestration.ask import search

    found = search(" ".join(query), place(), k=k, scope=scope or ())
    if output_format == "json":
        typer.echo(found.model_dump_json())
        return
    for number, hit in enumerate(found.results, 1):
        typer.echo(f"{number}. {hit.title}  ({hit.id}, {hit.score:.3f})\n   {hit.source}")
        typer.echo("\n".join(f"   {line}" for line in hit.text.splitlines()))
        typer.echo()
