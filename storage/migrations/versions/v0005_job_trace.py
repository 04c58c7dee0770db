"""The trace of the request that a job was made for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004_run_features"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One step forward."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    """The same step back."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("traceparent")
