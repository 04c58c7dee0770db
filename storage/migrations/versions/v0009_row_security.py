"""PostgreSQL keeps tenants apart by itself: every table that bears a tenant shows the rows of the transaction's tenant only."""

from spark_copilot.storage.row_security import release, secure

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = (
    "runs", "run_aliases", "jobs", "run_events", "reports", "findings", "metrics", "tables_seen", "feedback", "mutes", "idempotency_keys",
    "uploads", "api_keys", "audit",
)  # fmt: skip


def upgrade() -> None:
    """One step forward."""
    secure(*_TABLES)


def downgrade() -> None:
    """The same step back."""
    release(*_TABLES)
