"""PostgreSQL keeps tenants apart also where a question forgets to (A3): as the owner of the tables, who is no superuser."""

import logging
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Executable, LargeBinary, Table, delete, event, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from spark_copilot.app.cli.main import run
from spark_copilot.app.config import Settings
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.storage import migrate, row_security
from spark_copilot.storage.access_repository import AuditRepository, KeyRepository
from spark_copilot.storage.database import EVERYONE, Database, DatabaseUnavailable
from spark_copilot.storage.job_queue import JobQueue
from spark_copilot.storage.metadata_repository import MetadataRepository
from spark_copilot.storage.models import AuditRow, Base, Job, Run
from spark_copilot.storage.text import CleanText, JsonText
from tests.postgres import OWNER, binaries, new_database
from tests.storage.builders import add, finish

pytestmark = pytest.mark.xdist_group("postgres")

TABLES = [table for table in Base.metadata.sorted_tables if "tenant" in table.c]
NOTHING = dict.fromkeys((table.name for table in TABLES), 0)
ONE_EACH = dict.fromkeys(NOTHING, 1)
REFUSED = "violates row-level security policy"


@pytest.fixture
def url(postgres: str) -> str:
    return new_database(postgres)


@pytest.fixture
def database(url: str, tmp_path: Path) -> Iterator[Database]:
    opened = Database(url, tmp_path)
    migrate.upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def filled(database: Database) -> Database:
    """A row of tenant a and one of tenant b in every table, and a line of the audit log that is nobody's."""
    for tenant in ("a", "b"):
        for table in TABLES:
            done(database, tenant, insert(table).values(row(table, tenant)))
    AuditRepository(database).add(
        tenant="", key_id=None, action="GET /", path="/", status=401, code=None, address=None, request_id="nobody"
    )  # fmt: skip
    return database


def row(table: Table, word: str, *, tenant: str | None = None) -> dict[str, Any]:
    """Something in every column; the same word wherever there is text, so that what refers to a row finds it."""
    return {column.name: something(column.type, word) for column in table.c} | {"tenant": tenant or word}


def something(kind: TypeEngine[Any], word: str) -> Any:
    match kind:
        case CleanText():
            return word
        case JsonText():
            return {}
        case LargeBinary():
            return b""
        case Boolean():
            return False
        case _:
            return 0


def done(database: Database, tenant: str, statement: Executable) -> int:
    """Rows that the statement changed."""
    return database.write(tenant, lambda session: session.execute(statement).rowcount)  # type: ignore[attr-defined, no-any-return]


def counts(seeing: Session | Connection) -> dict[str, int]:
    return {table.name: seeing.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES}


def all_there(database: Database) -> bool:
    with database.read(EVERYONE) as session:
        return counts(session) == dict.fromkeys(NOTHING, 2) | {"audit": 3}


def test_a3_every_table_with_a_tenant_has_its_policy(database: Database) -> None:
    assert len(TABLES) == len(Base.metadata.tables), "a table without tenants: is it the server's own?"
    asked = text(
        """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, pg_get_userbyid(c.relowner), count(p.oid),
                  bool_and(p.polcmd = '*' AND p.polpermissive AND p.polroles = '{0}'),
                  min(pg_get_expr(p.polqual, c.oid)), min(pg_get_expr(p.polwithcheck, c.oid))
           FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relkind = 'r' GROUP BY c.oid"""
    )
    with database.read(EVERYONE) as session:
        found = {name: rest for name, *rest in session.execute(asked)}
        assert session.scalar(text("SELECT current_user")) == OWNER
    bare = [table.name for table in TABLES if found[table.name][:4] != [True, OWNER, 1, True]]
    assert bare == [], "the step that makes a table calls row_security.secure on it"
    assert len({expression for table in TABLES for expression in found[table.name][4:]}) == 1
    assert row_security.bypassed(database) is None


def test_a3_without_a_tenant_there_is_nothing(filled: Database) -> None:
    assert all_there(filled)
    with filled.engine.connect() as connection:
        for said in ("", "c", "A", "a ", "%"):
            assert counts(connection) == NOTHING, said
            for table in TABLES:
                assert connection.execute(update(table).values(tenant="c")).rowcount == 0
                assert connection.execute(delete(table)).rowcount == 0
            connection.rollback()
            connection.execute(text("SELECT set_config('spark_copilot.tenant', :said, true)"), {"said": said})
    for table in TABLES:
        with filled.engine.connect() as connection, pytest.raises(ProgrammingError, match=REFUSED):
            connection.execute(insert(table).values(row(table, "c")))
    assert all_there(filled)


