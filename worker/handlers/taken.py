"""Why an insert leaves a row out: it is there already, or another row has one of its unique values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, UniqueConstraint, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

Values = tuple[Any, ...]


async def found(
    session: AsyncSession, table: Table, names: Sequence[str], values: Sequence[Values]
) -> set[Values]:
    """Return those of the `values` of some columns that a row has."""
    if not values:
        return set()
    columns = [table.c[name] for name in names]
    rows = await session.execute(select(*columns).where(_one_of(columns, values)))
    return {tuple(row) for row in rows}


async def holders(
    session: AsyncSession, table: Table, names: Sequence[str], values: Sequence[Values], *, by: str
) -> dict[Values, Any]:
    """Return those of the `values` of some columns that a row has, each with that row's value of `by`."""
    if not values:
        return {}
    columns = [table.c[name] for name in names]
    rows = await session.execute(select(table.c[by], *columns).where(_one_of(columns, values)))
    return {tuple(value): holder for holder, *value in rows}


async def keys_there(
    session: AsyncSession, table: Table, names: Sequence[str], keys: Sequence[Any]
) -> set[Any]:
    """Return those of the primary keys that are there; a key of several columns is a tuple."""
    if len(names) > 1:
        return await found(session, table, names, keys)
    return {key for (key,) in await found(session, table, names, [(key,) for key in keys])}


async def free(
    session: AsyncSession, table: Table, rows: Sequence[dict[str, Any]]
) -> Sequence[dict[str, Any]]:
    """Return the rows whose key and unique values no row has, neither one that is there nor one before."""
    key = tuple(column.name for column in table.primary_key)
    taken: dict[Values, set[Values]] = {}
    for names in (key, *(names for names, _ in unique_constraints(table))):
        wanted = [value for row in rows if None not in (value := values_of(row, names))]
        taken[names] = await found(session, table, names, wanted)
    left = []
    for row in rows:
        values = {names: value for names in taken if None not in (value := values_of(row, names))}
        if not any(value in taken[names] for names, value in values.items()):
            left.append(row)
            for names, value in values.items():
                taken[names].add(value)
    return left


def unique_constraints(table: Table) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the columns and the name of each unique constraint."""
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield tuple(str(column.key) for column in constraint.columns), str(constraint.name or "")


def _one_of(columns: Sequence[ColumnElement[Any]], values: Sequence[Values]) -> ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_([value for (value,) in values])
    return tuple_(*columns).in_(values)


def values_of(row: Mapping[str, Any], names: Sequence[str]) -> Values:
    """Return a row's values of some columns; None where it has none."""
    return tuple(row.get(name) for name in names)
