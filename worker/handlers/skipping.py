"""Inserts that leave out a row whose key or unique field is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from ..sqlstates import sqlstate_of
from ..upserts import dialect_of, insert_on_conflict
from .dialects import Columns
from .taken import free

TAKEN = "23505"


async def insert_skipping(
    session: AsyncSession, table: Table, rows: Sequence[dict[str, Any]], *, returning: Columns
) -> Sequence[Any]:
    """Insert rows with the same columns, but for those that are taken; return `returning` of the inserted.

    MariaDB has no word for it, as its INSERT IGNORE swallows other errors too. There the rows that are taken
    are looked up where the insert of all fails; one that another transaction inserts in between still raises.
    """
    dialect = dialect_of(session)
    if dialect != "mariadb":
        statement = insert_on_conflict(dialect, table).on_conflict_do_nothing().returning(*returning)
        return (await session.execute(statement, rows)).all()
    plain = insert(table).returning(*returning)
    try:
        async with session.begin_nested():
            return (await session.execute(plain, rows)).all()
    except IntegrityError as error:
        if sqlstate_of(error) != TAKEN:
            raise
    news = await free(session, table, rows)
    return (await session.execute(plain, news)).all() if news else ()
