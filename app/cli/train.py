"""`train`: a model of how long one job takes, from the logs of its runs."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spark_copilot.app.cli.output import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spark_copilot.ml.feature_builder import HistoryRow


def command(
    logs: Annotated[list[Path], typer.Argument(help="Event logs of the job's runs, or directories of them.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file to write.", show_default=False)],
    job: Annotated[
        str | None,
        typer.Option(help="The job, as `application.job` of its reports; needed where the logs are of several.", show_default=False),
    ] = None,
) -> None:
    """The file is JSON: it holds numbers of the runs and a hash; reading it runs nothing. `analyze --model` takes it."""
    from spark_copilot.ml.model_training import summary
    from spark_copilot.orchestration.run_rows import model_text, trained
    from spark_copilot.rules_engine.units import show_ms

    model = trained(rows_of(logs), job)
    write_whole(model_text(model), out)
    about = summary(model)
    first, last = (datetime.fromtimestamp(about[k] / 1000, UTC).date() for k in ("first_started_ms", "last_started_ms"))
    shortest, longest = about["wall_ms"]
    best, error = min(model.scores.items(), key=lambda item: item[1])
    typer.echo(f"{out}: {model.rows[0].job}, {len(model.rows)} runs from {first} to {last}, {show_ms(shortest)} to {show_ms(longest)}")
    typer.echo(f"explained by {', '.join(model.columns) or 'nothing that varies'}; leave-one-out error {100 * error:.1f} % ({best})")


def rows_of(paths: list[Path]) -> "Iterable[HistoryRow]":
    """Rows of these logs; what a directory holds beside logs is named on standard error."""
    from spark_copilot.app.cli.logs import runs_of
    from spark_copilot.orchestration.run_rows import rows_of_logs

    return rows_of_logs([path.expanduser() for path in paths], runs_of, lambda said: sys.stderr.write(f"left out: {said}\n"))
