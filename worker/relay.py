"""Hands the outbox to the queue: from rows that are committed to jobs in Redis, in the order of their ids.

One process of a queue does it, by a lease in the table `relays`; two at once are harmless, since Redis takes
a command once. A row stays until its command has ended. So a Redis that lost something is given it again:
where the epoch is another one than before, or Redis knows nothing of a row: all rows, in their order, and
before them the dead commands that hold lanes.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from redis.exceptions import ResponseError
from sqlalchemy import select, update

from producers.client import SCRIPT as ENQUEUE
from producers.headroom import Headroom
from producers.sending import Sending
from producers.wire import Envelope, Keys

from .chore import Chore
from .dead_letters import write_conflict
from .delivery import Delivery, Failures
from .deposits import Deposits, Told, parks_when_dead
from .lanes import script
from .logs import log
from .outbox import Outbox
from .replay import lanes_of
from .types import utcnow
from .upserts import changed, insert_or_nothing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .app import App

_BATCH, _PAGE, _STEP = 200, 1000, 5000
_BATCHES = 10
"""Most batches of one turn: the lease is renewed between turns."""
_LEASE, _RENEWED_EVERY = 6.0, 2.0
_LOOKED_EVERY, _OLD = 1.0, 10.0


class _Epoch(NamedTuple):
    """What a Redis is known by: a word that we leave there, and its process, "" where it does not say."""

    word: str
    process: str

    def __str__(self) -> str:
        return f"{self.word}:{self.process}"


class Relay(Chore):
    """Publishes the outbox of one queue, every fifth of a second."""

    name = "relay"
    every = 0.2

    def __init__(self, app: App, redis: Redis) -> None:
        self._app, self._redis, self._keys = app, redis, Keys(app.queue.name)
        self._outbox = Outbox(app.tables, app.queue.name)
        self._deposits = Deposits(redis, app.queue)
        self._headroom = Headroom(redis, app.queue.headroom)
        guard = Path(__file__).with_name("published.lua").read_text()
        self._publish = redis.register_script(guard + ENQUEUE)
        self._park = redis.register_script(script("park").text)
        self._me = os.urandom(8).hex()
        self._leads, self._asked_at = False, 0.0
        self._epoch = ""
        self._looked_at, self._after = 0.0, 0
        self._unreadable: set[int] = set()

    async def turn(self) -> None:
        """Publish what is new, if it is this process that does; look after what was published."""
        if not await self._is_leader():
            return
        await self.publish()
        if time.monotonic() - self._looked_at >= _LOOKED_EVERY:
            self._looked_at = time.monotonic()
            await self._look_after()

    async def publish_all(self) -> None:
        """Publish until nothing is new."""
        while await self.publish():
            pass

    async def publish(self) -> bool:
        """Publish what is new; before that, if this Redis is not the one of before, all that there is.

        Returns whether there may be more.
        """
        found = await self._found()
        if str(found) != self._epoch:
            self._epoch = await self._known()  # another process may have restored it
            if str(found) != self._epoch:
                found = await self._restore(found)
        for _ in range(_BATCHES):
            if await self._publish_some(found) < _BATCH:
                return False
        return True

    async def stop(self) -> None:
        """Let another process do it."""
        await super().stop()
        if self._leads:
            table = self._app.tables.relays
            with suppress(Exception):  # its lease ends by itself
                async with self._app.transaction() as session:
                    await session.execute(update(table).where(table.c.owner == self._me).values(owner=""))

    # Who does it

    async def _is_leader(self) -> bool:
        """Renew the lease, or take it where it is free; asked again after a while."""
        if time.monotonic() - self._asked_at < _RENEWED_EVERY:
            return self._leads
        table, queue = self._app.tables.relays, self._keys.queue
        async with self._app.transaction() as session:
            now = utcnow()
            row = (await session.execute(select(table, now).where(table.c.queue == queue))).one_or_none()
            if row is None:
                self._leads = await insert_or_nothing(session, table, {"queue": queue, "owner": self._me})
            elif row.owner not in {"", self._me} and (row[-1] - row.seen_at).total_seconds() < _LEASE:
                self._leads = False
            else:
                as_seen = (table.c.queue == queue, table.c.owner == row.owner, table.c.seen_at == row.seen_at)
                taking = update(table).where(*as_seen).values(owner=self._me, seen_at=now)
                self._leads = await changed(session, taking)
        self._asked_at = time.monotonic()
        return self._leads

    # To which Redis

    async def _found(self) -> _Epoch:
        """Ask Redis who it is."""
        word = await self._redis.get(self._keys.epoch)
        try:
            process = (await self._redis.info("server")).get("run_id", "")
        except ResponseError:  # some hosted services have no INFO
            process = ""
        return _Epoch(word.decode() if word else "", process)

    async def _known(self) -> str:
        """Tell the Redis to which was published last."""
        table = self._app.tables.relays
        async with self._app.transaction(read_only=True) as session:
            known = select(table.c.epoch).where(table.c.queue == self._keys.queue)
            return (await session.execute(known)).scalar_one_or_none() or ""

    async def _restore(self, found: _Epoch) -> _Epoch:
        """Have Redis know of the dead that hold lanes; publish all rows anew, in their order.

        Nobody publishes meanwhile, or notes what was published before. Where Redis loses something again, or
        this process is killed, the epoch is not written down, and all of it is done once more.
        """
        now = _Epoch(os.urandom(8).hex(), found.process)
        async with self._app.transaction() as session:
            await insert_or_nothing(
                session, self._app.tables.relays, {"queue": self._keys.queue, "owner": ""}
            )
            await self._write_down(session, "")
        await self._redis.set(self._keys.epoch, now.word)
        parked = await self._park_the_dead()
        after: int | None = 0
        while after is not None:
            async with self._app.transaction() as session:
                after = await self._outbox.mark_unpublished(session, after, _STEP)
        if await self._found() != now:
            return await self._found()
        async with self._app.transaction() as session:
            await self._write_down(session, str(now))
        if self._epoch:
            log.warning("relay.restored", parked=parked)
        self._epoch = str(now)
        return now

    async def _write_down(self, session: AsyncSession, epoch: str) -> None:
        table = self._app.tables.relays
        mine = update(table).where(table.c.queue == self._keys.queue)
        await session.execute(mine.values(epoch=epoch))

    async def _park_the_dead(self) -> int:
        letters, endings = self._app.tables.dead_letters, self._app.tables.processed_commands
        shown = letters.c.command_id, letters.c.generation, letters.c.body, letters.c.kind
        dead = (
            select(*shown, endings.c.fingerprint, endings.c.generation.label("ended_in"))
            .join(endings, endings.c.command_id == letters.c.command_id)
            .where(letters.c.queue == self._keys.queue, endings.c.ending == "dead")
            .where(letters.c.state.in_(("dead", "retrying")))
            .order_by(letters.c.command_id)
            .limit(_BATCH)
        )
        parked, after = 0, UUID(int=0)
        while True:
            async with self._app.transaction(read_only=True) as session:
                rows = (await session.execute(dead.where(letters.c.command_id > after))).all()
            arguments: list[str | int] = []
            for row in rows:
                if (lanes := lanes_of(row.body)) and parks_when_dead(self._app.registry, row.kind):
                    about = [str(row.command_id), row.ended_in, row.generation, row.fingerprint]
                    arguments += [*about, len(lanes), *lanes]
            if arguments:
                parked += await self._park(keys=[self._keys.queue, self._keys.bell], args=arguments)
            if len(rows) < _BATCH:
                return parked
            after = rows[-1].command_id

    # What is published

    async def _publish_some(self, epoch: _Epoch) -> int:
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
            arguments += sending.arguments()
        keys = [self._keys.queue, self._keys.bell, self._keys.epoch]
        reply = await self._publish(keys=keys, args=[*arguments, epoch.word, epoch.process])
        if reply == b"lost":
            return 0
        await self._note(epoch, sendings, [word.decode() for word in reply])
        return len(rows)

    def _read(self, row: Row[Any]) -> Sending | None:
        """Read a row; one that this code cannot read stays: newer code may have written it."""
        try:
            return Sending.read(row.command_id, row.sending, row.written_at)
        except (ValueError, LookupError, TypeError) as error:
            self._unreadable.add(row.id)
            log.error("relay.unreadable", outbox_id=row.id, command_id=str(row.command_id), error=str(error))
            return None

    async def _note(
        self, epoch: _Epoch, sendings: Mapping[Row[Any], Sending], replies: Sequence[str]
    ) -> None:
        """Write down what Redis said; a command whose id was used before for another ends as rejected.

        Where Redis has lost something since, what it said is worth nothing.
        """
        table = self._app.tables.relays
        async with self._app.transaction() as session:
            known = select(table.c.epoch).where(table.c.queue == self._keys.queue).with_for_update()
            if (await session.execute(known)).scalar_one_or_none() != str(epoch):
                return
            refused = []
            for (row, sending), reply in zip(sendings.items(), replies, strict=True):
                if reply == "conflict":
                    delivery = _delivery(self._keys.queue, sending)
                    await write_conflict(session, self._app.tables, delivery)
                    refused.append(row.id)
            if refused:
                await self._outbox.remove(session, refused)
            await self._outbox.mark(session, [row.id for row in sendings])

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
                    await self._write_down(session, "")
        if lost:
            log.warning("relay.lost", commands=len(lost))
            told = [Told(one, 0, self._keys.job_id(one), "", "leaves") for one in lost]
            await self._deposits.tell(told)  # what is left of it in its lanes
            await self._redis.delete(*map(self._keys.mark, lost))
            self._epoch = ""
        self._after = rows[-1].id if len(rows) == _PAGE else 0


def _delivery(queue: str, sending: Sending) -> Delivery:
    """Say of a command what a worker would, had it come by Redis."""
    body = f'{{"t":null,"f":"execute","k":{{}},"a":[{sending.envelope},{{}}],"et":0}}'.encode()

    async def count(_reason: str) -> Failures:
        return Failures(0, 0)

    envelope = Envelope.decode(json.loads(sending.envelope))
    return Delivery(sending.command_id, queue, body, envelope, count)
