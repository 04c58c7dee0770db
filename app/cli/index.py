"""`index`: your own documents beside the bundled knowledge."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.orchestration.knowledge_index import Added
from spark_copilot.rules_engine.errors import UsageError

app = typer.Typer(no_args_is_help=True)
_FORMAT = Annotated[str, typer.Option("--format", help="text or json.")]


@app.callback()
def group() -> None:
    """Documents that search and ask know besides what ships."""


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders: Markdown, HTML, MDX, text, logs, PDF, reports, jars, pyspark.")],
    output_format: _FORMAT = "text",
) -> None:
    """Add documents; only what changed since the last time is encoded."""
    from spark_copilot.app.cli.knowledge import place
    from spark_copilot.orchestration import knowledge_index

    _checked(output_format)
    for path in paths:
        _report(knowledge_index.add(path, place(), progress=_progress), output_format)


@app.command()
def build(
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop the index first, as a change of encoder needs.")] = False,
    output_format: _FORMAT = "text",
) -> None:
    """Read every source of the index again."""
    from spark_copilot.app.cli.knowledge import place
    from spark_copilot.orchestration import knowledge_index

    _checked(output_format)
    _report(knowledge_index.rebuild(place(), fresh=fresh, progress=_progress), output_format)


@app.command()
def stats(output_format: _FORMAT = "text") -> None:
    """What ships and what you added."""
    from spark_copilot.app.cli.knowledge import place
    from spark_copilot.orchestration import knowledge_index

    _checked(output_format)
    held = knowledge_index.stats(place())
    if output_format == "json":
        typer.echo(held.model_dump_json())
        return
    typer.echo(f"shipped: {held.cards} cards, {held.keys} settings, {held.vectors} vectors")
    typer.echo(f"added:   {held.documents} documents, {held.passages} passages")
    for source, passages in held.sources.items():
        typer.echo(f"  {passages:6}  {source}")


def _checked(output_format: str) -> None:
    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")


def _progress(source: str, passages: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"{passages:6} passages  {source}", err=True)


def _report(done: Added, output_format: str) -> None:
    if output_format == "json":
        typer.echo(done.model_dump_json())
        return
    typer.echo(f"{done.documents} documents with {done.passages} passages added, {done.unchanged} unchanged, {done.removed} removed")
    for line in done.skipped:
        typer.echo(f"skipped: {line}", err=True)
