"""Past SQLAlchemy: the row of an ending, and COMMIT, through asyncpg itself, in a session's transaction.

Both are the same for each command; what SQLAlchemy does for them costs as much as all that PostgreSQL does.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import Executable, Table
from sqlalchemy.dialects.postgresql import asyncpg as dialects
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncSession

BEGIN = ("after_begin", "after_transaction_create")
_END = ("before_commit", "after_commit", "after_transaction_end")
_DIALECT = dialects.dialect()  # type: ignore[no-untyped-call]


def asyncpg_of(session: AsyncSession) -> Any:
    """Find the asyncpg connection on which a session has a transaction open; None where there is none.

    Nor is there one for whoever wants to see the statements: WORKER_ECHO shows those of SQLAlchemy's.
    """
    if not session.in_transaction():
        return None
    bound = session.bind  # to ask a session for its connection takes as long as to ask all the rest
    connection = bound.sync_connection if isinstance(bound, AsyncConnection) else None
    if connection is None:
        connection = session.sync_session.connection()
    if connection.dialect.driver != "asyncpg" or connection.engine.echo or _is_special(connection):
        return None
    driver = connection.connection.driver_connection
    is_open = isinstance(driver, asyncpg.Connection) and driver.is_in_transaction()
    return driver if is_open else None


def _is_special(connection: Connection) -> bool:
    """Whether statements are to have other names (for PgBouncer, say) or schemas than they come with."""
    adapter: Any = connection.connection.dbapi_connection
    named = getattr(adapter, "_prepared_statement_name_func", lambda: "")() is not None
    cached = getattr(adapter, "_prepared_statement_cache", None) is not None
    return named or not cached or bool(connection.get_execution_options().get("schema_translate_map"))


async def fetch_value(
    driver: Any, make: Callable[..., Executable], table: Table, row: Mapping[str, Any]
) -> Any:
    """Run the statement that `make` makes for a table and the columns of a row; return its first value.

    The row's values are as asyncpg takes them: JSON is text.
    """
    sql, columns = _compiled(make, table, tuple(row))
    return await driver.fetchval(sql, *[row[name] for name in columns])


async def commit(session: AsyncSession) -> bool:
    """COMMIT the transaction of a session that was given its connection; its `commit()` then sends nothing.

    False, and nothing is done, where it would send something else: what is to be flushed, or what a listener
    wants. Else the greenlet that it needs to wait in is spared: the memory that one maps, and gives back.
    """
    sync, bound = session.sync_session, session.bind
    if not isinstance(bound, AsyncConnection) or needs_greenlet(session, *_END):
        return False
    connection: Any = bound.sync_connection
    adapter = connection.connection.dbapi_connection
    transaction = getattr(adapter, "_transaction", None)  # not public; SQLAlchemy sees to None
    if transaction is None or sync.in_nested_transaction() or has_changes(session):
        return False
    begun: Any = sync.get_transaction()
    if any(one is not connection for one, *_ in begun._connections.values()):  # noqa: SLF001  # it has two
        return False
    try:
        await transaction.commit()
    finally:
        adapter._transaction = None  # noqa: SLF001  # as SQLAlchemy does, whatever came of it
    return True


def needs_greenlet(session: AsyncSession, *events: str) -> bool:
    """Whether SQLAlchemy may have to wait for the database at the begin or end of a session's transaction.

    It has not on asyncpg, whose transaction it begins with the first statement, unless somebody listens who
    may have something to say then: to these `events` of the session, or to any of the engine.
    """
    bound: Any = session.bind
    connection, listeners = bound.sync_connection, session.sync_session.dispatch
    return bool(
        connection.dialect.driver != "asyncpg"
        or connection._has_events  # noqa: SLF001  # not public, nor are the others
        or connection.engine._has_events  # noqa: SLF001
        or connection.dialect._has_events  # noqa: SLF001
        or any(getattr(listeners, event) for event in events)
    )


def has_changes(session: AsyncSession) -> bool:
    """Whether there is something to flush: `new`, `dirty` and `deleted` would make a set each to say so."""
    return not session.sync_session._is_clean()  # noqa: SLF001  # not public


@cache
def _compiled(
    make: Callable[..., Executable], table: Table, columns: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    compiled: Any = make("postgresql", table, columns).compile(dialect=_DIALECT)  # type: ignore[attr-defined]
    return str(compiled), tuple(compiled.positiontup)
