"""What a worker process does again and again beside its work."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ClassVar

from .logs import log

_AFTER_A_FAILURE = 1.0


class Chore(ABC):
    """Something that is done every so many seconds; where it fails, the next time again."""

    name: ClassVar[str]
    """It begins the names of its events in the log."""
    every: ClassVar[float]

    _task: asyncio.Task[None] | None = None
    _failed = ""

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

    async def attempt(self, what: Callable[[], Awaitable[object]]) -> bool:
        """Do something; where that fails, say so in the log, but not again and again."""
        failed = ""
        try:
            await what()
        except Exception as error:  # noqa: BLE001  # Redis and the database may be away in many ways
            failed = type(error).__name__
        if failed and failed != self._failed:
            log.warning(f"{self.name}.failed", error=failed)
        elif self._failed and not failed:
            log.info(f"{self.name}.works_again")
        self._failed = failed
        return not failed

    async def _go_on(self) -> None:
        pause = self.every
        while True:
            await asyncio.sleep(pause)
            pause = self.every if await self.attempt(self.turn) else max(self.every, _AFTER_A_FAILURE)
