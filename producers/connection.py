"""Connections to Redis that time out, check themselves, and try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from .errors import QueueFull, QueueUnavailable

if TYPE_CHECKING:
    from .settings import QueueSettings

Client = TypeVar("Client", bound=Redis)

_LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


def connect(settings: QueueSettings, client: type[Client], **options: Any) -> Client:
    """Make a client of class `client`; nothing is sent yet."""
    if not settings.redis_url.startswith("unix:"):
        options["socket_keepalive"] = True
    made: Client = client.from_url(
        settings.redis_url,
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
        health_check_interval=15,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), settings.redis_retries),
        retry_on_error=list(_LOST),
        **options,
    )
    pool = made.connection_pool
    pool.connection_class = type("Connection", (_Telling, pool.connection_class), {})
    return made


class _Telling:
    """A connection that says of a closed socket what redis-py understands: uvloop raises RuntimeError."""

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]  # of redis-py's connections
        except RuntimeError as error:
            raise redis.exceptions.ConnectionError(str(error)) from error


@asynccontextmanager
async def understood() -> AsyncIterator[None]:
    """Turn what redis-py raises into errors of ours, and raise the cancellation that it lost.

    It sends by `asyncio.wait_for`, which on Python 3.11 drops a cancellation that comes as the sending ends.
    """
    before = cancellations()
    try:
        yield
        if cancellations() > before:
            raise asyncio.CancelledError
    except redis.exceptions.OutOfMemoryError:
        message = "Redis has no memory left; nothing of this call was accepted"
        raise QueueFull(message, code="redis_full") from None
    except redis.exceptions.AuthenticationError:
        message = "Redis refuses the user or password in REDIS_URL"
        raise QueueUnavailable(message) from None
    except (*_LOST, OSError, TimeoutError) as error:
        raise QueueUnavailable from error
    except redis.exceptions.ResponseError as error:
        if "maxmemory" in str(error):
            message = "Redis has no memory left; nothing of this call was accepted"
            raise QueueFull(message, code="redis_full") from None
        raise QueueUnavailable(f"Redis refuses: {error}") from error
    except redis.exceptions.RedisError as error:
        raise QueueUnavailable(f"Redis: {type(error).__name__}") from error


def cancellations() -> int:
    """Count how often the current task was told to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0
