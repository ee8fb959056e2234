"""PostgreSQL's quickest insert that can leave rows out: one array for each column."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Insert, String, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine


async def insert_unnested(session: AsyncSession, table: Table, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """Insert rows, but for those whose key or unique field is taken; return the keys of the inserted.

    The rows have the same columns. A key of several columns is a tuple.
    """
    arrays = {name: [row[name] for row in rows] for name in sorted(rows[0])}
    for name in [name for name, values in arrays.items() if values.count(None) == len(values)]:
        if table.c[name].default is None and table.c[name].server_default is None:
            del arrays[name]  # it is NULL either way
    inserted = await session.execute(_statement(table, tuple(arrays)), arrays)
    if len(table.primary_key) == 1:
        return [*inserted.scalars()]
    return [tuple(row) for row in inserted]


@cache
def _statement(table: Table, names: tuple[str, ...]) -> Insert:
    arrays = [bindparam(name, type_=ARRAY(_unbounded(table.c[name].type))) for name in names]
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    return (
        postgresql.insert(table)
        .from_select(list(names), select(*rows.c))
        .on_conflict_do_nothing()
        .returning(*table.primary_key)
    )


def _unbounded(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Leave a text's length to the column: a cast to varchar(50) would cut it off, and say nothing."""
    return String() if isinstance(type_, String) else type_
