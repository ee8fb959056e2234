"""The table `outbox`, as a relay reads and writes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, exists, func, select, update

from .types import utcnow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .tables import WorkerTables


class Published(NamedTuple):
    """A row that was published: whether its command has ended, and by now how old that is, in seconds."""

    id: int
    command_id: UUID
    has_ended: bool
    age: float


class OutboxRows:
    """The rows for one queue."""

    def __init__(self, tables: WorkerTables, queue: str) -> None:
        self._table, self._endings, self._queue = tables.outbox, tables.processed_commands, queue
        self._mine = tables.outbox.c.queue == queue

    async def unpublished(
        self, session: AsyncSession, most: int, *, without: Collection[int] = ()
    ) -> Sequence[Row[Any]]:
        """Read the first rows that Redis does not know of.

        Which those are is asked each time: a transaction that began earlier may commit later.
        """
        new = select(self._table).where(self._mine, self._table.c.published_at.is_(None))
        if without:
            new = new.where(self._table.c.id.not_in(without))
        in_order = new.order_by(self._table.c.published_at, self._table.c.id)  # as the index has them
        return (await session.execute(in_order.limit(most))).all()

    async def mark(self, session: AsyncSession, ids: Sequence[int]) -> None:
        """Write down that Redis knows of these rows."""
        mine = update(self._table).where(self._table.c.id.in_(ids))
        await session.execute(mine.values(published_at=utcnow()))

    async def mark_unpublished(self, session: AsyncSession, after: int, most: int) -> int | None:
        """Write down that Redis knows nothing of the next rows; return where to go on, None at the end."""
        table = self._table
        ids = select(table.c.id).where(self._mine, table.c.id > after).order_by(table.c.id).limit(most)
        found = (await session.execute(ids)).scalars().all()
        if not found:
            return None
        between = self._mine, table.c.id > after, table.c.id <= found[-1]
        known = update(table).where(*between, table.c.published_at.is_not(None), ~self._has_ended())
        await session.execute(known.values(published_at=None))
        return int(found[-1]) if len(found) == most else None

    async def published(self, session: AsyncSession, after: int, most: int) -> list[Published]:
        """Read the next rows that Redis should know of, by their ids."""
        table = self._table
        found = select(table.c.id, table.c.command_id, self._has_ended(), table.c.published_at, utcnow())
        rows = found.where(self._mine, table.c.published_at.is_not(None), table.c.id > after)
        return [
            Published(row_id, command_id, has_ended, (now - at).total_seconds())
            for row_id, command_id, has_ended, at, now in await session.execute(
                rows.order_by(table.c.id).limit(most)
            )
        ]

    async def not_ended(self, session: AsyncSession, ids: Sequence[int]) -> list[UUID]:
        """Tell which of these commands have no ending now."""
        table = self._table
        rows = select(table.c.command_id).where(table.c.id.in_(ids), ~self._has_ended())
        return list((await session.execute(rows)).scalars())

    def _has_ended(self) -> ColumnElement[bool]:
        return exists().where(self._endings.c.command_id == self._table.c.command_id)

    async def forget(self, session: AsyncSession, ids: Sequence[int]) -> None:
        """Delete rows whose commands have ended."""
        await session.execute(delete(self._table).where(self._table.c.id.in_(ids), self._has_ended()))

    async def remove(self, session: AsyncSession, ids: Sequence[int]) -> None:
        """Delete rows whose commands are recorded under another id."""
        await session.execute(delete(self._table).where(self._table.c.id.in_(ids)))

    async def waiting(self, session: AsyncSession) -> tuple[int, datetime | None]:
        """Count the rows that Redis does not know of; since when the first of them waits."""
        new = self._table.c.published_at.is_(None)
        counted = select(func.count(), func.min(self._table.c.written_at)).where(self._mine, new)
        count, since = (await session.execute(counted)).one()
        return count, since
