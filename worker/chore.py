"""What a worker process does again and again beside its work."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ClassVar

from redis.exceptions import RedisError

from producers.errors import QueueFull, QueueUnavailable

from .logs import log


class Chore(ABC):
    """Something that is done every so many seconds; where it fails, the next time again."""

    name: ClassVar[str]
    """It begins the names of its events in the log."""
    every: ClassVar[float]

    _task: asyncio.Task[None] | None = None

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

    async def attempt(self, what: Callable[[], Awaitable[None]]) -> None:
        """Do something; where that fails, say so in the log, and no more."""
        try:
            await what()
        except (RedisError, OSError, QueueFull, QueueUnavailable) as error:
            log.info(f"{self.name}.redis_away", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001  # the database may be away in many ways
            log.warning(f"{self.name}.failed", error=type(error).__name__)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self.every)
            await self.attempt(self.turn)
