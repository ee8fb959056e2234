"""The unique values that the rows of an upsert claim: a row is refused where another one holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from .rows import Of
from .taken import holders, keys_there, unique_constraints, values_of

T = TypeVar("T")

Constraint = tuple[tuple[str, ...], str]
"""The columns and the name of a unique constraint."""


async def claims(
    session: AsyncSession, table: Table, rows: Sequence[T], of: Of[T], *, by: str
) -> tuple[list[T], list[tuple[T, Constraint]]]:
    """Part rows that can have what they claim from those of which another row has a unique value.

    A value is free again where a row before makes its holder give it up. No two of the rows have a unique
    value in common.
    """
    [key] = [column.key for column in table.primary_key]
    constraints = [((key,), str(table.primary_key.name or "")), *unique_constraints(table)]
    constraints = [constraint for constraint in constraints if constraint[0] != (by,)]
    held = {}
    for names, _ in constraints:
        wanted = [value for row in rows if None not in (value := values_of(of(row), names))]
        held[names] = await holders(session, table, names, wanted, by=by)
    there = set[Any]()
    if any(held[names] and key in names for names, _ in constraints):
        there = await keys_there(session, table, [by], [of(row)[by] for row in rows])
    given_up: dict[tuple[str, ...], set[Any]] = {names: set() for names in held}
    free: list[T] = []
    refused: list[tuple[T, Constraint]] = []
    for row in rows:
        values, found_by = of(row), of(row)[by]
        # The key of a row that is there stays as it is.
        of_row = [one for one in constraints if not (key in one[0] and key != by and found_by in there)]
        for names, name in of_row:
            value = values_of(values, names)
            if value in held[names] and held[names][value] not in {found_by, *given_up[names]}:
                refused.append((row, (names, name)))
                break
        else:
            free.append(row)
            for names, _ in of_row:
                if values.keys() >= set(names):
                    given_up[names].add(found_by)
    return free, refused
