"""Whether this Redis still knows what it was told; where it does not, it is told again.

An epoch is a word that we leave in Redis, and the process of Redis that has it. Where it is another one than
was written down in the table `relays`, something may be lost: with everything, with its last seconds, or with
a server whose place a replica has taken.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from redis.exceptions import ResponseError
from sqlalchemy import select, update

from producers.lanes import begun_with
from producers.wire import Keys

from .body import Body
from .deposits import parks_when_dead
from .lanes import script
from .logs import log
from .outbox import OutboxRows
from .upserts import insert_or_nothing

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncSession

    from .app import App

_PAGE, _STEP = 200, 5000
_EPOCH = Path(__file__).with_name("epoch.lua").read_text()


def only_there(script: str) -> str:
    """Have a script do nothing in a Redis of another epoch."""
    return begun_with(_EPOCH, script)


class Epoch(NamedTuple):
    """What a Redis is known by; `process` is "" where it does not say."""

    word: str
    process: str

    def __str__(self) -> str:
        return f"{self.word}:{self.process}"


class Epochs:
    """The epoch of one queue, and what is done where it is over."""

    def __init__(self, app: App, redis: Redis) -> None:
        self._app, self._redis, self._keys = app, redis, Keys(app.queue.name)
        self._outbox, self._relays = OutboxRows(app.tables, app.queue.name), app.tables.relays
        self._mine = self._relays.c.queue == app.queue.name
        self._park = redis.register_script(script("park").text)
        self._begin = redis.register_script(Path(__file__).with_name("begin_epoch.lua").read_text())
        self.known: Epoch | None = None

    @property
    def key(self) -> str:
        """Where Redis has its word."""
        return self._keys.epoch

    async def current(self, leads: Callable[[], Awaitable[bool]]) -> Epoch | None:
        """Ask Redis for its epoch; where that is not the one that is written down, restore it first.

        None where it could not be restored to the end: because this process no longer `leads`, or Redis has
        lost something meanwhile.
        """
        found = await self._found()
        if not await self._is_written(found):
            await self._restore(found, leads)
        return self.known

    async def adopt(self) -> None:
        """Find out the epoch, if it is not known: as soon as another process has restored what was lost."""
        if self.known is None:
            await self._is_written(await self._found())

    def words(self, *, ask: bool) -> list[str]:
        """Say to epoch.lua what this process knows; to `ask` which process of Redis it is takes a while."""
        return [self.known.word, self.known.process if ask else ""] if self.known else ["", ""]

    def forget(self) -> None:
        """Take it that this Redis may be another one: it is asked, and the database."""
        self.known = None

    async def holds(self, session: AsyncSession, epoch: Epoch) -> bool:
        """Whether an epoch is still the one that is written down; it stays so until the transaction ends."""
        if await self._read(session, lock=True) == str(epoch):
            return True
        self.forget()
        return False

    async def end(self, session: AsyncSession) -> None:
        """Write down that there is none: it is restored before anything more is published."""
        await session.execute(update(self._relays).where(self._mine).values(epoch=""))
        self.forget()

    async def _found(self) -> Epoch:
        word = await self._redis.get(self._keys.epoch)
        try:
            process = (await self._redis.info("server")).get("run_id", "")
        except ResponseError:  # some hosted services have no INFO
            process = ""
        return Epoch(word.decode() if word else "", process)

    async def _is_written(self, found: Epoch) -> bool:
        if found != self.known:
            async with self._app.transaction(read_only=True) as session:
                self.known = found if await self._read(session) == str(found) else None
        return self.known is not None

    async def _read(self, session: AsyncSession, *, lock: bool = False) -> str:
        known = select(self._relays.c.epoch).where(self._mine)
        found = await session.execute(known.with_for_update() if lock else known)
        return found.scalar_one_or_none() or ""

    async def _restore(self, found: Epoch, leads: Callable[[], Awaitable[bool]]) -> None:
        """Have Redis know of the dead that hold lanes, and all rows be published anew, in their order.

        Nobody notes meanwhile what was published before. Where Redis loses something again, or this process
        is killed or no longer `leads`, the epoch is not written down, and all of it is done once more.
        """
        if not await leads():
            return
        now = Epoch(os.urandom(8).hex(), found.process)
        async with self._app.transaction() as session:
            await insert_or_nothing(session, self._relays, {"queue": self._keys.queue, "owner": ""})
            was_known = await self._read(session)
            await self.end(session)
        await self._begin(keys=[self._keys.epoch], args=[now.word])
        parked = 0
        async for some in self._park_the_dead():
            parked += some
            if not await leads():
                return
        after: int | None = 0
        while after is not None:
            async with self._app.transaction() as session:
                after = await self._outbox.mark_unpublished(session, after, _STEP)
            if not await leads():
                return
        if await self._found() != now:
            return
        async with self._app.transaction() as session:
            await session.execute(update(self._relays).where(self._mine).values(epoch=str(now)))
        if was_known:
            log.warning("relay.restored", parked=parked)
        self.known = now

    async def _park_the_dead(self) -> AsyncIterator[int]:
        """Park them, a page at a time; give how many there were."""
        letters, endings = self._app.tables.dead_letters, self._app.tables.processed_commands
        shown = (
            letters.c.command_id,
            letters.c.generation,
            letters.c.body,
            letters.c.kind,
            letters.c.accepted_at,
        )
        dead = (
            select(*shown, endings.c.fingerprint, endings.c.generation.label("died_in"))
            .join(endings, endings.c.command_id == letters.c.command_id)
            .where(letters.c.queue == self._keys.queue, endings.c.ending == "dead")
            .where(letters.c.state.in_(("dead", "retrying")))
            .order_by(letters.c.command_id)
            .limit(_PAGE)
        )
        after = UUID(int=0)
        while True:
            async with self._app.transaction(read_only=True) as session:
                rows = (await session.execute(dead.where(letters.c.command_id > after))).all()
            arguments: list[str | int] = []
            for row in rows:
                if (lanes := Body.known(row.body).lanes) and parks_when_dead(self._app.registry, row.kind):
                    accepted = 0 if row.accepted_at is None else round(row.accepted_at.timestamp() * 1000)
                    about = [str(row.command_id), row.died_in, row.generation, row.fingerprint, accepted]
                    arguments += [*about, len(lanes), *lanes]
            if arguments:
                yield await self._park(keys=[self._keys.queue, self._keys.bell], args=arguments)
            if len(rows) < _PAGE:
                return
            after = rows[-1].command_id
