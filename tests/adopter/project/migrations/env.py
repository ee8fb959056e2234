"""Alembic's way into the shop's database: on the connection that it is given, or one of its own."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine


def run(connection: Connection) -> None:
    """Run what Alembic was asked for."""
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def connect() -> None:
    """Connect."""
    engine = create_async_engine(os.environ["DATABASE_URL"])
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(connect())
else:
    run(given)
