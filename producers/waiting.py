"""Waiting for the answer of a command: a message tells it, and in case that it was lost one looks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from .answers import Answers
from .connection import understood
from .errors import CommandDead, CommandParked, ResultExpired, ResultTimeout, Unsent
from .lanes import parked_before
from .wire import Answer, Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
_LOOK_AGAIN = 5.0
_ONE_LOOK, _LAST_LOOK = 0.1, 0.5
_FOR_EVER, _UNKNOWN = -1, -2
"""What PTTL says of the mark of a command that has not ended yet, and of one that never came."""


class Waiting:
    """Waits for answers in one queue."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys, self._answers = redis, keys, Answers(redis)

    async def close(self) -> None:
        """Close the connection by which messages come."""
        await self._answers.close()

    async def answer(self, command_id: UUID, timeout: float | None, *, will_come: bool = False) -> Answer:
        """Wait at most `timeout` seconds, or for ever; also for a command that `will_come` by an outbox.

        Raises CommandParked and CommandDead, ResultTimeout, ResultExpired, QueueUnavailable.
        """
        try:
            async with asyncio.timeout(None if timeout is None else max(timeout, _ONE_LOOK)):
                return await self._answer(command_id, will_come=will_come)
        except TimeoutError:
            await self._not_parked(command_id)
            message = f"no answer within {timeout} s; the command goes on"
            raise ResultTimeout(message, command_id=command_id) from None

    async def _answer(self, command_id: UUID, *, will_come: bool) -> Answer:
        result, pause = self._keys.result(command_id), _FIRST_PAUSE
        while True:
            async with understood(), self._answers.listening(result) as channel:
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.get(result)
                    pipe.pttl(self._keys.mark(command_id))
                    raw, life = await pipe.execute()
                if raw is None and life != _FOR_EVER and not (will_come and life == _UNKNOWN):
                    raise ResultExpired(command_id=command_id)
                raw = raw or await channel.heard(_LOOK_AGAIN)
                if (
                    raw is None and not channel.message.done()
                ):  # else the connection is lost, or the client closed
                    await self._not_parked(command_id)
            if raw is not None:
                return Answer.decode(raw)
            if channel.message.done():  # the connection was lost, or is refused
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _not_parked(self, command_id: UUID) -> None:
        """Raise CommandParked where a dead command keeps it waiting, CommandDead where it is that one."""
        dead = None
        with suppress(Unsent):
            async with understood(), asyncio.timeout(_LAST_LOOK):
                dead = await parked_before(self._redis, self._keys, command_id)
        if dead == command_id:
            raise CommandDead(command_id=command_id)
        if dead is not None:
            message = f"it waits behind command {dead}, which is dead; replay or drop that one"
            raise CommandParked(message, command_id=command_id)
