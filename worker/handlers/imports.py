"""Imports: rows that are each judged by themselves, in one transaction. It is what `load` sends.

The way is the same for all of them: one statement for a thousand rows; what it left out is looked at by two
more. Rows whose parents are missing or, in an upsert, whose unique values are taken are looked up before, so
that however many there are they cost one SELECT for each foreign key or unique constraint. Where the database
refuses the statement all the same, `halves` finds the rows that it refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import Imported, Payload, Refusal, View
from producers.errors import CommandRejected

from .. import retry
from ..upserts import dialect_of
from .bulk import BulkVerbs, Row, set_values
from .claims import claims
from .halves import Halves
from .parents import Parents
from .rows import apart, by_columns, in_order
from .skipping import insert_skipping
from .taken import found, keys_there, unique_constraints
from .unnest import insert_unnested

V = TypeVar("V", bound=View)

Reason = tuple[str, str | None, str]
"""Code, field and message, as an error has them."""


class Placed(NamedTuple):
    """A row, its place in the command and its primary key."""

    place: int
    key: Any
    values: Row


_values = attrgetter("values")


async def import_rows(
    verbs: BulkVerbs[V],
    session: AsyncSession,
    payloads: Sequence[Payload],
    *,
    by: str | None = None,
    refused: Mapping[int, CommandRejected] | None = None,
) -> Imported:
    """Insert rows, or with `by` upsert them; say what became of each. `refused` are not even tried."""
    work = Import(verbs, session)
    for place, error in (refused or {}).items():
        work.refuse(place, (error.code, error.field, str(error.message)))
    left = [(place, row) for place, row in enumerate(payloads) if place not in (refused or {})]
    if by is None:
        await work.insert([Placed(place, verbs.key_of(row), verbs.values(row)) for place, row in left])
    else:
        key = verbs.key_name
        await work.upsert([Placed(place, verbs.key_of(row), set_values(row, key)) for place, row in left], by)
    return work.done()


class Import:
    """One import on its way."""

    def __init__(self, verbs: BulkVerbs[Any], session: AsyncSession) -> None:
        self._verbs, self._session = verbs, session
        self._table = verbs.table
        self._written = 0
        self._duplicates: list[int] = []
        self._refused: dict[Reason, list[int]] = {}

    def refuse(self, place: int, reason: Reason) -> None:
        """Leave a row out, and say why."""
        self._refused.setdefault(reason, []).append(place)

    def done(self) -> Imported:
        """Say what became of the rows."""
        rejected = [
            Refusal(code=code, field=field, message=message, rows=tuple(sorted(places)))
            for (code, field, message), places in self._refused.items()
        ]
        return Imported(
            written=self._written, duplicates=tuple(sorted(self._duplicates)), rejected=tuple(rejected)
        )

    async def insert(self, rows: Sequence[Placed]) -> None:
        """Insert the rows whose keys are not there."""
        news: dict[Any, Placed] = {}
        for row in rows:
            if news.setdefault(row.key, row) is not row:
                self._duplicates.append(row.place)
        left = await self._with_parents([*news.values()])
        for alike in by_columns(in_order(self._table, left, _values, self._verbs.key_names), _values):
            halves = Halves(self._session, self._insert)
            await halves.take(alike)
            self._written += sum(map(len, halves.written))
            self._refuse_all(halves)
            written = {key for keys in halves.written for key in keys}
            refused = {row.key for row, _ in halves.refused}
            await self._explain([row for row in alike if row.key not in written and row.key not in refused])

    async def upsert(self, rows: Sequence[Placed], by: str) -> None:
        """Insert or change the rows; those that find the same one do so one after the other."""
        rounds: list[list[Placed]] = []
        times: dict[Any, int] = {}
        for row in rows:
            value = row.values.get(by)
            if value is None:
                self.refuse(row.place, ("missing", by, f"{by} has to be set: it finds the row"))
                continue
            turn = times[value] = times.get(value, -1) + 1
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(row)
        key = self._verbs.key_name
        for turn_rows in rounds:
            left = await self._with_parents(turn_rows, unwritten={key} - {by})
            for some in apart(self._table, left, _values):
                await self._upsert(some, by)

    async def _upsert(self, rows: Sequence[Placed], by: str) -> None:
        async def write(some: Sequence[Placed]) -> int:
            await self._verbs.upsert_rows(self._session, [row.values for row in some], by=by)
            return len(some)

        statements = await self._verbs.in_turn(self._session, rows, _values, by)
        in_turn = [row for alike in statements for row in alike]
        free, refused = await claims(self._session, self._table, in_turn, _values, by=by)
        for row, (names, constraint) in refused:
            self.refuse(row.place, _violation("unique", ", ".join(names), constraint))
        for alike in by_columns(free, _values):
            halves = Halves(self._session, write)
            await halves.take(alike)
            self._written += sum(halves.written)
            self._refuse_all(halves)

    async def _with_parents(
        self, rows: Sequence[Placed], *, unwritten: Collection[str] | None = None
    ) -> list[Placed]:
        """Refuse rows without their parents, which are waited for.

        An upsert has columns that it leaves `unwritten` in a row that is there; an insert leaves all of it.
        """
        parents = Parents(self._session, self._table, unwritten=unwritten or ())
        left = {row.place: row for row in rows}
        lacking = await parents.look({place: row.values for place, row in left.items()})
        if lacking and unwritten is None:
            there = await self._there([left[place] for place in lacking])
            for place in [place for place in lacking if left[place].key in there]:
                self._duplicates.append(place)
                del left[place]
        lacking = await parents.wait({place: row.values for place, row in left.items()})
        for place, reference in lacking.items():
            self.refuse(place, _violation("foreign_key", ", ".join(reference.names), reference.constraint))
        return [row for place, row in left.items() if place not in lacking]

    async def _insert(self, rows: Sequence[Placed]) -> Sequence[Any]:
        values = [row.values for row in rows]
        if dialect_of(self._session) == "postgresql":
            return await insert_unnested(self._session, self._table, values)
        keys = [self._table.c[name] for name in self._verbs.key_names]
        inserted = await insert_skipping(self._session, self._table, values, returning=keys)
        return [tuple(row) if len(keys) > 1 else row[0] for row in inserted]

    def _refuse_all(self, halves: Halves[Placed, Any]) -> None:
        for row, error in halves.refused:
            failure = retry.classify(error)
            self.refuse(row.place, (failure.code, failure.field, failure.message))

    async def _explain(self, skipped: Sequence[Placed]) -> None:
        """Tell rows that are there from those of which another row has a unique value."""
        there = await self._there(skipped)
        self._duplicates += [row.place for row in skipped if row.key in there]
        left = [row for row in skipped if row.key not in there]
        for names, constraint in unique_constraints(self._table):
            values = {row.place: tuple(row.values.get(name) for name in names) for row in left}
            wanted = [value for value in values.values() if None not in value]
            taken = await found(self._session, self._table, names, wanted)
            for row in left:
                if values[row.place] in taken:
                    self.refuse(row.place, _violation("unique", ", ".join(names), constraint))
            left = [row for row in left if values[row.place] not in taken]
        for row in left:  # what was in its way a moment ago is gone
            self.refuse(row.place, _violation("unique", None))

    async def _there(self, rows: Sequence[Placed]) -> set[Any]:
        names = self._verbs.key_names
        return await keys_there(self._session, self._table, names, [row.key for row in rows])


def _violation(kind: str, fields: str | None, constraint: str = "") -> Reason:
    """Say it as an error of the database would be told."""
    about = ", ".join(filter(None, (fields, constraint)))
    code = f"{kind}_violation"
    return code, fields, code.replace("_", " ") + (f" ({about})" if about else "")
