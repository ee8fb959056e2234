"""The databases that the fixtures give to tests: their own, fresh, and never somebody's data."""

import asyncpg
import pytest
import redis
from sqlalchemy import make_url

from tests.redis_database import claim
from worker.demo.servers import RedisServer


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
