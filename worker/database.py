"""The database as the worker needs it: its URL, its engine, and what to do with a connection in doubt."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

if TYPE_CHECKING:
    from .settings import WorkerOptions

Sessions = async_sessionmaker[AsyncSession]


def normalized_url(url: str) -> str:
    """Return `url` for SQLAlchemy and asyncpg; raise ValueError, without the URL in it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        message = "must look like postgresql+asyncpg://user:password@host:5432/name"
        raise ValueError(message) from None
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+asyncpg")
    if parsed.drivername != "postgresql+asyncpg":
        message = f"must start with postgresql+asyncpg:// (or postgres://), not {parsed.drivername}://"
        raise ValueError(message)
    if "sslmode" in parsed.query:  # asyncpg knows the same words by another name
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": parsed.query["sslmode"]})
    return parsed.render_as_string(hide_password=False)


def create_engine(options: WorkerOptions) -> AsyncEngine:
    """Make the engine of a worker process: as many connections as slots, parameters hidden from errors and logs."""
    limit = options.job_timeout + options.commit_timeout
    return create_async_engine(
        options.database_url,
        pool_size=options.pool_size or options.concurrency,
        max_overflow=0,
        pool_timeout=options.job_timeout,
        pool_pre_ping=options.pool_pre_ping,
        isolation_level="READ COMMITTED",
        hide_parameters=options.echo != "values",
        echo=bool(options.echo),
        connect_args={
            "timeout": options.commit_timeout,
            "server_settings": {
                "application_name": "crud-worker",
                # A worker that is frozen, or cut off, in a transaction must not hold its locks for ever.
                "idle_in_transaction_session_timeout": str(round(limit * 1000)),
            },
        },
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Sessions whose objects stay readable after COMMIT."""
    return async_sessionmaker(engine, expire_on_commit=False)


def engine_of(sessions: Sessions) -> AsyncEngine:
    """The engine that a sessionmaker is bound to."""
    bind = sessions.kw.get("bind")
    if isinstance(bind, AsyncEngine):
        return bind
    message = "sessions must be an async_sessionmaker bound to an AsyncEngine"
    raise TypeError(message)


def pool_capacity(engine: AsyncEngine) -> int | None:
    """How many connections the engine may have open at once; None is no limit."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    overflow: int = pool._max_overflow  # noqa: SLF001  # not public; -1 is no limit
    return None if overflow < 0 else pool.size() + overflow


async def answers(engine: AsyncEngine, limit: float) -> bool:
    """Probe the database on a new connection, within `limit` seconds."""
    probe = create_async_engine(engine.url, poolclass=NullPool, connect_args={"timeout": limit})
    try:
        async with asyncio.timeout(limit), probe.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")
    except Exception:  # noqa: BLE001  # whatever it is, the database does not answer
        return False
    return True


def cut(connection: AsyncConnection) -> None:
    """Close the socket of a connection at once, whatever is under way on it."""
    with suppress(Exception):
        driver: Any = connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]  # in a suppress
        driver.terminate()


async def finish(task: asyncio.Future[Any], limit: float) -> bool:
    """Wait at most `limit` seconds for `task`, through any cancellation; say whether it is done."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + limit
    while not task.done() and (left := give_up - loop.time()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=left)
    return task.done()
