"""`config show`: the settings in force, secrets masked."""

import json

import typer

from spark_copilot.app.config import load
from spark_copilot.rules_engine.redact import redact_settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Settings of this process."""


@app.command()
def show(output_format: str = typer.Option("text", "--format", help="text or json")) -> None:
    """Print every setting with the value in force; secrets are masked."""
    values = redact_settings({name: "" if value is None else str(value) for name, value in load().model_dump().items()})
    if output_format == "json":
        typer.echo(json.dumps(values, indent=2))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        typer.echo(f"{name.ljust(width)}  {value or '(not set)'}")
