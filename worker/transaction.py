"""One attempt: a session of its own, a time limit, and a COMMIT that is a phase by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from producers.connection import cancellations

from . import database, retry
from .failure import AttemptTimeout, Cause, CommitUnknown
from .sqlstates import sqlstate_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from .settings import WorkerOptions

# After these a connection does not go back to the pool: it is lost, or stale, or leads to a server that
# takes no writes any more.
_UNFIT = {Cause.UNKNOWN, Cause.STALE, Cause.AWAY}
_READ_ONLY = "25006"


@asynccontextmanager
async def attempt(
    sessions: database.Sessions, options: WorkerOptions, deadline: float, *, read_only: bool
) -> AsyncIterator[AsyncSession]:
    """Give a new session in a new transaction; commit it where the block ends well, else roll it back.

    `deadline`, a time of the event loop, ends the block with AttemptTimeout; where COMMIT begins, it ends
    itself. A read-only transaction is rolled back. Raises CommitUnknown where COMMIT was not answered. A
    cancellation during COMMIT is lost where COMMIT succeeds, and comes after it where it does not.
    """
    session, connection = sessions(), None
    before = cancellations()
    committed, drop = False, True  # a connection that is cancelled does not go back to the pool either
    try:
        async with _limit(deadline):
            settings = database.transaction_options(database.engine_of(sessions), read_only=read_only)
            connection = await session.connection(execution_options=settings)
            _keep_open(session)
            yield session
            if connection.closed:  # the handler has ended the transaction and begun another
                connection = await session.connection()
        if not read_only:
            await _commit(session, connection, options.commit_timeout)
        committed, drop = True, False
    except Exception as error:
        cause = retry.cause_of(error)
        drop = cause in _UNFIT
        outdated = cause is Cause.STALE or sqlstate_of(error) == _READ_ONLY
        if outdated and connection is not None:
            database.renew(connection)  # it will not be the only one
        raise
    finally:
        if read_only or not committed:
            closing = session.invalidate() if drop else type(session).close(session)
            await database.finish(asyncio.ensure_future(closing), connection, options.commit_timeout)
        if not committed and cancellations() > before:
            raise asyncio.CancelledError


async def _commit(session: AsyncSession, connection: AsyncConnection, limit: float) -> None:
    """COMMIT, through any cancellation. Any end of it but success or a definite error is unknown."""
    committing = asyncio.ensure_future(_commit_and_close(session))
    await database.finish(committing, connection, limit)
    if not committing.done() or committing.cancelled():
        raise CommitUnknown
    error = committing.exception()
    if error is not None:
        if retry.definite(error):
            raise error
        database.cut(connection)
        raise CommitUnknown from error


async def _commit_and_close(session: AsyncSession) -> None:
    await type(session).commit(session)
    await type(session).close(session)


def _keep_open(session: AsyncSession) -> None:
    """Leave the end of the transaction to us: a handler that ended it would part effect and ending."""

    async def refuse() -> None:
        message = "a handler never ends its transaction: return, and all is committed; raise, and none is"
        raise RuntimeError(message)

    session.commit = session.rollback = session.close = refuse  # type: ignore[method-assign]


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
