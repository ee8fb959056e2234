"""Rows that are written with an effect, and published to Redis after it: the outbox, and the feed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, true, update

from .types import utcnow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Row, Table
    from sqlalchemy.ext.asyncio import AsyncSession


class PublishedRows:
    """The rows of a table for one queue; `published_at` is NULL where Redis does not know of a row."""

    def __init__(self, table: Table, queue: str) -> None:
        self._table, self._queue = table, queue
        self._mine = table.c.queue == queue

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
        known = update(table).where(*between, table.c.published_at.is_not(None), self._is_wanted())
        await session.execute(known.values(published_at=None))
        return int(found[-1]) if len(found) == most else None

    async def waiting(self, session: AsyncSession) -> tuple[int, datetime | None]:
        """Count the rows that Redis does not know of; since when the first of them waits."""
        new = self._table.c.published_at.is_(None)
        counted = select(func.count(), func.min(self._table.c.written_at)).where(self._mine, new)
        count, since = (await session.execute(counted)).one()
        return count, since

    def _is_wanted(self) -> ColumnElement[bool]:
        """Say of which rows a Redis should know that has lost them."""
        return true()
