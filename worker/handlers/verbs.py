"""The CRUD verbs, written once over a model and its view.

Each is one statement (on MariaDB one or two), and goes by columns, past the session's memory of objects.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, CursorResult, delete, insert, orm, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import Payload, View
from producers.commands.address import Updating, UpdatingVersion, Upserting
from producers.commands.where import UpdatingWhere, WritingWhere
from producers.errors import CommandRejected, CommandSuperseded, NotFound

from ..models import Base
from ..models.base import Timestamped, Versioned
from ..types import utcnow
from .dialects import update_returning, upsert
from .reads import Reads
from .rows import by_columns

V = TypeVar("V", bound=View)

_VALUES = 1000


class Verbs(Reads[V]):
    """What can be done with the rows of one model: the reads, and the writes.

    A payload's fields have the names of the model's columns. What the database refuses is raised as it
    comes: the executor tells by its SQLSTATE what it means.
    """

    def __init__(self, model: type[Base], view: type[V]) -> None:
        super().__init__(model, view)
        self._insert = insert(self.table).returning(*self._shown)
        self._insert_many = insert(self.table).returning(*self._shown, sort_by_parameter_order=True)
        self._with_default = {
            column.key
            for column in self.table.c
            if column.default is not None or column.server_default is not None
        }
        self._columns: dict[type[Payload], tuple[list[str], list[str]]] = {}
        self._touched: dict[str, ColumnElement[Any]] = {}
        if issubclass(model, Versioned):
            self._touched["version"] = self.table.c.version + 1
        if issubclass(model, Timestamped):
            self._touched["updated_at"] = utcnow()

    def values(self, payload: Payload) -> dict[str, Any]:
        """Name a new row's values by column.

        A None that nobody set leaves a column with a default of its own to that default. All other fields
        are there, set or not, so that the rows of a bulk command fit into one statement.
        """
        columns, with_default = self._columns_of(type(payload))
        values = {name: getattr(payload, name) for name in columns}
        left_out = [
            name for name in with_default if values[name] is None and name not in payload.model_fields_set
        ]
        for name in left_out:
            del values[name]
        return values

    def _columns_of(self, payload: type[Payload]) -> tuple[list[str], list[str]]:
        """Return the columns that a payload has values for, and those of them with a default of their own."""
        if payload not in self._columns:
            columns = [name for name in payload.model_fields if name in self.table.c]
            self._columns[payload] = columns, [name for name in columns if name in self._with_default]
        return self._columns[payload]

    async def create(self, session: AsyncSession, payload: Payload) -> V:
        """Insert one row."""
        return self.shape.of_row(await session.run_sync(self._inserted, self.values(payload)))

    def _inserted(self, session: orm.Session, values: dict[str, Any]) -> Any:
        """Run the statement on the session's connection: the session itself has nothing to add to columns."""
        return session.connection().execute(self._insert, values).one()

    async def create_many(self, session: AsyncSession, payloads: Sequence[Payload]) -> list[V]:
        """Insert rows by one statement for each set of columns, which as a rule is one."""
        rows = [self.values(payload) for payload in payloads]
        views: dict[int, V] = {}
        for places in by_columns(range(len(rows)), rows.__getitem__):
            result = await session.execute(self._insert_many, [rows[place] for place in places])
            views.update(zip(places, map(self.shape.of_row, result), strict=True))
        return [views[place] for place in range(len(rows))]

    async def update(self, session: AsyncSession, command: Updating) -> V | None:
        """Write what was set. The database reads and raises the version itself, so none is lost."""
        if isinstance(command, UpdatingVersion) and command.expected_version is not None:
            await self._expect(session, command, command.expected_version)
        changes = {**command.changes, **self._touched}
        statement = update(self.table).where(*self._named_by(command)).values(changes)
        row = await update_returning(session, statement, self._shown)
        if row is None and command.must_exist:
            raise NotFound(f"no {self._entity} has this {command.address}", field=command.address)
        return None if row is None else self.shape.of_row(row)

    async def _expect(self, session: AsyncSession, command: UpdatingVersion, expected: int) -> None:
        """Lock the row, and raise where it has another version; a missing one is for the update to find."""
        versions = select(self.table.c.version).where(*self._named_by(command)).with_for_update()
        found = (await session.execute(versions)).scalar_one_or_none()
        if found not in {None, expected}:
            message = f"the {self._entity} has version {found}, not {expected}"
            raise CommandSuperseded(message, field="expected_version")

    async def upsert(self, session: AsyncSession, command: Upserting) -> V:
        """Insert a row, or write what was set to the one that has the same value of `by`."""
        key = command.unique[0]
        row = {key: getattr(command, key), **command.values(without=("by",))}
        found = await upsert(
            session,
            self.table,
            row,
            by=command.by,
            changes=command.changes,
            touched=self._touched,
            returning=self._shown,
        )
        return self.shape.of_row(found)

    async def delete(self, session: AsyncSession, command: Payload) -> bool:
        """Delete the row, and what belongs to it by the database's cascade; say whether there was one."""
        result = await session.execute(delete(self.table).where(*self._named_by(command)))
        return cast("CursorResult[Any]", result).rowcount > 0

    async def update_where(self, session: AsyncSession, command: UpdatingWhere) -> int:
        """Write what was set to all rows for which the condition holds; return their number."""
        if command.dry_run:
            return await self.count(session, command)
        keys = await self._locked(session, command)
        for some in _in_parts(keys):
            changed = (
                update(self.table).where(self._has_key(some)).values({**command.changes, **self._touched})
            )
            await session.execute(changed)
        return len(keys)

    async def delete_where(self, session: AsyncSession, command: WritingWhere) -> int:
        """Delete all rows for which the condition holds, and what belongs to them; return their number."""
        if command.dry_run:
            return await self.count(session, command)
        keys = await self._locked(session, command)
        for some in _in_parts(keys):
            await session.execute(delete(self.table).where(self._has_key(some)))
        return len(keys)

    async def _locked(self, session: AsyncSession, command: WritingWhere) -> list[tuple[Any, ...]]:
        """Lock the rows for which the condition holds, in the order of their keys; refuse too many."""
        matching = self._selects(session).keys(command, self._key).limit(command.limit + 1)
        keys = [tuple(row) for row in await session.execute(matching.with_for_update(of=self._model))]
        if len(keys) > command.limit:
            message = f"more than {command.limit} rows are like this; narrow the condition or raise the limit"
            raise CommandRejected(message, code="too_many_rows", field="limit")
        return keys

    def _has_key(self, keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
        columns = [self.table.c[name] for name in self._key]
        return columns[0].in_([key for (key,) in keys]) if len(columns) == 1 else tuple_(*columns).in_(keys)


def _in_parts(keys: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Databases bound the number of values in a statement."""
    for first in range(0, len(keys), _VALUES):
        yield keys[first : first + _VALUES]
