"""Databases that are one test's own: copies of a template that is migrated once."""

import asyncio
import shutil
import sqlite3
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL, NullPool, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from worker.database import prepare
from worker.settings import WorkerOptions

_LINGER = 1.0
"""Seconds that a session gets to end after its connection was closed."""
KINDS = ("postgresql", "sqlite", "mariadb")


class Databases(ABC):
    """Makes and drops databases on one server; never touches one that it did not make."""

    version = ""
    """What the tests say that they have covered."""

    @abstractmethod
    async def build(self) -> None:
        """Make the template."""

    @abstractmethod
    async def drop(self) -> None:
        """Drop the template."""

    @abstractmethod
    def fresh(self, *, migrated: bool = True) -> AbstractAsyncContextManager[str]:
        """Give the URL of a new database, without rows, or without even tables."""


_ROWS = """
    SELECT format('DELETE FROM %I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname = 'public' AND tablename NOT LIKE '%alembic_version'
    UNION ALL
    SELECT format('SELECT setval(%L, %s, false)', format('%I.%I', schemaname, sequencename), start_value)
    FROM pg_sequences
"""
_CATALOGS = (
    *("class", "attribute", "attrdef", "type", "constraint", "index", "proc", "trigger", "namespace"),
    *("statistic", "policy", "rewrite", "extension", "default_acl", "description", "enum", "inherits"),
)
_SCHEMA = " UNION ALL ".join(
    f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM pg_catalog.pg_{name}"  # noqa: S608
    for name in _CATALOGS
)
"""What any change of a schema changes: how many rows its catalogs have, and who wrote the latest of them."""
_VERSIONS = " UNION ALL ".join(
    f"SELECT version_num FROM {whose}_alembic_version"  # noqa: S608
    for whose in ("worker", "example")
)
_OTHERS = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker')
         + (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = current_database())
