"""The sign of life of a worker process: a key in Redis that says who it is and what it does.

In the same round trip goes what it has finished since the last one.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from .logs import log

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.wire import Keys

    from .monitoring.statistics import Statistics

_EVERY = 3
_TTL = 9
_FORGET = 3600
FAREWELL = 2.0
"""Seconds for the last words to Redis, which may be the reason for the end."""

About = Callable[[], Mapping[str, Any]]
"""Says what else is to be known of a process."""


class Presence:
    """Tells Redis every few seconds that this process is there; counts what it runs."""

    def __init__(self, redis: Redis, keys: Keys, slots: int, statistics: Statistics, about: About) -> None:
        self.redis, self.slots, self.statistics, self.about = redis, slots, statistics, about
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.key, self.names = keys.worker(self.name), keys.workers
        self.stopping = False
        self.active = 0
        self.finished = 0
        self._started = time.time()
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        """Count a command as running while it is within."""
        self.active += 1

    def __exit__(self, *_: object) -> None:
        self.active -= 1

    def start(self) -> None:
        """Begin to tell."""
        self._task = asyncio.create_task(self._tell_on())

    async def stop(self) -> None:
        """Stop telling, and say that the process is gone."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # more than once: with Python 3.11 redis-py can lose a cancellation
            await asyncio.wait({self._task}, timeout=1)
        with suppress(RedisError, OSError):
            async with asyncio.timeout(FAREWELL), self.redis.pipeline(transaction=True) as pipe:
                pipe.delete(self.key)
                pipe.zrem(self.names, self.name)
                self.statistics.say(pipe)
                await pipe.execute()

    async def _tell_on(self) -> None:
        while True:
            try:
                await self._tell()
            except (RedisError, OSError) as error:
                log.warning("worker.redis_away", error=type(error).__name__)
            await asyncio.sleep(_EVERY)

    async def _tell(self) -> None:
        now = time.time()
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.set(self.key, json.dumps(self._state()), ex=_TTL)
            pipe.zadd(self.names, {self.name: now})
            pipe.zremrangebyscore(self.names, "-inf", now - _FORGET)
            finished = self.statistics.say(pipe)
            await pipe.execute()
        self.statistics.said(finished)

    def _state(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "slots": self.slots,
            "running": self.active,
            "finished": self.finished,
            "started_at": round(self._started),
            "stopping": self.stopping,
            **self.about(),
        }
