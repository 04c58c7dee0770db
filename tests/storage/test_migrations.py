"""The steps of the database's shape: forward, back, on full tables, and by several at the same time."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from spark_copilot.app.cli.main import run
from spark_copilot.rules_engine.errors import CopilotError, UsageError
from spark_copilot.storage import migrate
from spark_copilot.storage.database import Database, DatabaseUnavailable
from spark_copilot.storage.metadata_repository import MetadataRepository
from spark_copilot.storage.models import Base
from tests.storage.builders import claimed, finish


def test_the_steps_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert migrate.current(database) == migrate.head()


def test_j14_up_and_down_on_a_filled_database(database: Database) -> None:
    claim = claimed(database)
    assert finish(database, claim)
    repository = MetadataRepository(database)
    before = repository.reports("local", claim.run_id)
    for revision in ("0003", "0002", "0001"):
        migrate.downgrade(database, revision)
        assert migrate.current(database) == revision
        migrate.upgrade(database)
    after = repository.reports("local", claim.run_id)
    assert [(r.etag, r.body) for r in after] == [(r.etag, r.body) for r in before]
    assert repository.run("local", claim.run_id).status == "done"
    migrate.downgrade(database, "base")
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0


def test_j14_several_at_once_migrate_once(database_url: str, tmp_path: Path) -> None:
    opened = [Database(database_url, tmp_path) for _ in range(4)]
    failures: list[CopilotError] = []

    def work(database: Database) -> None:
        try:
            migrate.upgrade(database)
        except CopilotError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(database,)) for database in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {migrate.current(database) for database in opened} == {migrate.head()}
    for database in opened:
        database.close()


def test_an_unknown_revision_is_a_sentence(database: Database) -> None:
    with pytest.raises(UsageError, match="cannot be migrated"):
        migrate.upgrade(database, "9999")


def test_j14_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UsageError, match="cannot be migrated"):
        migrate.upgrade(database)


def test_the_command(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert run(["db", "current"]) == 0
    assert capsys.readouterr().out.startswith("base ")
    assert run(["db", "upgrade"]) == 0
    assert (home / "copilot.db").is_file()
    assert run(["db", "current"]) == 0
    assert capsys.readouterr().out == f"{migrate.head()} (newest: {migrate.head()})\n"
    assert run(["db", "downgrade", "base"]) == 0


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/d", "no url geheim"])
def test_a_url_that_will_not_do_is_not_shown(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert run(["db", "current"]) == 2
    assert "geheim" not in capsys.readouterr().err


def test_j8_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        migrate.upgrade(Database(None, tmp_path / "file" / "home"))


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_postgresql_urls(url: str, tmp_path: Path) -> None:
    assert Database(url, tmp_path).url.drivername == "postgresql+psycopg"
