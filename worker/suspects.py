"""Commands that may have ended their worker, or crashed their database session: each is run alone.

A process that is killed takes all that it runs with it, and one of these may be the reason. So a command
whose run ended without a word is a suspect: it runs while nothing else does in its worker, and only what
meets it then counts against it. Three times, and it is given up; its neighbours lose nothing but a moment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from .failure import Cause, Failure
from .logs import log

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.wire import Keys

    from .delivery import Delivery

MOST = 3
"""So many runs that were alone and ended without a word make a command dead."""
ALONE = "alone"
"""The reason by which runs are counted that are alone."""
_SUSPECTED = "suspected"
_LOOK, _LOOK_ELSEWHERE = 0.01, 0.1


class Suspects:
    """Lets one suspect at a time have a worker for itself.

    `claim` is told whether more commands may be claimed, `others` says how many run beside the suspects.
    """

    def __init__(self, claim: Callable[[bool], None], others: Callable[[], int]) -> None:
        self._claim, self._others = claim, others
        self._turn = asyncio.Lock()
        self._waiting, self._inside = 0, 0

    @asynccontextmanager
    async def alone(self, in_turn: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        """Wait for its turn, then until nothing else runs, and have it so while the block goes on.

        Until it is `in_turn` with the suspects of other workers, work goes on here.
        """
        self._waiting += 1
        try:
            async with in_turn, self._nothing_claimed(), self._turn:
                while self._others() > self._waiting:  # noqa: ASYNC110  # they end and tell nobody
                    await asyncio.sleep(_LOOK)
                yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _nothing_claimed(self) -> AsyncIterator[None]:
        self._inside += 1
        self._claim(False)  # noqa: FBT003
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._claim(True)  # noqa: FBT003


class Suspicions:
    """Knows of which jobs of a queue the database session has crashed, or the worker was ended."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    async def has(self, job_id: str) -> bool:
        """Whether a job is suspected."""
        reading: Any = self._redis.hexists(self._keys.failures(job_id), _SUSPECTED)
        return bool(await reading)

    async def note(self, job_id: str, *, suspected: bool) -> None:
        """Suspect a job, or no more; what was counted against it before is forgotten."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(self._keys.failures(job_id), _SUSPECTED, ALONE)
            if suspected:
                pipe.hset(self._keys.failures(job_id), _SUSPECTED, "1")
            await pipe.execute()

    @asynccontextmanager
    async def one_at_a_time(self, longest: float) -> AsyncIterator[None]:
        """Wait until no other worker is within; one killed there is out of it after `longest` seconds."""
        token, at, lives = os.urandom(8).hex(), self._keys.alone, round(longest * 1000)
        while not await self._redis.set(at, token, nx=True, px=lives):  # noqa: ASYNC110  # another process
            await asyncio.sleep(_LOOK_ELSEWHERE)
        try:
            yield
        finally:
            with suppress(RedisError, OSError):
                if await self._redis.get(at) == token.encode():
                    await self._redis.delete(at)


async def convicted(delivery: Delivery) -> Failure | None:
    """Count a run that is alone, before it begins; return why it is not begun any more, if so."""
    killed = (await delivery.count(ALONE)).count - 1
    if killed < MOST:
        log.warning("command.suspected", command_id=str(delivery.command_id), killed=killed)
        return None
    message = f"its worker, or its database session, ended {killed} times while it ran alone"
    return Failure(Cause.POISON, "poison", message, "Poison")
