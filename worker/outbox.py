"""The table `outbox`, as a relay reads and writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from sqlalchemy import delete, exists, select

from .publishing import PublishedRows
from .types import utcnow

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from .tables import WorkerTables


class Published(NamedTuple):
    """A row that was published: whether its command has ended, and by now how old that is, in seconds."""

    id: int
    command_id: UUID
    has_ended: bool
    age: float


class OutboxRows(PublishedRows):
    """The commands of one queue that were written in a transaction of their sender's."""

    def __init__(self, tables: WorkerTables, queue: str) -> None:
        super().__init__(tables.outbox, queue)
        self._endings = tables.processed_commands

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

    async def forget(self, session: AsyncSession, ids: Sequence[int]) -> None:
        """Delete rows whose commands have ended."""
        await session.execute(delete(self._table).where(self._table.c.id.in_(ids), self._has_ended()))

    async def remove(self, session: AsyncSession, ids: Sequence[int]) -> None:
        """Delete rows whose commands are recorded under another id."""
        await session.execute(delete(self._table).where(self._table.c.id.in_(ids)))

    def _has_ended(self) -> ColumnElement[bool]:
        return exists().where(self._endings.c.command_id == self._table.c.command_id)

    def _is_wanted(self) -> ColumnElement[bool]:
        return ~self._has_ended()
