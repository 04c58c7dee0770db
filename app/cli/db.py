"""`db`: the shape of the database."""

import sys
from contextlib import closing
from typing import Annotated

import typer

from spark_copilot.app.config import load
from spark_copilot.storage.database import Database

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The database of the settings (DATABASE_URL; without one a SQLite file under SPARK_COPILOT_HOME)."""


@app.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Where to; the newest without one.")] = "head") -> None:
    """Bring the database to the shape this program knows. `serve` and `worker` do it by themselves."""
    from spark_copilot.storage import migrate, row_security

    with closing(_database()) as database:
        migrate.upgrade(database, revision)
        _note(f"the database is at {migrate.current(database)}")
        if (warning := row_security.bypassed(database)) is not None:
            _note(f"warning: {warning}")


@app.command()
def downgrade(revision: Annotated[str, typer.Argument(help="Where to: a revision, -1 for one step back, base for none at all.")]) -> None:
    """Undo steps, for an older program; what only the newer shape can hold is lost."""
    from spark_copilot.storage import migrate

    with closing(_database()) as database:
        migrate.downgrade(database, revision)
        _note(f"the database is at {migrate.current(database) or 'base'}")


@app.command()
def current() -> None:
    """Print the revision the database is at, and the newest."""
    from spark_copilot.storage import migrate

    with closing(_database()) as database:
        typer.echo(f"{migrate.current(database) or 'base'} (newest: {migrate.head()})")


def _database() -> Database:
    settings = load()
    return Database(settings.database_url, settings.home)


def _note(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - a note, not data
