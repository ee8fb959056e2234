"""Publishes the feed: from rows that are committed to a stream of Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from producers.wire import Keys

from .chore import Chore
from .epochs import only_there
from .feed import FeedRows

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy import Row

    from .app import App
    from .epochs import Epoch, Epochs
    from .leader import Leader

_BATCH, _BATCHES, _STEP = 500, 10, 5000
_FORGETS_EVERY, _FORGOTTEN = 5.0, 20_000


class Feeder(Chore):
    """Publishes the feed of one queue, every fifth of a second, in the process that leads.

    At least once: one that is killed before it notes what it has published publishes it again. To a Redis of
    another epoch, which the relay finds out, it tells again what was told a while ago.
    """

    name = "feed"
    every = 0.2

    def __init__(self, app: App, redis: Redis, leader: Leader, epochs: Epochs) -> None:
        self._app, self._leader, self._epochs = app, leader, epochs
        self._keys, self._rows = Keys(app.queue.name), FeedRows(app.tables, app.queue.name)
        self._publish = redis.register_script(only_there(Path(__file__).with_name("feed.lua").read_text()))
        self._told: Epoch | None = None
        self._forgot_at = 0.0

    async def turn(self) -> None:
        """Publish what is new, if it is this process that does; forget what was published long ago."""
        epoch = self._epochs.known
        if not self._leader.is_leading or epoch is None:
            return
        if epoch != self._told:
            await self._tell_again(epoch)
        for _ in range(_BATCHES):
            if await self._publish_some(epoch) < _BATCH:
                break
        if time.monotonic() - self._forgot_at >= _FORGETS_EVERY and await self._say(epoch, []):
            self._forgot_at = time.monotonic()
            async with self._app.transaction() as session:
                await self._rows.forget(session, _FORGOTTEN)

    async def _tell_again(self, epoch: Epoch) -> None:
        """Have all that is kept be published anew, where that was published to a Redis of another epoch."""
        relays = self._app.tables.relays
        mine = relays.c.queue == self._keys.queue
        async with self._app.transaction(read_only=True) as session:
            told = (await session.execute(select(relays.c.feed_epoch).where(mine))).scalar_one_or_none()
        if told != str(epoch):
            after: int | None = 0
            while after is not None:
                async with self._app.transaction() as session:
                    after = await self._rows.mark_unpublished(session, after, _STEP)
            async with self._app.transaction() as session:
                await session.execute(update(relays).where(mine).values(feed_epoch=str(epoch)))
        self._told = epoch

    async def _publish_some(self, epoch: Epoch) -> int:
        """Publish the first rows that are new; return how many there were."""
        async with self._app.transaction(read_only=True) as session:
            rows = await self._rows.unpublished(session, _BATCH)
        if not rows or not await self._say(epoch, rows):
            return 0
        async with self._app.transaction() as session:
            if not await self._epochs.holds(session, epoch):
                return 0
            await self._rows.mark(session, [row.id for row in rows])
        return len(rows)

    async def _say(self, epoch: Epoch, rows: Sequence[Row[Any]]) -> bool:
        """Publish rows; False where this Redis is of another epoch."""
        words = [str(self._app.options.feed_length)]
        for row in rows:
            version = "" if row.version is None else str(row.version)
            words += [str(row.id), str(row.command_id), row.kind, row.entity, row.key, version]
        keys = [self._keys.feed, self._keys.epoch]
        if await self._publish(keys=keys, args=[*words, epoch.word, epoch.process]) != b"lost":
            return True
        self._epochs.forget()
        return False
