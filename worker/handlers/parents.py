"""The rows that others refer to, looked for before these are written: a row without its parent is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from .. import retry
from ..upserts import dialect_of
from .taken import Values, found, values_of

Rows = Mapping[int, Mapping[str, Any]]
"""The values of rows, by their places."""


class Reference(NamedTuple):
    """A foreign key: the columns that refer to columns of the parent's table."""

    names: tuple[str, ...]
    parent: Table
    parent_names: tuple[str, ...]
    constraint: str


class Parents:
    """Says which rows of one command lack a parent. It may be on its way: there is one patience for all."""

    def __init__(self, session: AsyncSession, table: Table, *, unwritten: Collection[str] = ()) -> None:
        self._session, self._table = session, table
        self._absent = {
            reference: set[Values]()
            for reference in references(table)
            if not set(reference.names) & set(unwritten)
        }

    async def look(self, rows: Rows) -> dict[int, Reference]:
        """Look for the parents; return by place what a row lacks."""
        for reference in self._absent:
            wanted = {values_of(row, reference.names) for row in rows.values()}
            self._absent[reference] = {value for value in wanted if None not in value}
        await self._look_for_the_absent()
        return self.lacking(rows)

    async def wait(self, rows: Rows) -> dict[int, Reference]:
        """Look again for what was absent, for some two seconds; return by place what a row lacks then.

        Not on SQLite: there nobody else can write in this transaction's time.
        """
        lacking = self.lacking(rows)
        for pause in () if dialect_of(self._session) == "sqlite" else retry.PARENT_PAUSES:
            if not lacking:
                break
            await asyncio.sleep(pause)
            await self._look_for_the_absent()
            lacking = self.lacking(rows)
        return lacking

    def lacking(self, rows: Rows) -> dict[int, Reference]:
        """Return by place what a row lacks, as far as is known. A parent may be one of the rows itself."""
        lacking: dict[int, Reference] = {}
        while True:
            left = {place: row for place, row in rows.items() if place not in lacking}
            more: dict[int, Reference] = {}
            for reference, all_absent in self._absent.items():
                absent = all_absent
                if absent and reference.parent is self._table:
                    absent = absent - {values_of(row, reference.parent_names) for row in left.values()}
                for place, row in left.items() if absent else ():
                    if values_of(row, reference.names) in absent:
                        more[place] = reference
            if not more:
                return lacking
            lacking |= more

    async def _look_for_the_absent(self) -> None:
        for reference, absent in self._absent.items():
            absent.difference_update(
                await found(self._session, reference.parent, reference.parent_names, [*absent])
            )


def references(table: Table) -> Iterator[Reference]:
    """Give the foreign keys of a table; one that is checked only at the COMMIT is left to it."""
    for constraint in sorted(table.foreign_key_constraints, key=lambda constraint: str(constraint.name)):
        if not constraint.deferrable:
            elements = constraint.elements
            yield Reference(
                tuple(str(element.parent.key) for element in elements),
                constraint.referred_table,
                tuple(str(element.column.key) for element in elements),
                str(constraint.name or ""),
            )
