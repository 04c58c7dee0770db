"""What prediction reads of a run."""

import sqlalchemy as sa
from alembic import op

revision = "0004_run_features"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One step forward."""
    op.add_column("metrics", sa.Column("history_row", sa.Text(), nullable=True))


def downgrade() -> None:
    """The same step back."""
    op.drop_column("metrics", "history_row")
