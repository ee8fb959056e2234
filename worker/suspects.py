"""Commands that may have ended their worker, or crashed their database session: each is run alone.

A process that is killed takes all that it runs with it, and one of these may be the reason. So a command
whose run ended without a word is a suspect: it runs while nothing else does in its worker, and only what
meets it then counts against it. Three times, and it is given up; its neighbours lose nothing but a moment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
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
_SILENT_ENDS, _SUSPECTED_AFTER = "silent_ends", 2
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
            async with in_turn, AsyncExitStack() as stack:
                stack.enter_context(self.nothing_claimed())
                await stack.enter_async_context(self._turn)
                while self._others() > self._waiting:  # noqa: ASYNC110  # they end and tell nobody
                    await asyncio.sleep(_LOOK)
                yield
        finally:
            self._waiting -= 1

    @contextmanager
    def nothing_claimed(self) -> Iterator[None]:
        """Have the worker claim no more commands while the block goes on."""
        self._inside += 1
        self._claim(False)  # noqa: FBT003
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._claim(True)  # noqa: FBT003


class Suspicions:
    """Knows which jobs of a queue have ended their worker, or had their database session end under them.

    A session ends for many reasons: once is no reason to suspect a job, twice in a row is.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    async def has(self, job_id: str) -> bool:
        """Whether a job is suspected."""
        reading: Any = self._redis.hget(self._keys.failures(job_id), _SILENT_ENDS)
        return int(await reading or 0) >= _SUSPECTED_AFTER

    async def suspect(self, job_id: str) -> None:
        """Suspect a job from now on."""
        noting: Any = self._redis.hset(self._keys.failures(job_id), _SILENT_ENDS, str(_SUSPECTED_AFTER))
        await noting

    async def note_crash(self, job_id: str) -> None:
        """Count an end of its session."""
        noting: Any = self._redis.hincrby(self._keys.failures(job_id), _SILENT_ENDS, 1)
        await noting

    async def clear(self, job_id: str) -> None:
        """Forget all that is held against a job: a run of it ended in words."""
        noting: Any = self._redis.hdel(self._keys.failures(job_id), _SILENT_ENDS, ALONE)
        await noting

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
