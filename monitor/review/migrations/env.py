"""Runs migrations on the connection that `database.migrate` passes in."""

from alembic import context

from gradwatch.monitor.review.store.schema import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite can't alter a column otherwise
)
with context.begin_transaction():
    context.run_migrations()
