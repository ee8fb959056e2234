import pytest
import redis.exceptions

from producers import QueueFull, QueueUnavailable
from producers.connection import understood
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


async def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(redis.exceptions.ResponseError, match="unknown command"):
        async with understood():
            raise redis.exceptions.ResponseError("unknown command")
