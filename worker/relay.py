"""Hands the outbox to the queue: from rows that are committed to jobs in Redis, in the order of their ids.

One process of a queue does it (leader.py); two at once are harmless, since Redis takes a command once. A row
stays until its command has ended: so a Redis that lost something is given it again (epochs.py).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from producers.enqueue import SCRIPT as ENQUEUE
from producers.headroom import Headroom
from producers.sending import Sending
from producers.signing import Signing
from producers.wire import Envelope, Keys

from .body import json_of, written
from .chore import Chore
from .dead_letters import write_conflict
from .delivery import Delivery, Failures
from .deposits import Deposits, Told
from .epochs import only_there
from .logs import log
from .outbox import OutboxRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis
    from sqlalchemy import Row

    from .app import App
    from .epochs import Epoch, Epochs
    from .leader import Leader

_BATCH, _PAGE = 200, 1000
_BATCHES = 10
"""Most batches of one turn: the lease is renewed between turns."""
_LOOKED_EVERY, _OLD, _BETWEEN, _PATIENCE = 1.0, 10.0, 0.05, 15.0


class Relay(Chore):
    """Publishes the outbox of one queue, every fifth of a second."""

    name = "relay"
    every = 0.2

    def __init__(self, app: App, redis: Redis, leader: Leader, epochs: Epochs) -> None:
        self._app, self._redis, self._keys = app, redis, Keys(app.queue.name)
        self._outbox = OutboxRows(app.tables, app.queue.name)
        self._deposits = Deposits(redis, app.queue)
        self._signing = Signing.of(app.queue)
        self._headroom = Headroom(redis, app.queue.headroom)
        self._publish = redis.register_script(only_there(ENQUEUE))
        self._leader, self._epochs = leader, epochs
        self._looked_at, self._after = 0.0, 0
        self._unreadable: set[int] = set()

    async def turn(self) -> None:
        """Publish what is new, if it is this process that does; look after what was published."""
        if not await self._leader.leads():
            await self._epochs.adopt()
            return
        await self.publish()
        if time.monotonic() - self._looked_at >= _LOOKED_EVERY:
            self._looked_at = time.monotonic()
            await self._look_after()

    async def publish_all(self) -> None:
        """Have all be published that is new: by this process, or in a while by the one that leads.

        Where that comes to nothing for 15 s, as with a Redis that is another one all the time, what is left
        waits for the next turns.
        """
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if await self._leader.leads():
                if await self.publish():
                    until = time.monotonic() + _PATIENCE
                elif self._epochs.known is not None:
                    return
            else:
                await self._epochs.adopt()
                async with self._app.transaction(read_only=True) as session:
                    left = await self._outbox.unpublished(session, 1, without=self._unreadable)
                if not left and self._epochs.known is not None:
                    return
            await asyncio.sleep(_BETWEEN)
        log.warning("relay.unfinished", see="python -m worker status")

    async def publish(self) -> bool:
        """Publish what is new; return whether there may be more."""
        epoch = await self._epochs.current(self._leader.leads)
        if epoch is None:
            return False
        for _ in range(_BATCHES):
            if await self._publish_some(epoch) < _BATCH:
                return False
        return True

    async def stop(self) -> None:
        """Let another process do it."""
        await super().stop()
        await self._leader.resign()

    async def _publish_some(self, epoch: Epoch) -> int:
        """Publish the first rows that are new; return how many there were.

        QUEUE_MAX does not hold them up: they are accepted already.
        """
        async with self._app.transaction(read_only=True) as session:
            rows = await self._outbox.unpublished(session, _BATCH, without=self._unreadable)
        sendings = {row: sending for row in rows if (sending := self._read(row)) is not None}
        if not sendings:
            return 0
        await self._headroom.check()
        arguments = ["", "", ""]
        for sending in sendings.values():
            arguments += sending.arguments(self._signing)
        keys = [self._keys.queue, self._keys.bell, self._keys.epoch]
        reply = await self._publish(keys=keys, args=[*arguments, epoch.word, epoch.process])
        if reply == b"draining":  # the rows stay, and are published once the queue is resumed
            return 0
        if reply == b"lost" or not await self._note(epoch, sendings, [word.decode() for word in reply]):
            self._epochs.forget()
            return 0
        return len(rows)

    def _read(self, row: Row[Any]) -> Sending | None:
        """Read a row; one that this code cannot read stays: newer code may have written it."""
        try:
            return Sending.read(row.command_id, row.sending, row.written_at)
        except (ValueError, LookupError, TypeError) as error:
            self._unreadable.add(row.id)
            log.error("relay.unreadable", outbox_id=row.id, command_id=str(row.command_id), error=str(error))
            return None

    async def _note(self, epoch: Epoch, sendings: Mapping[Row[Any], Sending], replies: Sequence[str]) -> bool:
        """Write down what Redis said; a command whose id was used before for another ends as rejected.

        Where Redis has lost something since, what it said is worth nothing: False.
        """
        async with self._app.transaction() as session:
            if not await self._epochs.holds(session, epoch):
                return False
            refused = []
            for (row, sending), reply in zip(sendings.items(), replies, strict=True):
                if reply == "conflict":
                    delivery = _delivery(self._keys.queue, sending)
                    await write_conflict(session, self._app.tables, delivery)
                    refused.append(row.id)
            if refused:
                await self._outbox.remove(session, refused)
            await self._outbox.mark(session, [row.id for row in sendings])
        return True

    async def _look_after(self) -> None:
        """Forget rows whose commands have ended; where Redis knows nothing of one, restore all."""
        async with self._app.transaction(read_only=True) as session:
            rows = await self._outbox.published(session, self._after, _PAGE)
        old = [row for row in rows if not row.has_ended and row.age > _OLD]
        async with self._redis.pipeline(transaction=False) as pipe:
            for row in old:
                pipe.zscore(self._keys.queue, self._keys.job_id(row.command_id))
            scores = await pipe.execute() if old else []
        ended = [row.id for row in rows if row.has_ended]
        gone = [row.id for row, score in zip(old, scores, strict=True) if score is None]
        lost: list[UUID] = []
        if ended or gone:
            async with self._app.transaction() as session:
                await self._outbox.forget(session, ended)
                lost = await self._outbox.not_ended(session, gone)
                if lost:
                    await self._epochs.end(session)
        if lost:
            log.warning("relay.lost", commands=len(lost))
            told = [Told(one, 0, self._keys.job_id(one), "", "leaves") for one in lost]
            await self._deposits.tell(told)  # what is left of it in its lanes
            await self._redis.delete(*map(self._keys.mark, lost))
        self._after = rows[-1].id if len(rows) == _PAGE else 0


def _delivery(queue: str, sending: Sending) -> Delivery:
    """Say of a command what a worker would, had it come by Redis."""
    body = written(sending.envelope)

    async def count(_reason: str) -> Failures:
        return Failures(0, 0)

    envelope = Envelope.decode(json_of(sending.envelope.encode()))
    return Delivery(sending.command_id, queue, body, envelope, count)
