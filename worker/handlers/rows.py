"""Rows on their way into statements: the same columns together, in an order that all writers keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Table

from .taken import unique_constraints, values_of

T = TypeVar("T")

Of = Callable[[T], Mapping[str, Any]]
"""Gives the values of a row, by column."""


def by_columns(rows: Iterable[T], of: Of[T]) -> list[list[T]]:
    """Put rows with the same columns together: they fit into one statement."""
    alike: dict[frozenset[str], list[T]] = {}
    for row in rows:
        alike.setdefault(frozenset(of(row)), []).append(row)
    return [alike[names] for names in sorted(alike, key=sorted)] if len(alike) > 1 else [*alike.values()]


def in_order(table: Table, rows: Sequence[T], of: Of[T], by: Sequence[str]) -> list[T]:
    """Sort rows by what finds them: two that write the same rows wait for each other, and do not deadlock.

    Rows of which one before has a unique value come last, as they were given. In a table that refers to
    itself all of them stay as they were given: a row may have to come after its parent.
    """
    if any(key.column.table is table for key in table.foreign_keys):
        return [*rows]
    first, later = apart(table, rows, of)
    return [*sorted(first, key=lambda row: _sortable(of(row), by)), *later]


def apart(table: Table, rows: Sequence[T], of: Of[T]) -> tuple[list[T], list[T]]:
    """Part rows from those of which one before has the key or a unique value."""
    later: set[int] = set()
    values = [*map(of, rows)]
    for names in (tuple(column.key for column in table.primary_key), *dict(unique_constraints(table))):
        column = _column(values, names)
        if len({*column}) < len(column):
            seen: set[Any] = set()
            for place, value in enumerate(column):
                if value in seen and value is not None:
                    later.add(place)
                seen.add(value)
    first = [row for place, row in enumerate(rows) if place not in later] if later else [*rows]
    return first, [rows[place] for place in sorted(later)]


def _column(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Any]:
    """Return the rows' values of some columns; None where a row has not all of them."""
    if len(names) == 1:
        [name] = names
        return [row.get(name) for row in rows]
    return [None if None in (value := values_of(row, names)) else value for row in rows]


def _sortable(row: Mapping[str, Any], by: Sequence[str]) -> Any:
    """UUIDs are slow to compare, and their numbers are not."""
    parts = [part.int if isinstance(part := row[name], UUID) else part for name in by]
    return parts if len(parts) > 1 else parts[0]
