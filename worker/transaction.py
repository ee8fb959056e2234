"""One attempt: a session of its own, a time limit, and a COMMIT that is a phase by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from producers.connection import cancellations

from . import database, doubt, driver, retry
from .engine.limit import Limit
from .failure import AttemptTimeout, Cause, CommitUnknown
from .sqlstates import sqlstate_of

if TYPE_CHECKING:
    from sqlalchemy import orm
    from sqlalchemy.ext.asyncio import AsyncConnection

    from .kept import Kept
    from .settings import WorkerOptions

# After these a connection does not go back to the pool: it is lost, or stale, or leads to a server that
# takes no writes any more.
_UNFIT = {Cause.UNKNOWN, Cause.STALE, Cause.AWAY}
_READ_ONLY = "25006"


@asynccontextmanager
async def attempt(
    sessions: database.Sessions,
    options: WorkerOptions,
    deadline: float,
    *,
    read_only: bool,
    kept: Kept | None = None,
) -> AsyncIterator[AsyncSession]:
    """Give a new session in a new transaction; commit it where the block ends well, else roll it back.

    `deadline`, a time of the event loop, ends the block with AttemptTimeout; where COMMIT begins, it ends
    itself. A read-only transaction is rolled back. Its connection is one of those `kept`, if there are any,
    and it writes. Raises CommitUnknown where COMMIT was not answered. A cancellation during COMMIT is lost
    where COMMIT succeeds, and comes after it where it does not.
    """
    own = None if read_only else kept
    session, connection = None, None
    before = cancellations()
    committed, drop = False, True  # a connection that is cancelled does not go back to the pool either
    try:
        with Limit(deadline - asyncio.get_running_loop().time(), AttemptTimeout):
            if own is not None:
                connection = await own.take()
                session = await own.begin(connection)
            else:
                if kept is not None:
                    await kept.make_room()
                session = sessions()
                settings = database.transaction_options(database.engine_of(sessions), read_only=read_only)
                connection = await session.connection(execution_options=settings)
            _keep_open(session)
            yield session
            if own is None and connection.closed:  # the handler has ended the transaction and begun another
                connection = await session.connection()
        if not read_only:
            await _commit(session, connection, options.commit_timeout)
        committed, drop = True, False
    except Exception as error:
        drop = await _is_unfit(error, connection, kept)
        raise
    finally:
        if committed and own is not None and connection is not None:
            own.keep(connection)
        elif read_only or not committed:
            closing = asyncio.ensure_future(_close(session, connection if own else None, drop=drop))
            await doubt.finish(closing, connection, options.commit_timeout)
        if not committed and cancellations() > before:
            raise asyncio.CancelledError


async def _is_unfit(error: Exception, connection: AsyncConnection | None, kept: Kept | None) -> bool:
    """Say whether a connection is to be dropped after an error; others may be like it."""
    cause = retry.cause_of(error)
    if connection is not None and (cause in _UNFIT or sqlstate_of(error) == _READ_ONLY):
        doubt.renew(connection)
    if kept is not None and cause in _UNFIT:
        await kept.empty()  # the pool replaces them
    return cause in _UNFIT


async def _close(session: AsyncSession | None, own: AsyncConnection | None, *, drop: bool) -> None:
    """Roll back, and return a connection of our own to its pool; one to be dropped is dropped there."""
    if session is not None:
        await (session.invalidate() if drop else type(session).close(session))
    if own is not None:
        if drop:
            await own.invalidate()
        await own.close()


async def _commit(session: AsyncSession, connection: AsyncConnection, limit: float) -> None:
    """COMMIT, through any cancellation. Any end of it but success or a definite error is unknown."""
    committing = asyncio.ensure_future(_commit_and_close(session))
    await doubt.finish(committing, connection, limit)
    if not committing.done() or committing.cancelled():
        raise CommitUnknown
    error = committing.exception()
    if error is not None:
        if retry.definite(error):
            raise error
        doubt.cut(connection)
        raise CommitUnknown from error


async def _commit_and_close(session: AsyncSession) -> None:
    kind = type(session)
    if kind.commit is not AsyncSession.commit or kind.close is not AsyncSession.close:
        await kind.commit(session)
        await kind.close(session)
    elif await driver.commit(session):
        _end(session.sync_session)
    else:
        await session.run_sync(_end)  # both in one greenlet


def _end(session: orm.Session) -> None:
    session.commit()
    session.close()


def _keep_open(session: AsyncSession) -> None:
    """Leave the end of the transaction to us: a handler that ended it would part effect and ending."""
    session.commit = session.rollback = session.close = _refuse  # type: ignore[method-assign]


async def _refuse() -> None:
    message = "a handler never ends its transaction: return, and all is committed; raise, and none is"
    raise RuntimeError(message)
