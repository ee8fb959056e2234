"""What the databases say differently: the order of NULLs, upserts, and an UPDATE that returns its row."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ClauseList, ColumnElement, Table, Update, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from ..types import MARIADB
from ..upserts import changed, dialect_of, insert_on_conflict, is_duplicate

Columns = Sequence[ColumnElement[Any]]
_TURNS = 5


def sort_key(column: ColumnElement[Any], *, down: bool, nullable: bool, dialect: str) -> ColumnElement[Any]:
    """Sort NULLs last, up and down; text goes by code point, as its column's collation says."""
    ordered = column.desc() if down else column.asc()
    if not nullable:
        return ordered
    if dialect not in MARIADB:
        return ordered.nulls_last()
    # MariaDB takes NULL for the least value: going down it comes last by itself.
    return ordered if down else cast("ColumnElement[Any]", ClauseList(column.is_(None), ordered))


def insert_or_update(
    table: Table,
    row: Mapping[str, Any],
    *,
    by: str,
    changes: Iterable[str],
    touched: Mapping[str, Any],
    dialect: str = "postgresql",
) -> postgresql.Insert:
    """Write the upsert of PostgreSQL and SQLite; with nothing to change it returns the row that is there."""
    statement = insert_on_conflict(dialect, table).values(dict(row))
    written = {name: statement.excluded[name] for name in changes}
    # Without an assignment to make, RETURNING would leave out the row that is there.
    assigned = {**written, **touched} if written else {by: statement.excluded[by]}
    return statement.on_conflict_do_update(index_elements=[table.c[by]], set_=assigned)


async def upsert(
    session: AsyncSession,
    table: Table,
    row: Mapping[str, Any],
    *,
    by: str,
    changes: Collection[str],
    touched: Mapping[str, Any],
    returning: Columns,
) -> Sequence[Any]:
    """Insert a row, or write `changes` to the one with the same value of `by`; other duplicates raise."""
    dialect = dialect_of(session)
    if dialect != "mariadb":
        statement = insert_or_update(table, row, by=by, changes=changes, touched=touched, dialect=dialect)
        return (await session.execute(statement.returning(*returning))).one()
    # Its own upsert acts on a duplicate of any key. So change the row; where there is none, insert it; and
    # where another transaction has done so in between, change that one.
    same, written = table.c[by] == row[by], {name: row[name] for name in changes}
    there = select(*returning).where(same).with_for_update()
    for turn in range(_TURNS):
        if not written or await changed(session, update(table).where(same).values({**written, **touched})):
            found = (await session.execute(there)).one_or_none()
            if found is not None:
                return found
        try:
            return (await session.execute(insert(table).values(dict(row)).returning(*returning))).one()
        except IntegrityError as error:
            if turn == _TURNS - 1 or not is_duplicate(error, by):
                raise
    raise AssertionError  # pragma: no cover  # the last turn returns or raises


async def update_returning(
    session: AsyncSession, statement: Update, columns: Columns
) -> Sequence[Any] | None:
    """Update the row that a statement names by values that stay as they are; None where there is none."""
    if dialect_of(session) != "mariadb":
        return (await session.execute(statement.returning(*columns))).one_or_none()
    if not await changed(session, statement):
        return None
    where = statement.whereclause
    assert where is not None  # noqa: S101  # a verb names its row
    return (await session.execute(select(*columns).where(where))).one()
