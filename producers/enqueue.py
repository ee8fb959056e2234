"""Batches of commands on their way into the queue: a call of enqueue.lua each, and what Redis says to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .connection import understood
from .durability import Confirmation
from .errors import QueueFull, Unsent
from .headroom import Headroom
from .lanes import with_lanes
from .ledger import ACCEPTED, REFUSED, SENT, Ledger
from .signing import Signing

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .sending import Sending
    from .settings import QueueSettings
    from .wire import Keys

SCRIPT = with_lanes(Path(__file__).with_name("enqueue.lua").read_text())
_REFUSALS = {
    b"full": ("queue_full", "{0.max} commands wait already (QUEUE_MAX); none of these was accepted"),
    b"lane_full": (
        "lane_full",
        "more than {0.lane_max} (QUEUE_LANE_MAX) commands of one row would wait; none of these was accepted",
    ),
    b"draining": (
        "queue_draining",
        "the queue is being drained, and none of these was accepted; send again after `worker queue resume`",
    ),
}


class Said(NamedTuple):
    """What Redis says of each command ("accepted", "duplicate", "conflict"), and whether they are safe."""

    statuses: list[str]
    is_confirmed: bool


class Enqueue:
    """Hands batches to one queue; with a `ledger`, the ids of writes are put down."""

    def __init__(self, redis: Redis, keys: Keys, settings: QueueSettings, ledger: Ledger | None) -> None:
        self._redis, self._settings, self._ledger = redis, settings, ledger
        self._at, self._signing = [keys.queue, keys.bell], Signing.of(settings)
        self.script = redis.register_script(SCRIPT)
        self.headroom = Headroom(redis, settings.headroom)
        self.confirmation = Confirmation(redis, settings.durability, keys.written, settings.redis_timeout)

    async def __call__(self, batch: Sequence[Sending], *, again: bool = False) -> Said:
        """Hand a batch over; `again`, a replay, is let in however full it is.

        Raises QueueFull and QueueUnavailable: nothing of it was accepted, or nobody knows.
        """
        limits = self._settings.max, self._settings.lane_max
        most, in_lane = ("" if limit is None else str(limit) for limit in limits)
        arguments = [most, os.urandom(8).hex(), in_lane]
        for sending in batch:
            arguments += sending.arguments(self._signing)
        self._put_down(SENT, batch)
        try:
            async with understood(), asyncio.timeout(self._settings.redis_patience):
                if not again:
                    await self.headroom.check()
                reply, is_confirmed = await self._say(arguments)
            if isinstance(reply, bytes):
                code, message = _REFUSALS[reply]
                raise QueueFull(message.format(self._settings), code=code)
        except Unsent as error:
            if isinstance(error, QueueFull):
                self._put_down(REFUSED, batch)
            if len(batch) == 1:
                error.command_id, error.command = batch[0].command_id, batch[0].command
            raise
        statuses = [word.decode() for word in reply]
        if self._ledger is not None:
            self._put_down_answers(batch, statuses)
        return Said(statuses, is_confirmed)

    async def _say(self, arguments: list[str]) -> tuple[Any, bool]:
        """Call the script; return its reply, and whether Redis confirms it, if that is asked for."""
        if not self.confirmation.is_wanted:
            return await self.script(keys=self._at, args=arguments), True
        await self.confirmation.ensure()
        async with self._redis.pipeline(transaction=False) as pipe:
            self.confirmation.note(pipe)
            await self.script(keys=self._at, args=arguments, client=pipe)
            self.confirmation.ask(pipe)
            noted, reply, confirmed = await pipe.execute(raise_on_error=False)
        if isinstance(reply, Exception):
            raise reply
        return reply, not isinstance(noted, Exception) and self.confirmation.is_given(confirmed)

    def _put_down(self, word: str, batch: Iterable[Sending]) -> None:
        """Write the ids of writes into the ledger: a read has no ending to be looked for."""
        if self._ledger is not None:
            self._ledger.write(word, [one.command_id for one in batch if not one.command.read_only])

    def _put_down_answers(self, batch: Sequence[Sending], statuses: Sequence[str]) -> None:
        pairs = [*zip(batch, statuses, strict=True)]
        with suppress(OSError):  # the disk is full: then it is one without an answer
            self._put_down(ACCEPTED, [sending for sending, status in pairs if status != "conflict"])
            self._put_down(REFUSED, [sending for sending, status in pairs if status == "conflict"])
