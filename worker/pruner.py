"""Prunes endings that are old, and before that the results in them, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, or_, select, update

from .chore import Chore
from .logs import log
from .types import utcnow

if TYPE_CHECKING:
    from .app import App
    from .leader import Leader

_APART = timedelta(hours=1)
"""So far the clocks of Redis and of the database may be apart: window.py refuses earlier than this prunes."""
_SLICE, _PAUSE = 1000, 0.05
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class Pruner(Chore):
    """Prunes the endings of one database, every minute, in the process that leads.

    Those stay whose command is in the outbox, or has a dead letter.
    """

    name = "pruner"
    every: ClassVar[float] = 60.0

    def __init__(self, app: App, leader: Leader) -> None:
        self._app, self._leader, self._table = app, leader, app.tables.processed_commands
        self._emptied_until = _ALWAYS

    async def turn(self) -> None:
        """Prune what is old by now, if it is this process that does."""
        if self._leader.is_leading:
            await self.prune()

    async def prune(self) -> None:
        """Delete the rows of endings that are old, and empty results that are."""
        options = self._app.options
        async with self._app.transaction(read_only=True) as session:
            now = (await session.execute(select(utcnow()))).scalar_one()
        pruned = 0
        async for some in self._slices(_ALWAYS, now - timedelta(seconds=options.retention) - _APART):
            async with self._app.transaction() as session:
                gone = await session.execute(delete(self._table).where(some, ~self._is_kept()))
                pruned += gone.rowcount  # type: ignore[attr-defined]  # a DELETE has one
        until = now - timedelta(seconds=options.result_retention)
        async for some in self._slices(self._emptied_until, until):
            async with self._app.transaction() as session:
                full = update(self._table).where(some, self._is_full())
                await session.execute(full.values(result=None, summary={}))
        self._emptied_until = until
        if pruned:
            log.info("pruner.pruned", endings=pruned)

    async def _slices(self, after: datetime, until: datetime) -> AsyncIterator[ColumnElement[bool]]:
        """Cut a time into slices of so many endings: no statement takes long, or locks much."""
        at = self._table.c.ended_at
        while after < until:
            far = select(at).where(at > after, at <= until).order_by(at).offset(_SLICE - 1).limit(1)
            async with self._app.transaction(read_only=True) as session:
                end = (await session.execute(far)).scalar_one_or_none() or until
            yield and_(at > after, at <= end)
            after = end
            await asyncio.sleep(_PAUSE)

    def _is_kept(self) -> ColumnElement[bool]:
        tables, mine = self._app.tables, self._table.c.command_id
        others = (tables.outbox, tables.dead_letters)
        return or_(*(exists().where(other.c.command_id == mine) for other in others))

    def _is_full(self) -> ColumnElement[bool]:
        summary = self._table.c.summary
        return or_(self._table.c.result.is_not(None), and_(summary.is_not(None), cast(summary, Text) != "{}"))
