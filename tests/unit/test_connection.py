import asyncio
from typing import Any

import pytest
import redis.exceptions
from redis.asyncio import Redis

from producers import QueueFull, QueueSettings, QueueUnavailable
from producers.connection import connect, understood
from producers.errors import CommandError
from tests.waiting import until


@pytest.mark.parametrize(
    ("raised", "expected", "code"),
    [
        (redis.exceptions.ConnectionError("refused"), QueueUnavailable, "queue_unavailable"),
        (redis.exceptions.TimeoutError("late"), QueueUnavailable, "queue_unavailable"),
        (redis.exceptions.BusyLoadingError("loading"), QueueUnavailable, "queue_unavailable"),
        (redis.exceptions.AuthenticationError("hunter2"), QueueUnavailable, "queue_unavailable"),
        (ConnectionResetError(), QueueUnavailable, "queue_unavailable"),
        (TimeoutError(), QueueUnavailable, "queue_unavailable"),
        (redis.exceptions.OutOfMemoryError("OOM"), QueueFull, "redis_full"),
        (redis.exceptions.ResponseError("used memory > 'maxmemory'"), QueueFull, "redis_full"),
    ],
)
async def test_what_redis_says_becomes_an_error_of_ours(
    raised: Exception, expected: type[CommandError], code: str
) -> None:
    with pytest.raises(expected) as error:
        async with understood():
            raise raised
    assert error.value.code == code
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("refusal", [redis.exceptions.ReadOnlyError, redis.exceptions.NoPermissionError])
async def test_whatever_redis_refuses_is_told_in_its_own_words(refusal: type[Exception]) -> None:
    with pytest.raises(QueueUnavailable, match="Redis refuses: not by this replica"):
        async with understood():
            raise refusal("not by this replica")


@pytest.mark.parametrize(
    "url", ["redis://localhost:1/0", "rediss://localhost:1/0", "unix:///nowhere/redis.sock"]
)
def test_a_connection_can_be_made_of_every_kind_of_url(url: str) -> None:
    client = connect(QueueSettings(redis_url=url), Redis)
    assert client.connection_pool.make_connection() is not None  # type: ignore[no-untyped-call]


async def test_a_socket_that_uvloop_finds_closed_is_replaced(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    client = connect(QueueSettings(redis_url=redis_url), Redis)
    assert await client.ping()
    connection = await client.connection_pool.get_connection()
    monkeypatch.setattr(connection._writer, "writelines", refuse)
    await client.connection_pool.release(connection)
    assert await client.ping()
    await client.aclose()


async def test_every_kind_of_value_is_packed_as_redis_py_does(redis_url: str) -> None:
    ours, theirs = connect(QueueSettings(redis_url=redis_url), Redis), Redis.from_url(redis_url)
    async with ours, theirs:
        values: list[Any] = ["text", "", b"\0bytes", memoryview(b"view"), 7, -1.5, "ü" * 10_000]
        for client in (ours, theirs):
            await client.delete("test-list")
            await client.rpush("test-list", *values)  # type: ignore[misc]
            assert await client.config_get("maxmemory-policy")  # two words
            with pytest.raises(redis.exceptions.DataError):
                await client.set("test-list", True)  # noqa: FBT003
            assert await client.lrange("test-list", 0, -1) == [  # type: ignore[misc]
                *(b"text", b"", b"\0bytes", b"view", b"7", b"-1.5", "ü".encode() * 10_000)
            ]
        await ours.delete("test-list")


async def test_a_server_that_has_hung_up_is_called_anew(redis_url: str) -> None:
    settings = QueueSettings(redis_url=redis_url, redis_retries=0)
    async with connect(settings, Redis) as client, Redis.from_url(redis_url) as other:
        for _ in range(3):
            name = await client.client_id()
            await other.client_kill_filter(_id=name)
            connection = _only(client)
            await until(connection._reader.at_eof)
            assert await client.client_id() != name
            assert _only(client) is connection


def _only(client: Redis) -> Any:
    [connection] = client.connection_pool._available_connections
    return connection


async def test_what_cannot_be_written_in_time_is_told(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stands_still() -> None:
        await asyncio.sleep(30)

    async with connect(QueueSettings(redis_url=redis_url, redis_retries=0), Redis) as client:
        assert await client.ping()
        connection = _only(client)
        monkeypatch.setattr(connection._writer, "drain", stands_still)
        connection.socket_timeout = 0.05
        with pytest.raises(redis.exceptions.TimeoutError, match="writing"):
            await client.ping()
        assert (connection.is_connected, connection.socket_timeout) == (False, 0.05)
        connection.socket_timeout = 5
        assert await client.ping()
