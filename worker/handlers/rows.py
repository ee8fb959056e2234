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
    return [*sorted(first, key=lambda row: _sortable(values_of(of(row), by))), *later]


def apart(table: Table, rows: Sequence[T], of: Of[T]) -> tuple[list[T], list[T]]:
    """Part rows from those of which one before has the key or a unique value."""
    key = tuple(column.key for column in table.primary_key)
    seen: dict[tuple[str, ...], set[Any]] = {key: set()}
    seen.update((names, set()) for names, _ in unique_constraints(table))
    first: list[T] = []
    later: list[T] = []
    for row in rows:
        values, clashes = of(row), False
        for names, taken in seen.items():
            value = values_of(values, names)
            if None not in value:
                clashes = clashes or value in taken
                taken.add(value)
        (later if clashes else first).append(row)
    return first, later


def _sortable(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """UUIDs are slow to compare, and their numbers are not."""
    return tuple(part.int if isinstance(part, UUID) else part for part in value)
