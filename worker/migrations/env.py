"""Alembic's way to the worker's own tables; only `migrate` comes here, with a connection and a schema."""

from alembic import context

given = context.config.attributes

context.configure(
    connection=given["connection"],
    version_table=given["version_table"],
    version_table_schema=given["schema"],
)
with context.begin_transaction():
    context.run_migrations()
