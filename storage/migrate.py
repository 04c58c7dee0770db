"""Bring the database to the shape this program knows, or back. One transaction: all of it or nothing, and only one process does it."""

from collections.abc import Callable
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.storage.database import EVERYONE, SAY_TENANT, Database, DatabaseUnavailable, make_engine

_LOCK = 0x5C0B1107
"""PostgreSQL's advisory lock of the migration; any number that nothing else uses. SQLite's own write lock does the same."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the steps that are missing up to a revision.

    Raises:
        UsageError: no such revision, or the database is of a newer program.
        DatabaseUnavailable: it cannot be opened.
    """
    _run(database, lambda config: command.upgrade(config, revision))


def downgrade(database: Database, revision: str) -> None:
    """Undo the steps after a revision ("base": all of them, "-1": the last).

    Raises:
        UsageError: no such revision.
        DatabaseUnavailable: it cannot be opened.
    """
    _run(database, lambda config: command.downgrade(config, revision))


def current(database: Database) -> str | None:
    """The revision the database is at; None when it has none.

    Raises:
        DatabaseUnavailable: it cannot be opened.
    """
    try:
        with database.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise _cannot_open(database, error) from error


def head() -> str:
    """The revision this program knows."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    assert found is not None
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("spark_copilot.storage") / "migrations").replace("%", "%%"))
    return config


def _run(database: Database, step: Callable[[Config], None]) -> None:
    # Changing a column in SQLite copies the table and drops the old one, which must not delete what refers to it.
    engine = make_engine(database.url, foreign_keys=False).execution_options(begin="BEGIN IMMEDIATE")
    config = _config()
    try:
        with engine.begin() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                connection.execute(SAY_TENANT, {"tenant": EVERYONE})  # a step that moves data moves everybody's
            config.attributes["connection"] = connection
            step(config)
    except CommandError as error:
        raise UsageError(
            f"the database cannot be migrated: {error}", hint="was it made by a newer program? `db current` shows where it stands"
        ) from error
    except DBAPIError as error:
        raise _cannot_open(database, error) from error
    finally:
        engine.dispose()


def _cannot_open(database: Database, error: DBAPIError) -> DatabaseUnavailable:
    place = database.url.database if database.is_sqlite else f"{database.url.host or 'localhost'}/{database.url.database}"
    lines = str(error.orig).strip().splitlines() or [""]
    return DatabaseUnavailable(f"the database {place} cannot be used: {lines[0][:200]}")
