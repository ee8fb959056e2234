"""Databases that live for one test, cloned from a template that is migrated once."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import URL, NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine


class Databases:
    """Makes and drops databases on one PostgreSQL server; never touches one that it did not make."""

    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url).set(drivername="postgresql+asyncpg")
        self._template = _new_name("template")

    async def build(self) -> None:
        """Make the template."""
        await self._execute(f'CREATE DATABASE "{self._template}" TEMPLATE template0')
        await build_template(self._url(self._template))

    async def drop(self) -> None:
        """Drop the template."""
        await self._drop(self._template)

    @asynccontextmanager
    async def fresh(self, *, migrated: bool = True) -> AsyncIterator[str]:
        """Give the URL of a new database, without rows, or without even tables."""
        name = _new_name("database")
        template = self._template if migrated else "template0"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self._url(name)
        finally:
            await self._drop(name)

    def _url(self, database: str) -> str:
        return _text(self._server.set(database=database))

    async def _drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(_text(self._server.set(drivername="postgresql")))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def build_template(url: str) -> None:
    """Fill the database that the tests' own databases are copies of."""
    # Tests of the servers alone should not fail for an error in the migrations.
    from worker.migrate import migrate  # noqa: PLC0415
    from worker.models.migrations import EXAMPLE  # noqa: PLC0415

    engine = create_async_engine(url, poolclass=NullPool)
    await migrate(engine, also=[EXAMPLE])
    await engine.dispose()


def _new_name(purpose: str) -> str:
    return f"crud_test_{purpose}_{uuid.uuid4().hex[:12]}"


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
