"""`demo`: the report on a sample log that comes in the package."""

import sys
from importlib.resources import as_file, files
from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(
    name: Annotated[str, typer.Argument(help="Which sample: skewed-join, slow-driver or healthy.")] = "skewed-join",
    output_format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """The samples are real runs on two cores; examples/ holds their code and the command that made them."""
    from spark_copilot.app.cli.analyze import FORMATS, analysed

    if output_format not in FORMATS:
        raise UsageError(f"no format {output_format!r}", hint=f"known: {', '.join(FORMATS)}")
    samples = files("spark_copilot.app") / "samples"
    sample = samples / f"{name}.zstd"
    if not sample.is_file():
        known = sorted(p.name.removesuffix(".zstd") for p in samples.iterdir() if p.name.endswith(".zstd"))
        raise UsageError(f"no sample {name!r}", hint=f"known: {', '.join(known)}")
    with as_file(sample) as path:
        sys.stdout.write(analysed([str(path)], output_format, colour=sys.stdout.isatty()))
