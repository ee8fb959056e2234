"""Bring the database up to date: the worker's own tables, and those of a domain that wants it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DefaultClause, String, Text, Uuid, func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateSchema

from . import types
from .types import MARIADB

# Any number will do that no other program takes: "crudwork" in ASCII.
_ADVISORY_LOCK = 0x63727564776F726B
_PATIENCE = 3600


@dataclass(frozen=True, slots=True)
class Migrations:
    """A folder of Alembic's, and the table where it writes how far it ran.

    Its env.py takes the connection from `context.config.attributes["connection"]` where there is one.
    """

    location: Path
    version_table: str = "alembic_version"
    schema: str | None = None

    def config(self, connection: Connection) -> Config:
        """Alembic's settings, without an alembic.ini and so without its logging."""
        config = Config()
        config.set_main_option("script_location", str(self.location).replace("%", "%%"))
        config.attributes["connection"] = connection
        config.attributes["version_table"] = self.version_table
        config.attributes["schema"] = self.schema
        return config


def own(schema: str | None = None) -> Migrations:
    """Return the migrations of the worker's own tables, in `schema` (the setting WORKER_SCHEMA)."""
    return Migrations(Path(__file__).parent / "migrations", "worker_alembic_version", schema)


def rendered(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """Write a column type of ours, for `alembic revision --autogenerate`, as models write it."""
    match kind, item:
        case "type", types.Time():
            word = "Time()"
        case "type", Uuid():
            word = "uuid()"
        case "type", Text():
            word = "text()"
        case "type", String(length=int(length)):
            word = f"string({length})"
        case "server_default", DefaultClause(arg=types.utcnow()):
            word = "utcnow()"
        case _:
            return False  # as Alembic does
    context.imports.add(f"from worker.types import {word.partition('(')[0]}")
    return word


async def migrate(
    engine: AsyncEngine, *, schema: str | None = None, also: Sequence[Migrations] = ()
) -> list[str]:
    """Bring the worker's own tables and those of `also` to their newest revision; return what was run.

    One transaction: all of it or nothing; but MariaDB commits each change of a table by itself. Two at once
    are harmless: the second waits, then finds nothing to do. Alembic keeps its state in globals, so one
    process migrates one database at a time.
    """

    def upgrade(connection: Connection) -> list[str]:
        with _turn(connection):
            if schema is not None and not inspect(connection).has_schema(schema):
                connection.execute(CreateSchema(schema))
            ran = _pending(connection, [own(schema), *also])
            for migrations in (own(schema), *also):
                command.upgrade(migrations.config(connection), "heads")
            return ran

    async with engine.begin() as connection:
        return await connection.run_sync(upgrade)


async def pending(
    engine: AsyncEngine, *, schema: str | None = None, also: Sequence[Migrations] = ()
) -> list[str]:
    """Name what `migrate` would run, in its order, as "version table: revision (what it does)".

    A revision that this code does not know was left by newer code: for this code nothing is pending.
    """
    async with engine.connect() as connection:
        return await connection.run_sync(_pending, [own(schema), *also])


async def downgrade(
    engine: AsyncEngine, *, schema: str | None = None, also: Sequence[Migrations] = ()
) -> None:
    """Take back all that `migrate` did, and the data with it; the schema and the version tables stay."""

    def take_back(connection: Connection) -> None:
        with _turn(connection):
            for migrations in (*reversed(also), own(schema)):
                command.downgrade(migrations.config(connection), "base")

    async with engine.begin() as connection:
        await connection.run_sync(take_back)


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Wait for the turn of this transaction, without the limits that a worker's statements may have.

    SQLite's BEGIN IMMEDIATE, which went before, is a lock of the whole file.
    """
    if connection.dialect.name == "postgresql":
        for limit in ("lock_timeout", "statement_timeout"):
            connection.execute(text(f"SET LOCAL {limit} = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    if connection.dialect.name not in MARIADB:
        yield
        return
    # A lock of the connection, since every change of a table is a COMMIT; of the server, hence the name.
    name = func.concat("crud-worker.", func.md5(func.database()))
    connection.execute(text("SET SESSION max_statement_time = 0"))
    if not connection.scalar(select(func.get_lock(name, _PATIENCE))):
        raise RuntimeError("another migration has been running for an hour")
    try:
        yield
    finally:
        connection.execute(select(func.release_lock(name)))


def _pending(connection: Connection, wanted: Sequence[Migrations]) -> list[str]:
    return [
        f"{migrations.version_table}: {step}"
        for migrations in wanted
        for step in _steps(connection, migrations)
    ]


def _steps(connection: Connection, migrations: Migrations) -> list[str]:
    """Read without env.py, which is there to change things."""
    names = {"version_table": migrations.version_table, "version_table_schema": migrations.schema}
    applied = MigrationContext.configure(connection, opts=names).get_current_heads()
    scripts = ScriptDirectory.from_config(migrations.config(connection))
    known = {script.revision for script in scripts.walk_revisions()}
    if not known.issuperset(applied):
        return []
    steps = scripts.iterate_revisions("heads", applied or "base")
    return [f"{script.revision} ({script.doc.rstrip('.')})" for script in reversed(list(steps))]
