"""Connections to Redis that time out, check themselves, and try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import hiredis
import redis.exceptions
from redis._parsers import _AsyncHiredisParser
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from . import tls
from .errors import QueueFull, QueueUnavailable
from .sentinel import Led, Sentinels, is_by_sentinel

if TYPE_CHECKING:
    from .settings import QueueSettings

Client = TypeVar("Client", bound=Redis)

_LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


def connect(settings: QueueSettings, client: type[Client], **options: Any) -> Client:
    """Make a client of class `client`; nothing is sent yet."""
    led = sentinels(settings)
    url = settings.redis_url if led is None else led.url
    is_encrypted = url.startswith("rediss:")
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    if is_encrypted:
        options["ssl_check_hostname"] = True  # redis-py's default is not to; the URL may say otherwise
    made: Client = client.from_url(
        url,
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
        health_check_interval=15,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), settings.redis_retries),
        retry_on_error=list(_LOST),
        **options,
    )
    pool = made.connection_pool
    ours: list[type] = [_Encrypted, _Quick] if is_encrypted else [_Quick]
    if led is not None:
        pool.connection_kwargs["sentinels"] = led
        ours.append(Led)
    pool.connection_class = type("Connection", (*ours, pool.connection_class), {})
    return made


def sentinels(settings: QueueSettings) -> Sentinels | None:
    """Read REDIS_URL; None where it names the Redis itself."""
    if not is_by_sentinel(settings.redis_url):
        return None
    return Sentinels(settings.redis_url, timeout=min(settings.redis_timeout, 1.0))


_Base: Any = object  # the class that the URL asks for comes after it


class _Quick(_Base):  # type: ignore[misc]
    """A connection with less around each command: what redis-py does there takes longer than Redis.

    Commands are packed by hiredis; to send has a limit, and no task, of its own (`asyncio.wait_for`, which on
    Python 3.11 can lose a cancellation); whether the server has hung up is known without a turn of the loop.
    """

    socket_timeout: float | None

    def pack_command(self, *args: Any) -> list[bytes]:
        try:
            if " " not in args[0]:  # which redis-py takes for two words
                return [hiredis.pack_command(args)]
        except TypeError:
            pass  # values that hiredis does not know
        packed: list[bytes] = super().pack_command(*args)
        return packed

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002
        if not self.is_connected:
            await self.connect()
        if check_health:
            await self.check_health()
        try:
            async with asyncio.timeout(self.socket_timeout):
                self._writer.writelines([command] if isinstance(command, bytes) else command)
                await self._writer.drain()
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise redis.exceptions.TimeoutError("Timeout writing to socket") from None
        except (OSError, RuntimeError) as error:  # uvloop's, of a socket that is closed
            await self.disconnect(nowait=True)
            raise redis.exceptions.ConnectionError(f"Error while writing to socket: {error}") from error
        except BaseException:  # half a command may have been sent
            await self.disconnect(nowait=True)
            raise

    async def can_read_destructive(self) -> bool:
        if not isinstance(self._parser, _AsyncHiredisParser):
            return bool(await super().can_read_destructive())
        stream: Any = self._reader
        unread: Any = self._parser._reader  # noqa: SLF001  # redis-py's own, as the buffer is asyncio's
        is_over = stream.at_eof() or stream.exception() is not None
        return bool(is_over or stream._buffer or unread.has_data())  # noqa: SLF001


class _Encrypted(_Base):  # type: ignore[misc]
    """A connection by TLS. A server that speaks none waits for more, and says nothing."""

    async def connect(self) -> None:
        try:
            await super().connect()
        except redis.exceptions.TimeoutError as error:
            raise redis.exceptions.TimeoutError(f"{tls.NO_HANDSHAKE}: {error}") from error


@asynccontextmanager
async def understood() -> AsyncIterator[None]:
    """Turn what redis-py raises into errors of ours, and raise the cancellation that it lost.

    redis-py sends by `asyncio.wait_for`, as a client of the caller's does: on Python 3.11 that drops a
    cancellation which comes as the sending ends.
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
        raise QueueUnavailable(*filter(None, [tls.problem(error)])) from error
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
