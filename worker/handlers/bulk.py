"""The verbs for many rows: each is one statement for each set of columns, which as a rule is one.

MariaDB has no word for some of them, and takes a few more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import Payload, View
from producers.commands.bulk import OnDuplicate, UpsertingMany

from ..sqlstates import sqlstate_of
from ..upserts import dialect_of
from .dialects import Columns, insert_or_update, upsert
from .halves import Halves
from .naming import naming_the_row
from .rows import Of, by_columns, in_order
from .skipping import TAKEN, insert_skipping
from .verbs import Verbs

T = TypeVar("T")
V = TypeVar("V", bound=View)
Row = dict[str, Any]


class BulkVerbs(Verbs[V]):
    """The verbs, and those for many rows at once: all of them are written, or none."""

    async def create_rows(
        self, session: AsyncSession, payloads: Sequence[Payload], on_duplicate: OnDuplicate
    ) -> list[V | None]:
        """Insert rows; where duplicates are skipped, None stands for each of them."""
        if on_duplicate == "reject":
            return [*await naming_the_row(session, payloads, partial(self.create_many, session))]
        views: dict[Any, V] = {}
        first = {self.key_of(payload): place for place, payload in reversed([*enumerate(payloads)])}
        rows = [self.values(payloads[place]) for place in sorted(first.values())]
        for alike in by_columns(in_order(self.table, rows, dict, self._key), dict):
            views.update(await self._insert_skipping(session, alike))
        return [
            views.get(self.key_of(payload)) if first[self.key_of(payload)] == place else None
            for place, payload in enumerate(payloads)
        ]

    async def upsert_many(self, session: AsyncSession, command: UpsertingMany) -> list[V]:
        """Insert each row, or write what it sets to the one that has its value of `by`."""
        by = command.by

        async def write(rows: Sequence[Payload]) -> dict[Any, V]:
            views: dict[Any, V] = {}
            values = [set_values(row, command.unique[0]) for row in rows]
            for alike in await self.in_turn(session, values, dict, by):
                written = await self.upsert_rows(session, alike, by=by, returning=self._shown)
                views.update((found, self.shape.of_row(row)) for found, *row in written)
            return views

        views = await naming_the_row(session, command.rows, write)
        return [views[getattr(row, by)] for row in command.rows]

    async def upsert_rows(
        self, session: AsyncSession, rows: Sequence[Row], *, by: str, returning: Columns = ()
    ) -> Sequence[Any]:
        """Upsert rows with the same columns; return of each its value of `by`, then `returning`.

        Where nothing is to be returned, only MariaDB does.
        """
        changes = [name for name in rows[0] if name not in {self.key_name, by}]
        shown, dialect = [self.table.c[by], *returning], dialect_of(session)
        if dialect == "mariadb":  # one after the other
            options: dict[str, Any] = {"by": by, "changes": changes, "touched": self._touched}
            return [await upsert(session, self.table, row, **options, returning=shown) for row in rows]
        statement = insert_or_update(
            self.table, rows[0], by=by, changes=changes, touched=self._touched, dialect=dialect
        )
        if returning:
            return (await session.execute(statement.returning(*shown), rows)).all()
        await session.execute(statement, rows)
        return ()

    async def in_turn(self, session: AsyncSession, rows: Sequence[T], of: Of[T], by: str) -> list[list[T]]:
        """Put the rows of an upsert into statements and into order, so that no two upserts deadlock.

        Several statements would each begin anew, so all rows that are there are locked before.
        """
        ordered = in_order(self.table, rows, of, (by,))
        statements = by_columns(ordered, of)
        if len(statements) > 1 and dialect_of(session) == "postgresql":
            column = self.table.c[by]
            there = select(column).where(column.in_([of(row)[by] for row in rows])).order_by(column)
            await session.execute(there.with_for_update(key_share=True))
        return statements

    @property
    def key_names(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return self._key

    @property
    def key_name(self) -> str:
        """The one column of the primary key."""
        [name] = self._key
        return name

    def key_of(self, row: Any) -> Any:
        """Return the primary key of a payload: its value, or a tuple of them."""
        return attrgetter(*self._key)(row)

    async def _insert_skipping(self, session: AsyncSession, rows: Sequence[Row]) -> dict[Any, V]:
        if dialect_of(session) != "mariadb":
            return await self._write_skipping(session, rows)
        halves = Halves[Row, dict[Any, V]](session, partial(self._write_skipping, session))
        await halves.take(rows)
        for _, error in halves.refused:
            if sqlstate_of(error) != TAKEN:
                raise error
        return {key: view for views in halves.written for key, view in views.items()}

    async def _write_skipping(self, session: AsyncSession, rows: Sequence[Row]) -> dict[Any, V]:
        keys = [self.table.c[name] for name in self._key]
        written = await insert_skipping(session, self.table, rows, returning=[*keys, *self._shown])
        count = len(keys)
        return {
            row[0] if count == 1 else tuple(row[:count]): self.shape.of_row(row[count:]) for row in written
        }


def set_values(payload: Payload, key: str) -> Row:
    """Return the key of a row, and what it sets, by column."""
    given = payload.model_fields_set | {key}
    return {name: getattr(payload, name) for name in type(payload).model_fields if name in given}
