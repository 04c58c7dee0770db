"""The connection to the database: SQLite by default, PostgreSQL by URL. Both behave alike behind `read` and `write`."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Engine, create_engine, event, make_url, select, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import OperationalError as SqlOperationalError
from sqlalchemy.exc import TimeoutError as SqlTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.functions import FunctionElement

from spark_copilot.rules_engine.errors import Unavailable, UsageError

T = TypeVar("T")

FILE = "copilot.db"
BUSY_MS = 30_000
TRIES = 6
EVERYONE = "*"
"""Said in place of a tenant where the work is the server's own: rows of all of them. No tenant can be called so."""
TENANT_SETTING = "spark_copilot.tenant"
"""PostgreSQL's policies compare each row's tenant with this setting of the transaction."""
SAY_TENANT = text(f"SELECT set_config('{TENANT_SETTING}', :tenant, true)")
_AGAIN = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "23505"})
"""PostgreSQL says: serialization failure, deadlock, lock not available, shutting down, crashed, starting, or somebody inserted the same row."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or cannot be opened."""

    code = "database-unavailable"
    hint = "Is DATABASE_URL right, and is the server up? Without it a SQLite file under SPARK_COPILOT_HOME is used."


class now_ms(FunctionElement[int]):  # noqa: N801 - reads as the SQL function that it is
    """The database's clock, in epoch milliseconds: leases are judged by one clock, whichever machine asks."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _now_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    del element, compiler, kw
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    del element, compiler, kw
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def clock(session: Session) -> int:
    """What that clock shows now."""
    return int(session.scalar(select(now_ms())) or 0)


class Database:
    """One engine and its sessions. Safe for threads; not across a fork."""

    def __init__(self, url: str | None, home: Path) -> None:
        self.url = _url(url, home)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and self.url.database:
            folder = Path(self.url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseUnavailable(f"the database cannot be opened in {folder}: {error.strerror}") from error
        self.engine = make_engine(self.url)
        self._reading = sessionmaker(self.engine, expire_on_commit=False)
        self._writing = sessionmaker(self.engine.execution_options(begin="BEGIN IMMEDIATE"), expire_on_commit=False)
        if not self.is_sqlite:
            for sessions in (self._reading, self._writing):
                event.listen(sessions, "after_begin", _say_tenant)

    @contextmanager
    def read(self, tenant: str) -> Iterator[Session]:
        """A session for looking: what it changes is thrown away.

        Args:
            tenant: whose rows PostgreSQL lets it see; `EVERYONE` for all. SQLite shows what the question asks for.

        Raises:
            DatabaseUnavailable: it does not answer.
        """
        try:
            with self._reading(info={TENANT_SETTING: tenant}) as session:
                yield session
        except DBAPIError as error:
            raise _unavailable(error) from error
        except SqlTimeoutError as error:
            raise DatabaseUnavailable("every connection to the database is in use", hint="try again in a moment") from error

    def write(self, tenant: str, work: Callable[[Session], T]) -> T:
        """Run the work in one transaction, again when another transaction stood in the way. So it must only touch the session.

        Args:
            tenant: as in `read`; rows of others cannot be made either.
            work: what is done.

        Raises:
            DatabaseUnavailable: it does not answer, or stays locked.
        """
        for attempt in range(1, TRIES + 1):
            try:
                with self._writing(info={TENANT_SETTING: tenant}) as session, session.begin():
                    return work(session)
            except DBAPIError as error:
                if attempt == TRIES or not _worth_retrying(error):
                    raise _unavailable(error) from error
                time.sleep(random.uniform(0.02, 0.05) * 2**attempt)
            except SqlTimeoutError as error:
                raise DatabaseUnavailable("every connection to the database is in use", hint="try again in a moment") from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()


def make_engine(url: URL, *, foreign_keys: bool = True) -> Engine:
    """An engine with what each database needs to be dependable."""
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False}, pool_size=8, max_overflow=32)
            event.listen(engine, "connect", _sqlite_pragmas(foreign_keys))
            event.listen(engine, "begin", _sqlite_begin)
            return engine
        # Nothing is prepared: a pooler in transaction mode would give the next transaction a session that does not know the statement.
        connect = {"connect_timeout": 10, "prepare_threshold": None}
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=32, pool_timeout=10, connect_args=connect)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise Unavailable(f"no driver for {url.drivername} databases", hint='pip install "spark-intelligence-copilot[postgres]"') from error


def _url(text: str | None, home: Path) -> URL:
    if not text:
        return URL.create("sqlite", database=str(home / FILE))
    try:
        url = make_url(text)
    except ArgumentError:
        # The text may hold a password: it is not shown.
        raise UsageError(
            "DATABASE_URL is not a database URL", hint="postgresql://user:password@host/name or sqlite:////path/file.db"
        ) from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError(f"DATABASE_URL names a {url.get_backend_name()} database", hint="known: sqlite, postgresql")
    return url


def _sqlite_pragmas(foreign_keys: bool) -> Callable[[Any, Any], None]:
    def on_connect(connection: Any, record: Any) -> None:
        del record
        connection.isolation_level = None  # the driver begins nothing by itself: `_sqlite_begin` does
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        for attempt in range(50):  # turning WAL on does not wait for another process that is doing the same
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
                break
            except Exception as error:
                if "locked" not in str(error) or attempt == 49:
                    raise
                time.sleep(0.05)
        cursor.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut too
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    return on_connect


def _sqlite_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once when another one wrote between: writers take the lock at the start.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _say_tenant(session: Session, transaction: object, connection: Connection) -> None:
    # Every transaction says it, for itself alone: what is given back to the pool, or to a pooler, speaks for nobody.
    del transaction
    connection.scalar(SAY_TENANT, {"tenant": session.info[TENANT_SETTING]})


def _worth_retrying(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    if isinstance(error, IntegrityError):  # the row is there now: the second look finds it
        return True
    state = getattr(error.orig, "sqlstate", None)
    return state in _AGAIN or (isinstance(error, SqlOperationalError) and "locked" in str(error.orig))


def _unavailable(error: DBAPIError) -> DatabaseUnavailable:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return DatabaseUnavailable(f"the database does not do it: {lines[0][:200]}")
