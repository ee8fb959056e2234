"""What a worker process does again and again beside its work."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ClassVar

from redis.exceptions import RedisError

from producers.errors import QueueFull, QueueUnavailable

from .logs import log

_AFTER_A_FAILURE = 1.0


class Chore(ABC):
    """Something that is done every so many seconds; where it fails, the next time again."""

    name: ClassVar[str]
    """It begins the names of its events in the log."""
    every: ClassVar[float]

    _task: asyncio.Task[None] | None = None
    _failed: tuple[str, str] | None = None

    @abstractmethod
    async def turn(self) -> None:
        """Do it once."""

    def start(self) -> None:
        """Begin to do it."""
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Do it no more."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # more than once: with Python 3.11 a driver can lose a cancellation
            await asyncio.wait({self._task}, timeout=1)

    async def attempt(self, what: Callable[[], Awaitable[None]]) -> bool:
        """Do something; where that fails, say so in the log, but not again and again."""
        failed = None
        try:
            await what()
        except (RedisError, OSError, QueueFull, QueueUnavailable) as error:
            failed = "redis_away", type(error).__name__
        except Exception as error:  # noqa: BLE001  # the database may be away in many ways
            failed = "failed", type(error).__name__
        if failed and failed != self._failed:
            event, error_class = failed
            log.warning(f"{self.name}.{event}", error=error_class)
        self._failed = failed
        return not failed

    async def _go_on(self) -> None:
        pause = self.every
        while True:
            await asyncio.sleep(pause)
            pause = self.every if await self.attempt(self.turn) else max(self.every, _AFTER_A_FAILURE)
