"""`catalog build`: the catalog of Spark's settings made again from installed Sparks, a private fork among them."""

import gzip
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from spark_copilot.connectors.spark_registry import jars_of, probe, version_of
from spark_copilot.rules_engine.gate import build as catalog_build

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The catalog of Spark's settings."""


@app.command()
def build(
    installations: Annotated[list[Path], typer.Argument(help="SPARK_HOME folders, pyspark packages or folders of jars; one a version.")],
    output: Annotated[Path, typer.Option("--output", help="The folder that gets timeline.json.gz and details.json.gz.")] = Path("catalog"),
) -> None:
    """Read the registry of each Spark and write the catalog that the gate loads (SPARK_COPILOT_CATALOG names its folder)."""
    dumps: dict[str, Any] = {}
    for installation in installations:
        jars = jars_of(installation)
        dumps[version_of(jars)] = probe(jars)
    output.mkdir(parents=True, exist_ok=True)
    for name, data in (("timeline", catalog_build.timeline(dumps)), ("details", catalog_build.details(dumps))):
        text = json.dumps(data, separators=(",", ":"), sort_keys=True)
        (output / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    keys = sum(len(dump["entries"]) for dump in dumps.values())
    typer.echo(f"{output}: {keys} entries of Spark {', '.join(sorted(dumps))}")
