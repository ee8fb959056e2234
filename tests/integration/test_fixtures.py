"""The databases that the fixtures give to tests: their own, fresh, and never somebody's data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import redis
from sqlalchemy import make_url

from tests.databases import PostgresDatabases
from tests.redis_database import claim
from worker.demo.servers import RedisServer

ADA = "INSERT INTO users (id, username) VALUES (gen_random_uuid(), 'ada') RETURNING id"
OUTBOX = "INSERT INTO outbox (command_id, queue, sending) VALUES (gen_random_uuid(), 'q', '') RETURNING id"


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


async def test_a_database_is_migrated_or_empty(database_url: str, empty_database_url: str) -> None:
    assert {"users", "processed_commands"} <= await tables(database_url)
    assert await tables(empty_database_url) == set()


async def test_each_has_a_name_of_its_own(
    database_url: str, empty_database_url: str, own_database_url: str
) -> None:
    urls = (database_url, empty_database_url, own_database_url)
    assert len({make_url(url).database for url in urls}) == 3


@pytest.fixture
def databases(_postgresql_databases: PostgresDatabases) -> PostgresDatabases:
    return _postgresql_databases


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


async def test_one_that_holds_nothing_but_rows_is_emptied_for_the_next(databases: PostgresDatabases) -> None:
    taken_again = False
    for _ in range(5):  # autovacuum may have an eye on one
        async with databases.fresh() as first, connected(first) as connection:
            [user_id] = await connection.fetchrow(ADA)
            await connection.execute("INSERT INTO posts (id, user_id, title) VALUES ($1, $1, 'T')", user_id)
            assert await connection.fetchval(OUTBOX) == 1
        async with databases.fresh() as second, connected(second) as connection:
            taken_again |= second == first
            assert await connection.fetchval("SELECT count(*) FROM users, posts") == 0
            assert await connection.fetchval(OUTBOX) == 1
            assert await connection.fetchval("SELECT count(*) FROM worker_alembic_version") == 1
            async with databases.fresh() as third:
                assert third != second
    assert taken_again


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE another (id int)",
        "DROP TABLE likes",
        "ALTER TABLE users ALTER name TYPE varchar(7)",
        "ALTER TABLE users ADD another int DEFAULT 1",
        "DROP INDEX ix_processed_commands_ended_at",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA another",
        "ALTER TABLE users DISABLE TRIGGER ALL",
        "COMMENT ON TABLE users IS 'of another'",
        "GRANT SELECT ON users TO public",
        "INSERT INTO users (id, name) SELECT gen_random_uuid(), 'ada' FROM generate_series(1, 50000)",
        "ANALYZE users",
        "DELETE FROM worker_alembic_version",
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET work_mem = 64'; END $$",
    ],
)
async def test_one_that_has_changed_otherwise_is_dropped(
    databases: PostgresDatabases, statement: str
) -> None:
    async with databases.fresh() as first, connected(first) as connection:
        await connection.execute(ADA)
        await connection.execute(statement)
    async with databases.fresh() as second:
        assert second != first


async def test_one_that_somebody_has_not_left_is_dropped(databases: PostgresDatabases) -> None:
    async with databases.fresh() as first:
        left = await asyncpg.connect(first.replace("+asyncpg", ""))
    async with databases.fresh() as second:
        assert second != first
    left.terminate()


@pytest.mark.parametrize("round_", [1, 2])
def test_redis_is_empty_for_each_test(redis_url: str, round_: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("round", round_)


def test_a_given_redis_is_not_flushed_where_somebody_keeps_something(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url.replace("/0", "/3")) as client:
        client.set("somebody's", "data")
        with pytest.raises(RuntimeError, match="database 3 is in use"), claim(own_redis.url, 2):
            pytest.fail("claimed")
        assert client.get("somebody's") == b"data"
        client.flushdb()


def test_a_given_redis_is_left_clean(own_redis: RedisServer) -> None:
    with claim(own_redis.url, 4) as url, redis.Redis.from_url(url) as client:
        client.set("test-queue", "left behind")
    with redis.Redis.from_url(own_redis.url.replace("/0", "/5")) as client:
        assert client.dbsize() == 0
