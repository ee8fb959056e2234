"""Publishes the feed: from rows that are committed to a stream of Redis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from producers.wire import Keys

from .chore import Chore
from .epochs import only_there
from .feed import FeedRows

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .app import App
    from .epochs import Epochs
    from .leader import Leader

_BATCH, _BATCHES, _FORGOTTEN = 500, 10, 2000


class Feeder(Chore):
    """Publishes the feed of one queue, every fifth of a second, in the process that leads.

    At least once: one that is killed before it notes what it has published publishes it again.
    """

    name = "feed"
    every = 0.2

    def __init__(self, app: App, redis: Redis, leader: Leader, epochs: Epochs) -> None:
        self._app, self._leader, self._epochs = app, leader, epochs
        self._keys, self._rows = Keys(app.queue.name), FeedRows(app.tables, app.queue.name)
        self._publish = redis.register_script(only_there(Path(__file__).with_name("feed.lua").read_text()))

    async def turn(self) -> None:
        """Publish what is new, if it is this process that does; forget what was published long ago."""
        if not self._leader.is_leading:
            return
        for _ in range(_BATCHES):
            if await self.publish_some() < _BATCH:
                break
        async with self._app.transaction() as session:
            await self._rows.forget(session, _FORGOTTEN)

    async def publish_some(self) -> int:
        """Publish the first rows that are new; return how many there were."""
        async with self._app.transaction(read_only=True) as session:
            rows = await self._rows.unpublished(session, _BATCH)
        if not rows:
            return 0
        epoch = await self._epochs.current()
        words = [str(self._app.options.feed_length)]
        for row in rows:
            version = "" if row.version is None else str(row.version)
            words += [str(row.id), str(row.command_id), row.kind, row.entity, row.key, version]
        keys = [self._keys.feed, self._keys.epoch]
        if await self._publish(keys=keys, args=[*words, epoch.word, epoch.process]) == b"lost":
            return 0
        async with self._app.transaction() as session:
            if await self._epochs.holds(session, epoch):
                await self._rows.mark(session, [row.id for row in rows])
        return len(rows)