def test_a3_a_tenant_meets_its_own_rows_only(filled: Database) -> None:
    with filled.read("a") as session:
        for table in TABLES:
            assert session.scalars(select(table.c.tenant)).all() == ["a"], table.name
    for table in TABLES:
        assert done(filled, "a", update(table).where(table.c.tenant == "b").values(tenant="a")) == 0
        assert done(filled, "a", delete(table).where(table.c.tenant == "b")) == 0
        for theirs in (insert(table).values(row(table, "new", tenant="b")), update(table).values(tenant="b")):
            with pytest.raises(DatabaseUnavailable, match=REFUSED):
                done(filled, "a", theirs)
    assert all_there(filled)


def test_a3_a_forgotten_where_is_harmless(filled: Database) -> None:
    with filled.read("a") as session:
        assert [found.id for found in session.scalars(select(Run))] == ["a"]
        assert session.get(Run, "b") is None
        assert session.scalar(text("SELECT count(*) FROM runs r JOIN findings f ON f.run_id = r.id")) == 1
    assert done(filled, "a", delete(Run)) == 1  # and all that hangs on it, by the foreign keys
    with filled.read("b") as session:
        assert counts(session) == ONE_EACH
    with filled.read("a") as session:
        assert set(counts(session).items()) - set(NOTHING.items()) == {("mutes", 1), ("api_keys", 1), ("audit", 1)}


def _left(session: Session) -> None:
    del session


def _failed(session: Session) -> None:
    with pytest.raises(ProgrammingError):
        session.execute(text("SELECT * FROM nothing"))


def _raised(session: Session) -> None:
    del session
    raise LookupError


@pytest.mark.parametrize("ended", [_left, Session.commit, Session.rollback, _failed, _raised])
def test_a3_a_pooled_connection_carries_nothing_over(filled: Database, ended: Callable[[Session], None]) -> None:
    backend, used = text("SELECT pg_backend_pid()"), []

    def look(session: Session) -> None:
        assert counts(session) == ONE_EACH
        used.append(session.execute(backend).scalar_one())
        ended(session)

    with suppress(LookupError):
        filled.write("a", look)
    with suppress(LookupError), filled.read("a") as session:
        look(session)
    with filled.engine.connect() as connection:
        assert [connection.execute(backend).scalar_one()] * 2 == used
        assert counts(connection) == NOTHING  # nor the audit's line of nobody, whose tenant is as empty as what is left of the setting
        assert connection.execute(text("SELECT current_setting('spark_copilot.tenant', true)")).scalar_one() == ""


