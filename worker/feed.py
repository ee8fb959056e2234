"""The feed: what was changed, for those who want to hear of it (WORKER_FEED).

A row for each row that a command has changed, in the transaction of the change: a relay publishes it to a
stream of Redis. Its number is drawn while the change holds its rows: those of one row are in the order of
their commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from producers.commands.lanes import standing

from .publishing import PublishedRows
from .types import utcnow

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession

    from producers.commands import Command

    from .tables import WorkerTables

_KEPT = timedelta(hours=1)
"""So long a row stays after it was published: a Redis that lost something is given it again."""


class FeedRows(PublishedRows):
    """The changes by commands of one queue."""

    def __init__(self, tables: WorkerTables, queue: str) -> None:
        super().__init__(tables.feed, queue)

    async def write(
        self, session: AsyncSession, command_id: UUID, command: Command[Any], result: object
    ) -> None:
        """Write what a command has changed: the rows that it names by their keys, or the one it returns.

        Where it tells neither, as by a condition, it is one row without a key.
        """
        versions = dict(_versions(result))
        named = [name.partition(":") for name in standing(command).lanes if not name.startswith(":")]
        entity = command.kind.partition(".")[0]
        keys = [(of, key) for of, _, key in named] or [(entity, key) for key in versions] or [(entity, "")]
        about = {"queue": self._queue, "command_id": command_id, "kind": command.kind}
        rows = [{**about, "entity": of, "key": key, "version": versions.get(key)} for of, key in keys]
        await session.execute(insert(self._table), rows)

    async def forget(self, session: AsyncSession, most: int) -> None:
        """Delete some rows that were published long ago."""
        table = self._table
        old = select(table.c.id, table.c.published_at, utcnow()).where(
            self._mine, table.c.published_at.is_not(None)
        )
        first = (await session.execute(old.order_by(table.c.published_at, table.c.id).limit(most))).all()
        ids = [row_id for row_id, at, now in first if now - at > _KEPT]
        if ids:
            await session.execute(delete(table).where(table.c.id.in_(ids)))


def _versions(result: object) -> Iterator[tuple[str, int | None]]:
    """Give the key and version of each row in a result: it is JSON."""
    for row in result if isinstance(result, list) else [result]:
        if isinstance(row, Mapping) and "id" in row:
            version = row.get("version")
            yield str(row["id"]), version if isinstance(version, int) else None
        elif isinstance(row, list):  # of an Atomic, whose commands have rows in turn
            yield from _versions(row)