"""
"""Who is connected, and what is set for this database alone."""
_LARGE = 1 << 22
"""Bytes that a database may have grown by: rows that were deleted stay in its files."""


class PostgresDatabases(Databases):
    """Clones of a template database: emptied after a test, and taken for another one.

    To clone one takes a hundred times as long as to empty it. Only one that is as it was cloned is taken
    again: nobody is connected to it, and its schema and settings are those of the template.
    """

    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url).set(drivername="postgresql+asyncpg")
        self._template = _new_name("template")
        self._empty: list[str] = []
        self._as_made: dict[str, tuple[Any, int]] = {}
        """What each was when it was made: a template may be analyzed between two."""

    async def build(self) -> None:
        """Make the template."""
        await self._execute(f'CREATE DATABASE "{self._template}" TEMPLATE template0')
        self.version = f"PostgreSQL {await build_template(self._url(self._template), 'SHOW server_version')}"

    async def drop(self) -> None:
        """Drop the template and its clones."""
        for name in (*self._empty, self._template):
            await self._drop(name)

    @asynccontextmanager
    async def fresh(self, *, migrated: bool = True) -> AsyncIterator[str]:
        """Give the URL of a database without rows, or of a new one without even tables."""
        if migrated and self._empty:
            name = self._empty.pop()
        else:
            name = _new_name("database")
            template = self._template if migrated else "template0"
            await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            if migrated:
                async with self._connected(name) as connection:
                    self._as_made[name] = await _look(connection)
        try:
            yield self._url(name)
        finally:
            if migrated and await self._is_emptied(name):
                self._empty.append(name)
            else:
                await self._drop(name)

    async def _is_emptied(self, name: str) -> bool:
        """Empty a database, if it can be as it was: else it is to be dropped."""
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            async with self._connected(name) as connection:
                until = time.monotonic() + _LINGER
                while await connection.fetchval(_OTHERS):  # a session ends a moment after its connection
                    if time.monotonic() > until:
                        return False
                    await asyncio.sleep(0.005)
                (then, small), (now, size) = self._as_made[name], await _look(connection)
                if now != then or size - small > _LARGE:
                    return False
                async with connection.transaction():
                    await connection.execute(
                        "SET LOCAL session_replication_role = replica"
                    )  # no foreign keys
                    statements = [row[0] for row in await connection.fetch(_ROWS)]
                    await connection.execute("; ".join(statements))
                return True
        return False

    def _url(self, database: str) -> str:
        return _text(self._server.set(database=database))

    async def _drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _execute(self, statement: str) -> None:
        async with self._connected(None) as connection:
            await connection.execute(statement)

    @asynccontextmanager
    async def _connected(self, name: str | None) -> AsyncIterator[Any]:
        url = self._server.set(drivername="postgresql", database=name or self._server.database)
        connection = await asyncpg.connect(_text(url), timeout=10)
        try:
            yield connection
        finally:
            await connection.close()


async def _look(connection: Any) -> tuple[Any, int]:
    """What makes a database what it is, but for its rows; and its size, in bytes."""
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    return (await connection.fetch(_SCHEMA), await connection.fetch(_VERSIONS)), size


class SqliteDatabases(Databases):
    """Copies of a template file."""

    version = f"SQLite {sqlite3.sqlite_version}"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def build(self) -> None:
        """Make the template."""
        await build_template(self._url("template"), "SELECT 1")

    async def drop(self) -> None:
        """Leave the folder to pytest."""

    @asynccontextmanager
    async def fresh(self, *, migrated: bool = True) -> AsyncIterator[str]:
        """Give the URL of a new file, or of one that is not there yet."""
        name = _new_name("database")
        if migrated:
            shutil.copy(self._folder / "template", self._folder / name)
        yield self._url(name)
        for file in self._folder.glob(f"{name}*"):
            file.unlink()

    def _url(self, name: str) -> str:
        return f"sqlite+aiosqlite:///{self._folder / name}"


class MariaDBDatabases(Databases):
    """Databases with the tables of a template, which MariaDB cannot clone: made as it says they were made."""

    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url).set(drivername="mariadb+asyncmy", database=None)
        self._template = _new_name("template")
        self._statements: list[str] = []

    async def build(self) -> None:
        """Make the template."""
        async with self._connected(None) as connection:
            await connection.exec_driver_sql(f"CREATE DATABASE `{self._template}`")
        version = await build_template(self._url(self._template), "SELECT version()")
        self.version = f"MariaDB {str(version).partition('-')[0]}"
        async with self._connected(self._template) as connection:
            for name in (await connection.exec_driver_sql("SHOW TABLES")).scalars().all():
                made = await connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`")
                self._statements.append(made.mappings().one()["Create Table"])
                if name.endswith("alembic_version"):
                    copied = f"INSERT INTO `{name}` SELECT * FROM `{self._template}`.`{name}`"  # noqa: S608
                    self._statements.append(copied)

    async def drop(self) -> None:
        """Drop the template."""
        await self._drop(self._template)

    @asynccontextmanager
    async def fresh(self, *, migrated: bool = True) -> AsyncIterator[str]:
        """Give the URL of a new database, without rows, or without even tables."""
        name = _new_name("database")
        async with self._connected(None) as connection:
            for statement in (f"CREATE DATABASE `{name}`", f"USE `{name}`", "SET foreign_key_checks = 0"):
                await connection.exec_driver_sql(statement)
            for statement in self._statements if migrated else ():
                await connection.exec_driver_sql(statement)
        try:
            yield self._url(name)
        finally:
            await self._drop(name)

    def _url(self, database: str) -> str:
        return _text(self._server.set(database=database))

    async def _drop(self, name: str) -> None:
        async with self._connected(None) as connection:
            # What a test has left in a transaction would have to be waited for.
            of_test = "SELECT id FROM information_schema.processlist WHERE db = %s"
            for (session,) in (await connection.exec_driver_sql(of_test, (name,))).all():
                with suppress(OperationalError):  # it has just gone by itself
                    await connection.exec_driver_sql(f"KILL {session}")
            await connection.exec_driver_sql(f"DROP DATABASE `{name}`")

    @asynccontextmanager
    async def _connected(self, database: str | None) -> AsyncIterator[AsyncConnection]:
        engine = create_async_engine(self._server.set(database=database), poolclass=NullPool)
        async with engine.begin() as connection:
            yield connection
        await engine.dispose()


def engine_on(url: str, **options: Any) -> AsyncEngine:
    """Make an engine as the worker makes its own, but for `options`."""
    engine = create_async_engine(url, **options)
    prepare(engine, WorkerOptions(database_url=url))
    return engine


async def build_template(url: str, version: str) -> str:
    """Fill the database that the tests' own databases are copies of; ask for the version of its server."""
    # Tests of the servers alone should not fail for an error in the migrations.
    from worker.migrate import migrate  # noqa: PLC0415
    from worker.models.migrations import EXAMPLE  # noqa: PLC0415

    engine = engine_on(url, poolclass=NullPool)
    await migrate(engine, also=[EXAMPLE])
    async with engine.connect() as connection:
        found: str = await connection.scalar(text(version))
    await engine.dispose()
    return found


def _new_name(purpose: str) -> str:
    return f"crud_test_{purpose}_{uuid.uuid4().hex[:12]}"


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