def test_a3_every_transaction_of_a_session_says_its_tenant_once(filled: Database) -> None:
    said: list[Any] = []

    def count(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        if "set_config" in statement:
            said.append(values["tenant"])

    event.listen(filled.engine, "before_cursor_execute", count)
    with filled.read("a") as session:
        for end in (session.commit, session.rollback, session.close):
            assert counts(session) == ONE_EACH
            end()
        _failed(session)
        session.rollback()
        assert counts(session) == ONE_EACH
    assert said == ["a"] * 5
    assert filled.write("b", lambda session: (counts(session), counts(session))) == (ONE_EACH, ONE_EACH)
    assert said == ["a"] * 5 + ["b"]
    event.remove(filled.engine, "before_cursor_execute", count)


def test_a3_many_tenants_over_one_pool(filled: Database) -> None:
    def look(tenant: str) -> tuple[str, ...]:
        with filled.read(tenant) as session:
            return tuple(session.scalars(select(Run.tenant).order_by(Run.tenant)))

    asked = ["a", "b", EVERYONE, "c"] * 40
    with ThreadPoolExecutor(8) as pool:
        answered = Counter(zip(asked, pool.map(look, asked), strict=True))
    assert answered == {("a", ("a",)): 40, ("b", ("b",)): 40, (EVERYONE, ("a", "b")): 40, ("c", ()): 40}


def test_a3_a_worker_takes_the_jobs_of_every_tenant(database: Database, tmp_path: Path) -> None:
    for tenant in ("a", "b", "c"):
        add(database, "the same log", tenant=tenant)
    repository, queue = MetadataRepository(database), JobQueue(database)
    gone = JobQueue(database, lease_ms=-1_000).claim("gone")
    claims = [queue.claim("w"), queue.claim("w")]
    assert None not in (gone, *claims)
    assert {claim.tenant for claim in (gone, *claims) if claim} == {"a", "b", "c"}
    assert (queue.depth(), queue.holders(), len(repository.files_in_use())) == ({"running": 3}, {"gone", "w"}, 1)
    assert queue.sweep() == 1
    done(database, EVERYONE, update(Job).values(ready_ms=0))
    claims.append(queue.claim("w"))
    for claim in claims:
        assert claim is not None
        assert queue.heartbeat(claim, {"stage": "parsing", "share": 0.5}, (("parsing", {}),))
        assert finish(database, claim)
        (report,) = repository.reports(claim.tenant, claim.run_id)
        assert repository.report_text(report, tmp_path).startswith(b"{")
    assert queue.depth() == {"done": 3}


def test_a3_keys_and_the_audit_log_across_tenants(database: Database) -> None:
    keys, audit = KeyRepository(database), AuditRepository(database)
    assert not keys.any()
    made = {tenant: keys.create(tenant, "test", "read", None) for tenant in ("a", "local")}
    assert keys.any()
    assert {tenant: keys.check(key).tenant for tenant, (key, _) in made.items()} == {"a": "a", "local": "local"}
    assert [[key.tenant for key in keys.every(tenant)] for tenant in ("a", "b")] == [["a"], []]
    assert {(key.tenant, key.last_used_ms is not None) for key in keys.every()} == {("a", True), ("local", True)}
    assert keys.revoke(made["a"][1].id).tenant == "a"
    for tenant in ("a", "local", ""):
        audit.add(tenant=tenant, key_id=None, action="x", path="/", status=403, code=None, address=None, request_id="1")
    assert [sorted(line.tenant for line in audit.lines(tenant)[0]) for tenant in ("a", "local", "b")] == [["a"], ["", "local"], []]
    audit.forget(-1_000)
    with database.read(EVERYONE) as session:
        assert session.scalar(select(func.count()).select_from(AuditRow)) == 0


def test_a3_no_tenant_is_called_like_everyone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (EVERYONE, "", "a*", "A", "a b", "ä", "a\n"):
        with pytest.raises(UsageError, match="cannot be a tenant"):
            KeyRepository(Database(None, tmp_path)).create(name, "test", "read", None)
        assert run(["keys", "create", "--name", "test", "--tenant", name]) == 2
        assert "cannot be a tenant" in capsys.readouterr().err


def test_a3_policies_come_and_go_with_their_step(filled: Database) -> None:
    policies = text("SELECT count(*) FROM pg_policy")
    migrate.downgrade(filled, "0008")
    with filled.engine.connect() as connection:
        assert counts(connection) == dict.fromkeys(NOTHING, 2) | {"audit": 3}
        assert connection.execute(policies).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM pg_class WHERE relrowsecurity OR relforcerowsecurity")).scalar_one() == 0
    migrate.upgrade(filled)
    with filled.engine.connect() as connection:
        assert counts(connection) == NOTHING
        assert connection.execute(policies).scalar_one() == len(TABLES)
    assert all_there(filled)
    migrate.downgrade(filled, "base")
    migrate.upgrade(filled)
    with filled.read(EVERYONE) as session:
        assert counts(session) == NOTHING


def test_a3_a_later_step_moves_the_data_of_every_tenant(filled: Database) -> None:
    moved: list[int] = []
    migrate._run(filled, lambda config: moved.append(config.attributes["connection"].execute(update(Run).values(filename="x")).rowcount))
    assert moved == [2]


def test_a3_a_role_that_no_policy_holds_is_told_of(
    url: str, home: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for role, warnings in ((OWNER, 0), ("postgres", 1)):
        caplog.clear()
        address = url.replace(f"{OWNER}@", f"{role}@")
        service = Service(Settings(home=home, database_url=address))
        with caplog.at_level(logging.WARNING):
            assert service.database is service.database
        service.stop()
        assert len([line for line in caplog.messages if "bypasses row security" in line]) == warnings
        monkeypatch.setenv("DATABASE_URL", address)
        capsys.readouterr()  # what was logged up to here
        assert run(["db", "upgrade"]) == 0
        assert capsys.readouterr().err.count(f"warning: the database role {role!r} bypasses row security") == warnings


def test_a3_a_backup_is_whole_or_refused(filled: Database, url: str) -> None:
    program = shutil.which("pg_dump") or shutil.which("pg_dump", path=str(binaries()))
    if program is None:
        pytest.skip("pg_dump is not installed (Debian: postgresql-client)")

    def dump(address: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([program, "--data-only", address], capture_output=True, text=True, check=False)

    refused = dump(url)
    assert refused.returncode != 0
    assert "row-level security" in refused.stderr
    whole = dump(url.replace(f"{OWNER}@", "postgres@"))
    assert whole.returncode == 0
    assert "\na\ta\ta\t" in whole.stdout
    assert "\nb\tb\tb\t" in whole.stdout
    assert all_there(filled)
