"""Alembic's way into the example's database: on the connection that `migrate` gives, or one of its own."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

# Alembic runs this file by its path, outside any package: a relative import has nothing to start from.
from worker.database_url import normalized_url
from worker.migrate import rendered
from worker.models import Base
from worker.models.migrations import EXAMPLE


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the tables of others in the same database, which --autogenerate would drop."""
    return kind != "table" or name in Base.metadata.tables


def run(connection: Connection) -> None:
    """Run what Alembic was asked for."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=EXAMPLE.version_table,
        include_name=ours,
        compare_server_default=True,
        render_item=rendered,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect() -> None:
    """Connect for the `alembic` command, which brings no connection (to write a new revision, say)."""
    engine = create_async_engine(normalized_url(os.environ["DATABASE_URL"]), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is None:
    asyncio.run(connect())
else:
    run(given)
