"""How many workers were lost over a job, apart from the attempts that failed."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One step forward."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("workers_lost", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """The same step back."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("workers_lost")
