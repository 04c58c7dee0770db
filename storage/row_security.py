"""Row security of PostgreSQL: a question that forgets to name its tenant gets that tenant's rows all the same. SQLite has nothing like it."""

from alembic import op
from sqlalchemy import text

from spark_copilot.storage.database import EVERYONE, TENANT_SETTING, Database

POLICY = "one_tenant"
_MAY = f"(SELECT NULLIF(current_setting('{TENANT_SETTING}', true), '')) IN (tenant, '{EVERYONE}')"
"""Once a transaction has said a tenant, its session says '' afterwards, not NULL; lines of the audit log that are nobody's must not answer to that.
The setting is read once a statement, not once a row: hence the inner SELECT."""


def secure(*tables: str) -> None:
    """In a step of the database's shape: from here on these tables show and take rows of the transaction's tenant only, also to their owner."""
    if op.get_bind().dialect.name == "postgresql":
        for table in tables:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY {POLICY} ON {table} USING ({_MAY}) WITH CHECK ({_MAY})")


def release(*tables: str) -> None:
    """The same step back."""
    if op.get_bind().dialect.name == "postgresql":
        for table in tables:
            op.execute(f"DROP POLICY {POLICY} ON {table}")
            op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def bypassed(database: Database) -> str | None:
    """What to say when the role that is connected is held by no policy; None when it is held, and on SQLite.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    if database.is_sqlite:
        return None
    with database.read(EVERYONE) as session:
        role = session.scalar(text("SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"))
    if role is None:
        return None
    return (
        f"the database role {role!r} bypasses row security, so only the program keeps tenants apart: "
        "connect as a role without SUPERUSER and BYPASSRLS that owns the database (docs/service.md)"
    )
