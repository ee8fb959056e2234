"""The CRUD verbs, written once over a model and its view.

Each is one statement. They go by columns, past the session's memory of objects: that is quicker, and in a
transaction of several commands each of them sees what the database holds. Objects appear where relations do.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    Table,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import Page, Payload, View
from producers.commands.address import Addressed, Updating, Upserting
from producers.commands.query import Including, Listing
from producers.errors import CommandRejected

from ..models import Base
from ..models.base import Timestamped, Versioned
from .dialects import insert_or_update, sort_key
from .shape import Shape

V = TypeVar("V", bound=View)


class Verbs(Generic[V]):
    """What can be done with the rows of one model; a result is a view, or as many views as rows.

    A payload's fields have the names of the model's columns. What the database refuses is raised as it
    comes: the executor tells by its SQLSTATE what it means.
    """

    def __init__(self, model: type[Base], view: type[V]) -> None:
        self.table = cast("Table", model.__table__)
        self.shape = Shape(model, view)
        self._model = model
        self._page: type[Page[V]] = Page[view]  # type: ignore[valid-type]  # made by Pydantic at run time
        self._key = tuple(str(column.key) for column in inspect(model).primary_key)
        self._shown = [self.table.c[name] for name in self.shape.columns]
        self._insert = insert(self.table).returning(*self._shown)
        self._insert_many = insert(self.table).returning(*self._shown, sort_by_parameter_order=True)
        self._with_default = {
            column.key
            for column in self.table.c
            if column.default is not None or column.server_default is not None
        }
        self._touched: dict[str, ColumnElement[Any]] = {}
        if issubclass(model, Versioned):
            self._touched["version"] = self.table.c.version + 1
        if issubclass(model, Timestamped):
            self._touched["updated_at"] = func.now()

    def values(self, payload: Payload) -> dict[str, Any]:
        """Name a new row's values by column.

        A None that nobody set leaves a column with a default of its own to that default. All other fields
        are there, set or not, so that the rows of a bulk command fit into one statement.
        """
        values = {name: getattr(payload, name) for name in type(payload).model_fields if name in self.table.c}
        left_out = [
            name
            for name in self._with_default.intersection(values)
            if values[name] is None and name not in payload.model_fields_set
        ]
        for name in left_out:
            del values[name]
        return values

    async def create(self, session: AsyncSession, payload: Payload) -> V:
        """Insert one row."""
        result = await session.execute(self._insert, self.values(payload))
        return self.shape.of_row(result.one())

    async def create_many(self, session: AsyncSession, payloads: Sequence[Payload]) -> list[V]:
        """Insert rows by one statement for each set of columns, which as a rule is one."""
        rows = [self.values(payload) for payload in payloads]
        alike: dict[frozenset[str], list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(frozenset(row), []).append(place)
        views: dict[int, V] = {}
        for places in alike.values():
            result = await session.execute(self._insert_many, [rows[place] for place in places])
            views.update(zip(places, map(self.shape.of_row, result), strict=True))
        return [views[place] for place in range(len(rows))]

    async def update(self, session: AsyncSession, command: Updating) -> V | None:
        """Write what was set. The database reads and raises the version itself, so none is lost."""
        changes = {**command.changes, **self._touched}
        statement = update(self.table).where(*self._named_by(command)).values(changes)
        row = (await session.execute(statement.returning(*self._shown))).one_or_none()
        if row is None and command.must_exist:
            entity = self._model.__name__.lower()
            raise CommandRejected(
                f"no {entity} has this {command.address}", code="not_found", field=command.address
            )
        return None if row is None else self.shape.of_row(row)

    async def upsert(self, session: AsyncSession, command: Upserting) -> V:
        """Insert a row, or write what was set to the one that has the same value of `by`."""
        key = command.unique[0]
        row = {key: getattr(command, key), **command.values(without=("by",))}
        statement = insert_or_update(
            self.table, row, by=command.by, changes=command.changes, touched=self._touched
        )
        return self.shape.of_row((await session.execute(statement.returning(*self._shown))).one())

    async def delete(self, session: AsyncSession, command: Payload) -> bool:
        """Delete the row, and what belongs to it by the database's cascade; say whether there was one."""
        result = await session.execute(delete(self.table).where(*self._named_by(command)))
        return cast("CursorResult[Any]", result).rowcount > 0

    async def get(self, session: AsyncSession, command: Including) -> V | None:
        """Read the row."""
        statement = self._select(command.include).where(*self._named_by(command))
        views = await self._read(session, statement, command.include)
        return views[0] if views else None

    async def page(self, session: AsyncSession, command: Listing) -> Page[V]:
        """Read a page of rows, and one row more to know whether others follow."""
        statement = self._select(command.include).order_by(*self._order(session, command.order_by))
        statement = statement.limit(command.limit + 1).offset(command.offset)
        views = await self._read(session, statement, command.include)
        return self._page(
            items=tuple(views[: command.limit]),
            limit=command.limit,
            offset=command.offset,
            has_more=len(views) > command.limit,
        )

    async def count(self, session: AsyncSession) -> int:
        """Count the rows."""
        return (await session.execute(select(func.count()).select_from(self.table))).scalar_one()

    def _named_by(self, command: Payload) -> list[ColumnElement[bool]]:
        names = (command.address,) if isinstance(command, Addressed) else self._key
        return [self.table.c[name] == getattr(command, name) for name in names]

    def _select(self, include: Sequence[str]) -> Select[Any]:
        if include:
            return select(self._model).options(*self.shape.loading(include))
        return select(*self._shown)

    async def _read(self, session: AsyncSession, statement: Select[Any], include: Sequence[str]) -> list[V]:
        if not include:
            return [self.shape.of_row(row) for row in await session.execute(statement)]
        # An earlier command of this transaction may have left objects behind; they are not to be believed.
        objects = await session.scalars(statement, execution_options={"populate_existing": True})
        return [self.shape.of_object(row, include) for row in objects]

    def _order(self, session: AsyncSession, order_by: Sequence[str]) -> Iterable[ColumnElement[Any]]:
        dialect = session.get_bind(self._model).dialect.name
        for name in order_by:
            yield sort_key(self.table.c[name.removeprefix("-")], down=name.startswith("-"), dialect=dialect)
        named = {name.removeprefix("-") for name in order_by}
        yield from (self.table.c[name] for name in self._key if name not in named)
