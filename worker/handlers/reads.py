"""The reads, written once over a model and its view."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, Select, Table, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import Page, Payload, View
from producers.commands.address import Addressed
from producers.commands.query import Including, Listing

from ..models import Base
from .dialects import sort_key
from .shape import Shape

V = TypeVar("V", bound=View)


class Reads(Generic[V]):
    """What can be asked of the rows of one model; a result is a view, or as many views as rows.

    Rows are read by columns, past the session's memory of objects, so that in a transaction of several
    commands each of them sees what the database holds. Objects appear where relations do.
    """

    def __init__(self, model: type[Base], view: type[V]) -> None:
        self.table = cast("Table", model.__table__)
        self.shape = Shape(model, view)
        self._model = model
        self._page: type[Page[V]] = Page[view]  # type: ignore[valid-type]  # made by Pydantic at run time
        self._key = tuple(str(column.key) for column in inspect(model).primary_key)
        self._shown = [self.table.c[name] for name in self.shape.columns]

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
