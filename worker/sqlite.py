"""SQLite as the worker needs it: what a connection is told, how a transaction begins, and how to stop one."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.util import await_only

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, ExceptionContext

_PATIENCE = 0.02
_SETTINGS = (
    "synchronous = FULL",  # with NORMAL a crash of the machine could take back what was committed
    "foreign_keys = ON",
    "case_sensitive_like = ON",
)


def prepare(engine: Engine, *, patience: float) -> None:
    """Set up each connection, and say BEGIN ourselves; whoever finds the file locked waits `patience` s."""

    def connect(connection: Any, _record: object) -> None:
        try:
            connection.isolation_level = None  # Python's driver would begin where and how it likes
            cursor = connection.cursor()
            for setting in (f"busy_timeout = {round(patience * 1000)}", *_SETTINGS):
                cursor.execute(f"PRAGMA {setting}")
            _write_ahead(cursor, patience)
            cursor.close()
        except BaseException:
            connection.terminate()  # nobody else knows of it yet
            raise

    if event.contains(engine, "begin", _begin):
        return
    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _leave_what_was_rolled_back)
    event.listen(engine.pool, "invalidate", _stop)


def _write_ahead(cursor: Any, patience: float) -> None:
    """Have the file keep a write-ahead log; where another connection writes meanwhile, wait for it.

    SQLite gives this statement up at once where the file is locked, whatever its `busy_timeout` is.
    """
    give_up = time.monotonic() + patience
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > give_up:
                raise
            await_only(asyncio.sleep(_PATIENCE))
        else:
            return


async def open_connection(*given: Any, **options: Any) -> Any:
    """Open a connection; where nobody waits for it any more, close it: the driver would only let it fall."""
    import aiosqlite  # noqa: PLC0415  # an extra

    connection = aiosqlite.connect(*given, **options)
    connection._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does
    opening = asyncio.ensure_future(connection)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda _: connection.stop())
        raise


def _begin(connection: Connection) -> None:
    """Take the write lock at once: taken later, it could be refused without waiting."""
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT" and "read_only" not in options:
        return  # none is wanted; the worker's own always says what it is
    read_only = bool(options.get("read_only"))
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _leave_what_was_rolled_back(context: ExceptionContext) -> None:
    """Give a connection up when an error has ended its transaction: what followed would commit by itself."""
    connection = context.connection
    if connection is None or (context.statement or "").startswith(("BEGIN", "PRAGMA")):
        return
    driver = driver_of(connection.connection.dbapi_connection)
    if driver is not None and not driver.in_transaction:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _stop(connection: Any, _record: object, _error: object) -> None:
    stop(connection)


def stop(connection: Any) -> None:
    """Roll back what a connection has in hand, and end its statement if that is long in coming.

    Its thread would finish the statement all the same; and a connection that is closed while somebody has a
    cursor of it, in a traceback say, keeps its locks. A statement is not interrupted without need: between
    two of them it would be the ROLLBACK that is.
    """
    driver = driver_of(connection)
    if driver is None:
        return
    reached = Event()

    def rollback() -> None:
        reached.set()
        try:
            driver.rollback()
        except sqlite3.OperationalError:  # the interrupt came late
            driver.rollback()

    def interrupt() -> None:
        if not reached.is_set():
            with suppress(sqlite3.Error):
                driver.interrupt()

    connection.driver_connection._tx.put_nowait((None, rollback))  # noqa: SLF001  # as SQLAlchemy does
    asyncio.get_running_loop().call_later(_PATIENCE, interrupt)


def driver_of(connection: Any) -> Any:
    """Find sqlite3's connection below the adapters; None where it is closed."""
    return getattr(getattr(connection, "driver_connection", None), "_connection", None)
