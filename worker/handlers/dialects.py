"""What the databases say differently: upserts, and the order of NULLs and text."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, Table
from sqlalchemy.dialects import postgresql


def by_code_point(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """Compare text by code point, whatever the database's locale."""
    if dialect == "postgresql" and isinstance(column.type, String) and column.type.collation is None:
        return column.collate("C")
    return column


def sort_key(column: ColumnElement[Any], *, down: bool, nullable: bool, dialect: str) -> ColumnElement[Any]:
    """Sort NULLs last, up and down, and text by code point."""
    column = by_code_point(column, dialect)
    ordered = column.desc() if down else column.asc()
    return ordered.nulls_last() if nullable else ordered


def insert_or_update(
    table: Table, row: Mapping[str, Any], *, by: str, changes: Iterable[str], touched: Mapping[str, Any]
) -> postgresql.Insert:
    """Write PostgreSQL's upsert: where a row is there and nothing is to change, it is only returned."""
    statement = postgresql.insert(table).values(dict(row))
    written = {name: statement.excluded[name] for name in changes}
    # Without an assignment to make, RETURNING would leave out the row that is there.
    assigned = {**written, **touched} if written else {by: statement.excluded[by]}
    return statement.on_conflict_do_update(index_elements=[table.c[by]], set_=assigned)


def insert_or_nothing(table: Table, row: Mapping[str, Any]) -> postgresql.Insert:
    """Write PostgreSQL's insert that leaves a row as it is when it is there."""
    return postgresql.insert(table).values(dict(row)).on_conflict_do_nothing()
