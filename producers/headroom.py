"""Room that sends leave free in Redis: workers need some to finish what waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from redis.exceptions import ResponseError

from .errors import QueueFull

if TYPE_CHECKING:
    from redis.asyncio import Redis

_EVERY = 1.0


class Headroom:
    """Refuses to fill Redis to the brim; it is asked once a second."""

    def __init__(self, redis: Redis, share: float) -> None:
        self._redis, self._share = redis, share
        self.checked = -_EVERY

    async def check(self) -> None:
        """Raise QueueFull where less than its share of Redis's maxmemory is free."""
        if time.monotonic() - self.checked < _EVERY:
            return
        try:
            memory = await self._redis.info("memory")
        except ResponseError:  # fakeredis and some hosted services have no INFO
            memory = {}
        most, used = memory.get("maxmemory", 0), memory.get("used_memory", 0)
        if most and used > most * (1 - self._share):
            message = f"Redis uses {used} of {most} bytes; QUEUE_HEADROOM keeps {self._share:.0%} free"
            raise QueueFull(message, code="redis_full")
        self.checked = time.monotonic()
