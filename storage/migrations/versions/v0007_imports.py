"""Logs that the server fetches itself: where from, and the ids of fetches whose bytes were known."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One step forward."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("source", sa.Text(), nullable=True))
    op.create_table(
        "run_aliases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_aliases_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_aliases")),
    )


def downgrade() -> None:
    """The same step back."""
    op.drop_table("run_aliases")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("source")
