"""Migrations go up and down, agree with the models, and touch nothing that is not theirs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from tests.databases import engine_on
from tests.processes import command_line, environment_of
from worker.migrate import downgrade, migrate, pending
from worker.models import Base
from worker.models.migrations import EXAMPLE
from worker.tables import worker_tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OWN = {"processed_commands", "dead_letters", "outbox", "relays", "feed"}
DOMAIN = set(Base.metadata.tables)
VERSIONS = {"worker_alembic_version", "example_alembic_version"}
SCHEMAS = [None, "worker's own"]
# SQLite has no schemas, and MariaDB's would be databases, which outlive the test's own.
EVERYWHERE = pytest.mark.parametrize(
    ("database_kind", "schema"),
    [*(("postgresql", schema) for schema in SCHEMAS), ("sqlite", None), ("mariadb", None)],
    indirect=["database_kind"],
)


@pytest.fixture
async def engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = engine_on(empty_database_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


async def tables(engine: AsyncEngine, schema: str | None = None) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda c: inspect(c).get_table_names(schema)))


@EVERYWHERE
async def test_goes_up_down_and_up_again(engine: AsyncEngine, schema: str | None) -> None:
    for _ in range(2):
        assert await migrate(engine, schema=schema, also=[EXAMPLE]) != []
        assert await tables(engine) | await tables(engine, schema) == OWN | DOMAIN | VERSIONS
        await downgrade(engine, schema=schema, also=[EXAMPLE])
        assert await tables(engine) | await tables(engine, schema) == VERSIONS


@pytest.mark.databases
async def test_names_what_is_pending_and_then_runs_it(engine: AsyncEngine) -> None:
    expected = await pending(engine, also=[EXAMPLE])
    assert "worker_alembic_version: 0001 (How each command ended, and the dead letters)" in expected
    assert "example_alembic_version: 0001 (Users, posts, profiles and likes)" in expected
    assert await migrate(engine, also=[EXAMPLE]) == expected
    assert await pending(engine, also=[EXAMPLE]) == []
    assert await migrate(engine, also=[EXAMPLE]) == []


async def test_asking_what_is_pending_changes_nothing(engine: AsyncEngine) -> None:
    await pending(engine, schema="elsewhere", also=[EXAMPLE])
    assert await tables(engine) == set()


@pytest.mark.databases
async def test_a_database_of_newer_code_is_not_pending(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE worker_alembic_version SET version_num = '9999'"))
    assert await pending(engine) == []


@EVERYWHERE
async def test_models_and_migrations_agree(engine: AsyncEngine, schema: str | None) -> None:
    await migrate(engine, schema=schema, also=[EXAMPLE])
    async with engine.connect() as connection:
        assert await connection.run_sync(differences, worker_tables(schema).metadata, Base.metadata) == []


def differences(connection: Connection, *wanted: MetaData) -> list[Any]:
    # Elsewhere Alembic takes '' for no default, and the server's own schemas for ours.
    postgresql = connection.dialect.name == "postgresql"
    options = {
        "include_schemas": postgresql,
        "include_object": lambda _thing, name, kind, _reflected, _other: (
            kind != "table" or name not in VERSIONS
        ),
        "compare_server_default": postgresql,
    }
    context = MigrationContext.configure(connection, opts=options)
    # Alembic compares with several at once, though its types do not say so.
    return list(compare_metadata(context, cast("MetaData", wanted)))


async def test_the_constraints_of_models_and_migrations_say_the_same(engine: AsyncEngine) -> None:
    """Alembic compares the name of a CHECK and not what it says."""
    await migrate(engine, also=[EXAMPLE])
    migrated = await definitions(engine)
    await downgrade(engine, also=[EXAMPLE])
    async with engine.begin() as connection:
        await connection.run_sync(worker_tables(None).metadata.create_all)
        await connection.run_sync(Base.metadata.create_all)
    assert await definitions(engine) == migrated


async def definitions(engine: AsyncEngine) -> set[tuple[str, ...]]:
    constraints = """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        """
    async with engine.connect() as connection:
        return {tuple(row) for row in await connection.execute(text(constraints))}


async def test_two_at_once_are_harmless(engine: AsyncEngine) -> None:
    both = await asyncio.gather(*(migrate(engine, schema="worker", also=[EXAMPLE]) for _ in range(2)))
    assert sorted(bool(ran) for ran in both) == [False, True]
    assert await tables(engine, "worker") == OWN | {"worker_alembic_version"}


@pytest.mark.databases("mariadb", "sqlite")
async def test_two_at_once_are_harmless_elsewhere_too(empty_database_url: str, engine: AsyncEngine) -> None:
    # Alembic keeps its state in globals, so the other one is a process of its own.
    environment = environment_of(empty_database_url, "redis://nobody.invalid/", "queue")
    others = (command_line("migrate", environment=environment) for _ in range(2))
    ended = await asyncio.gather(*others)
    assert [process.returncode for process in ended] == [0, 0], [process.stderr for process in ended]
    assert sorted(process.stdout.splitlines()[-1] for process in ended) == ["migrated", "nothing to migrate"]
    assert await tables(engine) == OWN | DOMAIN | VERSIONS


@pytest.mark.databases("sqlite")
async def test_waits_for_who_writes_a_new_file_of_sqlite(
    empty_database_url: str, engine: AsyncEngine
) -> None:
    path = make_url(empty_database_url).database or ""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.3, other.execute, "COMMIT")
        assert await migrate(engine) != []


@pytest.mark.databases("postgresql", "sqlite")  # MariaDB commits each change of a table by itself
async def test_a_failure_leaves_nothing(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE posts (id int)"))
    with pytest.raises(Exception, match=r"posts.* already exists"):
        await migrate(engine, also=[EXAMPLE])
    assert await tables(engine) == {"posts"}


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_an_adopters_tables_and_alembic_version_stay_as_they_were(
    engine: AsyncEngine, schema: str | None
) -> None:
    theirs = [
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('theirs')",
        "CREATE TABLE users (id bigint PRIMARY KEY, login text)",
        "INSERT INTO users VALUES (1, 'ada')",
    ]
    async with engine.begin() as connection:
        for statement in theirs:
            await connection.execute(text(statement))
    before = await contents(engine)

    await migrate(engine, schema=schema)
    assert await contents(engine) == before
    await downgrade(engine, schema=schema)
    assert await contents(engine) == before


async def contents(engine: AsyncEngine) -> list[list[tuple[Any, ...]]]:
    columns = """
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_name IN ('users', 'alembic_version') ORDER BY 1, 2
        """
    async with engine.connect() as connection:
        return [
            [tuple(row) for row in await connection.execute(text(query))]
            for query in (columns, "SELECT * FROM users", "SELECT * FROM alembic_version")
        ]


async def test_logging_is_left_alone(engine: AsyncEngine) -> None:
    before = loggers()
    await migrate(engine, also=[EXAMPLE])
    assert loggers() == before


def loggers() -> list[tuple[Any, ...]]:
    wanted = (
        logging.getLogger(name) for name in (None, "alembic", "alembic.runtime.migration", "sqlalchemy")
    )
    return [(logger.level, list(logger.handlers), logger.disabled, logger.propagate) for logger in wanted]
