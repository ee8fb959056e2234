"""Whether a worker process makes progress.

That is that the event loop turns, and that the engine looks for what there is to do: it does so every
second, also with all slots taken. While it asks Redis it may take as long as its time-outs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

_TURN = 0.5
PATIENCE = 8.0
"""Seconds without progress after which a process has stopped: it is told within ten."""


class Progress:
    """Sees whether one process makes progress; an answer of Redis may take `redis_timeout` seconds."""

    def __init__(self, redis_timeout: float) -> None:
        self.at_work = False
        self._answers = PATIENCE + 3 * redis_timeout  # a connection, its greeting, a word
        self._turned = self._looked = time.monotonic()
        self._asking = self._ended = False

    def begin(self) -> None:
        """Watch the running event loop from now on."""
        self._turned = time.monotonic()
        asyncio.get_running_loop().call_later(_TURN, self.begin)

    async def look(self, step: Callable[[], Awaitable[None]]) -> None:
        """Go one step of the engine's: it looks for what there is to do, and may ask Redis."""
        self._looked, self._asking, self.at_work = time.monotonic(), True, not self._ended
        await step()
        self._looked, self._asking = time.monotonic(), False

    def end(self) -> None:
        """Hear that the engine takes no more work: it ends what it has, in a time that has its own limit."""
        self.at_work, self._ended = False, True

    @property
    def idle(self) -> float:
        """Seconds without progress."""
        return time.monotonic() - (min(self._turned, self._looked) if self.at_work else self._turned)

    @property
    def stopped(self) -> str:
        """What stands still, and how to mend it; "" where it makes progress."""
        now = time.monotonic()
        if now - self._turned > PATIENCE:
            return f"its event loop has stood still for {now - self._turned:.0f} s: {_BLOCKED}"
        if self.at_work and now - self._looked > (self._answers if self._asking else PATIENCE):
            return f"its engine has not looked at the queue for {now - self._looked:.0f} s: restart it"
        return ""


_BLOCKED = "a handler blocks it, with time.sleep or the like; restart it, and see docs/runbooks.md"
