"""A database, or a connection to it, in doubt: is it away, what is to be replaced, what to cut off."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from . import sqlite
from .sqlstates import sqlstate_of

if TYPE_CHECKING:
    from .app import App


async def is_away(app: App) -> bool:
    """Whether the database of an App gives a new connection no answer."""
    return not await answers(app.engine, app.options.commit_timeout)


async def answers(engine: AsyncEngine, limit: float) -> bool:
    """Whether a new connection, made as those of `engine` are, reaches a database that takes writes."""
    # A pool of its own, which connects as that of the engine does: with its arguments, or its own creator.
    probe = AsyncEngine(Engine(engine.pool.recreate(), engine.dialect, engine.url, hide_parameters=True))
    try:
        async with asyncio.timeout(limit), probe.connect() as connection:
            writable = await _takes_writes(connection)
            await connection.invalidate()  # it is closed, not put back
    except Exception:  # noqa: BLE001  # whatever it is, the database does not answer
        return False
    return writable


async def _takes_writes(connection: AsyncConnection) -> bool:
    match connection.dialect.name:
        case "postgresql":
            return bool(await connection.scalar(text("SHOW transaction_read_only")) == "off")
        case "sqlite":
            try:
                await connection.execute(text("BEGIN IMMEDIATE"))
            except DBAPIError as error:
                return sqlstate_of(error) == "55P03"  # another one is writing
        case "mariadb" | "mysql":
            return not await connection.scalar(text("SELECT @@GLOBAL.read_only"))
    return True


async def last_crash(app: App) -> Any:
    """Say since when PostgreSQL has its statistics, which a crash costs it; None where nobody can tell."""
    if app.engine.dialect.name != "postgresql":
        return None
    since = text("SELECT stats_reset FROM pg_stat_bgwriter")
    for pause in (0.1, 0.5, 0.0):
        try:
            async with app.transaction(read_only=True) as session:
                return await session.scalar(since)
        except Exception:  # noqa: BLE001  # its connections may all be cut: the pool makes new ones
            await asyncio.sleep(pause)
    return None


def renew(connection: AsyncConnection) -> None:
    """Have each connection that its pool holds by now replaced when it is next used."""
    pool = connection.sync_engine.pool
    pool._invalidate(None)  # type: ignore[arg-type]  # noqa: SLF001  # what SQLAlchemy does itself at a disconnect


def cut(connection: AsyncConnection) -> None:
    """Close the socket of a connection at once, whatever is under way on it."""
    sync = connection.sync_connection
    if sync is None or sync.closed or sync.invalidated:
        return  # it has none any more; to ask for it would take another one out of the pool
    driver = sync.connection.dbapi_connection
    if driver is not None:
        with suppress(Exception):
            if sync.dialect.name == "sqlite":
                sqlite.stop(driver)
            sync.dialect.do_terminate(driver)


async def finish(task: asyncio.Future[Any], connection: AsyncConnection | None, limit: float) -> None:
    """Wait for a task that uses `connection`, through any cancellation; after `limit` seconds make it end."""
    if await _waited(task, limit):
        return
    if connection is not None:
        cut(connection)
        if await _waited(task, limit):
            return
    task.cancel()
    await _waited(task, limit)


async def _waited(task: asyncio.Future[Any], limit: float) -> bool:
    """Wait for a task, through any cancellation; asyncio.wait() costs a twentieth of all that is done."""
    loop = asyncio.get_running_loop()
    over, ended = loop.create_future(), False

    def end(_: object = None) -> None:
        nonlocal ended
        ended = True
        if not over.done():
            over.set_result(None)

    timer = loop.call_later(limit, end)
    task.add_done_callback(end)
    while not ended:
        try:
            await over
        except asyncio.CancelledError:
            over = loop.create_future()
    timer.cancel()
    task.remove_done_callback(end)
    if task.done() and not task.cancelled():
        task.exception()  # whoever waits asks for it, or does not care
    return task.done()
