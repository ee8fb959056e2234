import pytest
import redis.exceptions
from redis.asyncio import Redis

from producers import QueueFull, QueueSettings, QueueUnavailable
from producers.connection import connect, understood
from producers.errors import CommandError


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
