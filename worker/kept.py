"""Connections that a worker keeps between attempts: to go by the pool costs as much as a statement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import database, driver

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_AWHILE = 0.5
"""Seconds after which those that are free go to the pool, which pings or recycles them, as it is set to."""


class Kept:
    """Connections in front of the pool of `sessions`, with the options of a transaction that writes.

    Whoever takes one out of the pool itself makes room before: all of them may be here.
    """

    def __init__(self, sessions: database.Sessions) -> None:
        self._sessions = sessions
        self._engine = database.engine_of(sessions)
        self._options = database.transaction_options(self._engine)
        self._free: list[AsyncConnection] = []
        self._emptying: asyncio.Task[None] | None = None

    @property
    def free(self) -> int:
        """How many connections wait here, out of the pool and not in use."""
        return len(self._free)

    async def take(self) -> AsyncConnection:
        """Take a connection that is free, or one out of the pool."""
        if self._free:
            return self._free.pop()
        connection = await self._engine.connect()
        try:
            # Options of the engine's, for all of them at once, would have it listen to each statement.
            return await connection.execution_options(**self._options)
        except BaseException:
            await connection.close()
            raise

    async def begin(self, connection: AsyncConnection) -> AsyncSession:
        """Make a session and begin its transaction on a connection."""
        session = self._sessions(bind=connection)
        if driver.needs_greenlet(session, *driver.BEGIN):
            await session.connection()
        else:
            session.sync_session.connection()
        return session

    def keep(self, connection: AsyncConnection) -> None:
        """Have a connection back that has no transaction open."""
        if connection.closed:  # by a handler
            return
        self._free.append(connection)
        if self._emptying is None or self._emptying.done():
            self._emptying = asyncio.create_task(self._empty_later())

    async def make_room(self) -> None:
        """Return one to the pool, for whoever takes it from there."""
        if self._free:
            await self._free.pop(0).close()

    async def empty(self) -> None:
        """Return to the pool all that are free now."""
        for _ in range(len(self._free)):
            await self.make_room()  # one by one: those not reached yet stay here, should this be cancelled

    async def close(self) -> None:
        """Return all to the pool; no attempt is under way any more."""
        if self._emptying is not None:
            self._emptying.cancel()
        await self.empty()

    async def _empty_later(self) -> None:
        await asyncio.sleep(_AWHILE)
        await self.empty()
