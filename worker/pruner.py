"""Prunes endings that are old, and before that the results in them, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, func, or_, select, update

from producers.wire import Ending

from .chore import Chore
from .logs import log
from .types import utcnow
from .window import APART

if TYPE_CHECKING:
    from .app import App
    from .leader import Leader

_SLICE, _PAUSE = 1000, 0.05
_LATE = timedelta(minutes=5)
"""A row bears the time at which its transaction began; by then it is there."""
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_TURNS = 60


class Pruner(Chore):
    """Prunes the endings of one database, every minute, in the process that leads.

    Those stay whose command is in the outbox or has a dead letter; and those that were cancelled, since that
    can be long before they are due.
    """

    name = "pruner"
    every: ClassVar[float] = 60.0

    def __init__(self, app: App, leader: Leader) -> None:
        self._app, self._leader, self._table = app, leader, app.tables.processed_commands
        self._relays, self._mine = app.tables.relays, app.tables.relays.c.queue == app.queue.name
        self._said, self._pruned_until, self._turns = _ALWAYS, _ALWAYS, 0

    async def turn(self) -> None:
        """Prune what is old by now, if it is this process that does."""
        if self._leader.is_leading:
            await self.prune()
            await self.empty()

    async def prune(self) -> None:
        """Say of which time endings may be gone, then delete those of the time that was said a turn ago.

        Whoever asked in between (window.py) has ended by then.
        """
        at, now = self._table.c.ended_at, await self._now()
        old = now - timedelta(seconds=self._app.options.retention) - APART
        async with self._app.transaction() as session:
            said = (await session.execute(select(self._relays.c.pruned_until).where(self._mine))).scalar()
            newest = (await session.execute(select(func.max(at)).where(at <= old))).scalar_one()
            if newest is not None and (said is None or newest > said):
                said = newest
                await session.execute(update(self._relays).where(self._mine).values(pruned_until=said))
        pruned, until = 0, min(self._said, old)
        async for some in self._slices(self._pruned_until, until):
            async with self._app.transaction() as session:
                gone = await session.execute(delete(self._table).where(some, ~self._is_kept()))
                pruned += gone.rowcount  # type: ignore[attr-defined]  # a DELETE has one
        self._turns = (self._turns + 1) % _TURNS  # now and then all of it: what was kept may not be any more
        self._pruned_until = max(self._pruned_until, until) if self._turns else _ALWAYS
        self._said = said or _ALWAYS
        if pruned:
            log.info("pruner.pruned", endings=pruned)

    async def empty(self) -> None:
        """Empty results that are old."""
        until = await self._now() - timedelta(seconds=self._app.options.result_retention) - _LATE
        async with self._app.transaction(read_only=True) as session:
            after = (await session.execute(select(self._relays.c.emptied_until).where(self._mine))).scalar()
        async for some in self._slices(after or _ALWAYS, until):
            async with self._app.transaction() as session:
                full = update(self._table).where(some, self._is_full())
                await session.execute(full.values(result=None, summary={}))
        async with self._app.transaction() as session:
            await session.execute(update(self._relays).where(self._mine).values(emptied_until=until))

    async def _now(self) -> datetime:
        async with self._app.transaction(read_only=True) as session:
            return (await session.execute(select(utcnow()))).scalar_one()

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
        is_cancelled = self._table.c.ending == Ending.CANCELLED
        return or_(is_cancelled, *(exists().where(other.c.command_id == mine) for other in others))

    def _is_full(self) -> ColumnElement[bool]:
        summary = self._table.c.summary
        return or_(self._table.c.result.is_not(None), and_(summary.is_not(None), cast(summary, Text) != "{}"))
