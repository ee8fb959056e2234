"""One attempt: a session of its own, a time limit, and a COMMIT that is a phase by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from . import database, retry
from .retry import AttemptTimeout, Cause, CommitUnknown

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from .settings import WorkerOptions


@asynccontextmanager
async def attempt(
    sessions: database.Sessions, options: WorkerOptions, deadline: float, *, read_only: bool
) -> AsyncIterator[AsyncSession]:
    """Give a new session in a new transaction; commit it where the block ends well, else roll it back.

    `deadline`, a time of the event loop, ends the block with AttemptTimeout; where COMMIT begins, it ends
    itself. A read-only transaction is rolled back. Raises CommitUnknown where COMMIT was not answered.
    """
    session = sessions()
    connection: AsyncConnection | None = None
    drop = True  # a connection that is cancelled or in doubt does not go back to the pool
    try:
        async with _limit(deadline):
            settings = {"postgresql_readonly": True} if read_only else {}
            connection = await session.connection(execution_options=settings)
            yield session
        if not read_only:
            await _commit(session, connection, options.commit_timeout)
        drop = False
    except Exception as error:
        drop = isinstance(error, CommitUnknown) or retry.classify(error).cause is Cause.STALE
        raise
    finally:
        await _close(session, connection, options.commit_timeout, drop=drop)


async def _commit(session: AsyncSession, connection: AsyncConnection, limit: float) -> None:
    """COMMIT, through any cancellation. Any end of it but success or a definite error is unknown."""
    committing = asyncio.ensure_future(session.commit())
    if not await database.finish(committing, limit):
        database.cut(connection)
        await database.finish(committing, limit)
        raise CommitUnknown
    if committing.cancelled():
        raise CommitUnknown
    error = committing.exception()
    if error is not None:
        if retry.definite(error):
            raise error
        raise CommitUnknown from error


async def _close(session: AsyncSession, connection: AsyncConnection | None, limit: float, *, drop: bool) -> None:
    """End the session; a connection that does not let go is cut."""
    closing = asyncio.ensure_future(session.invalidate() if drop else session.close())
    if not await database.finish(closing, limit) and connection is not None:
        database.cut(connection)
        await database.finish(closing, limit)
    if closing.done() and not closing.cancelled():
        closing.exception()  # the connection is gone either way; what matters was decided before


@asynccontextmanager
async def _limit(deadline: float) -> AsyncIterator[None]:
    """Tell our own timeout from any other TimeoutError."""
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            yield
    except TimeoutError as error:
        if scope.expired():
            raise AttemptTimeout from error
        raise
