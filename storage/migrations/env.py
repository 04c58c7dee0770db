"""Run by Alembic: the steps over the connection that `storage.migrate` opened, inside its transaction."""

from alembic import context

from spark_copilot.storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
