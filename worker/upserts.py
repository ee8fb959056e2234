"""Inserts that may find a row with the same key: PostgreSQL and SQLite say it one way, MariaDB another."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import CursorResult, and_, bindparam, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from .sqlstates import columns, sqlstate_of
from .types import MARIADB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Table, Update
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.sql.dml import ReturningInsert


def dialect_of(session: AsyncSession) -> str:
    """Name the database that a session speaks to: "postgresql", "sqlite" or "mariadb"."""
    name = session.get_bind().dialect.name
    return "mariadb" if name in MARIADB else name


def insert_on_conflict(dialect: str, table: Table) -> postgresql.Insert:
    """Begin an INSERT ... ON CONFLICT, which PostgreSQL and SQLite share."""
    if dialect == "sqlite":
        return cast("postgresql.Insert", sqlite.insert(table))  # the same methods, of another class
    return postgresql.insert(table)


async def insert_or_nothing(session: AsyncSession, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False where one with its primary key is there.

    Where another transaction has inserted that key, it waits for that one to end.
    """
    dialect = dialect_of(session)
    if dialect != "mariadb":
        inserted = await session.execute(insert_unless_there(dialect, table, tuple(row)), dict(row))
        return inserted.first() is not None
    try:
        await session.execute(plain_insert(table).values(dict(row)))
    except IntegrityError as error:  # it ends the statement, and not the transaction
        if is_duplicate(error, *(column.name for column in table.primary_key)):
            return False
        raise
    return True


@cache
def insert_unless_there(dialect: str, table: Table, columns: tuple[str, ...]) -> ReturningInsert[Any]:
    """Make the statement of `insert_or_nothing`, once: to make it costs more than to run it."""
    key = list(table.primary_key)
    values = {name: bindparam(name, type_=table.c[name].type) for name in columns}
    statement = insert_on_conflict(dialect, table).values(values)
    return statement.on_conflict_do_nothing(index_elements=key).returning(*key)


async def insert_or_replace(
    session: AsyncSession, table: Table, row: Mapping[str, Any], *, where: ColumnElement[bool] | None = None
) -> bool:
    """Insert a row, or write all of it to the one with its key; False where that one is not `where`."""
    dialect, key = dialect_of(session), list(table.primary_key)
    news = {name: value for name, value in row.items() if name not in table.primary_key.columns}
    if dialect != "mariadb":
        statement = insert_on_conflict(dialect, table).values(dict(row))
        statement = statement.on_conflict_do_update(index_elements=key, set_=news, where=where)
        return (await session.execute(statement.returning(*key))).first() is not None
    if where is None:
        # It acts on a duplicate of any key, so it is for tables that have one only.
        replacing = mysql.insert(table).values(dict(row)).on_duplicate_key_update(news)
        await session.execute(replacing)
        return True
    same = and_(where, *(column == row[column.name] for column in key))
    if await changed(session, update(table).where(same).values(news)):
        return True
    return await insert_or_nothing(session, table, row)


async def changed(session: AsyncSession, statement: Update) -> bool:
    """Update; say whether there was a row."""
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount > 0


def is_duplicate(error: IntegrityError, *key: str) -> bool:
    """Whether an error says that there is a row with this key."""
    return sqlstate_of(error) == "23505" and columns(error) == ", ".join(key)
