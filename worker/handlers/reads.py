"""The reads, written once over a model and its view."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, Row, Select, Table, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ExecutableOption

from producers.commands import Page, Payload, View
from producers.commands.address import Addressed
from producers.commands.listing import Listing
from producers.commands.query import Filtering, Finding, Including, Ordering
from producers.errors import MultipleFound, NotFound

from ..models import Base
from .selects import Selects
from .shape import Shape

V = TypeVar("V", bound=View)

_DICTS = Page[dict[str, Any]]


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
        """Read the row that is named by its key or one unique field."""
        statement = self._selects(session).whole(self._loading(command)).where(*self._named_by(command))
        views = await self._views(session, statement, command.include)
        return views[0] if views else None

    async def find(self, session: AsyncSession, command: Finding) -> V | None:
        """Read the one row for which the condition holds, or None; raise MultipleFound."""
        statement = self._selects(session).rows(command, self._loading(command)).limit(2)
        views = await self._views(session, statement, command.include)
        if len(views) > 1:
            raise MultipleFound(f"more than one {self._entity} is like this", field="where")
        return views[0] if views else None

    async def one(self, session: AsyncSession, command: Finding) -> V:
        """Read the one row for which the condition holds; raise NotFound or MultipleFound."""
        view = await self.find(session, command)
        if view is None:
            raise NotFound(f"no {self._entity} is like this", field="where")
        return view

    async def first(self, session: AsyncSession, command: Ordering) -> V | None:
        """Read the first row in the order, or None."""
        for statement in self._selects(session).ordered(command, self._loading(command)):
            views = await self._views(session, statement.limit(1), command.include)
            if views:
                return views[0]
        return None

    async def page(self, session: AsyncSession, command: Listing) -> Page[V]:
        """Read a page of rows, and one row more to know whether others follow.

        With chosen fields the rows are dicts, as the sender knows: `Listing.pick` has that type.
        """
        rows: list[Row[Any]] = []
        for statement in self._selects(session).ordered(command, self._loading(command)):
            rows += await self._rows(session, statement.limit(command.limit + 1 - len(rows)), command.include)
            if len(rows) > command.limit:
                break
        rows, more = rows[: command.limit], len(rows) > command.limit
        about: dict[str, Any] = {"limit": command.limit, "offset": command.offset, "has_more": more}
        if more:
            about["next_cursor"] = command.cursor_behind(rows[-1][-len(command.order) :])
        if command.fields:
            items = tuple(dict(zip(command.fields, row, strict=False)) for row in rows)
            return cast("Page[V]", _DICTS(items=items, **about))
        return self._page(items=tuple(self._view(row, command.include) for row in rows), **about)

    async def count(self, session: AsyncSession, command: Filtering) -> int:
        """Count the rows."""
        counted = await session.execute(self._selects(session).count(command))
        return cast("int", counted.scalar_one())

    @property
    def _entity(self) -> str:
        return self._model.__name__.lower()

    def _selects(self, session: AsyncSession) -> Selects:
        return Selects(self._model, self._shown, session.get_bind(self._model).dialect.name)

    def _loading(self, command: Including) -> list[ExecutableOption]:
        return self.shape.loading(command.include) if command.include else []

    def _named_by(self, command: Payload) -> list[ColumnElement[bool]]:
        names = (command.address,) if isinstance(command, Addressed) else self._key
        return [self.table.c[name] == getattr(command, name) for name in names]

    async def _views(self, session: AsyncSession, statement: Select[Any], include: Sequence[str]) -> list[V]:
        return [self._view(row, include) for row in await self._rows(session, statement, include)]

    async def _rows(
        self, session: AsyncSession, statement: Select[Any], include: Sequence[str]
    ) -> list[Row[Any]]:
        # An earlier command of this transaction may have left objects behind; they are not to be believed.
        options = {"populate_existing": True} if include else {}
        return list(await session.execute(statement, execution_options=options))

    def _view(self, row: Row[Any], include: Sequence[str]) -> V:
        return self.shape.of_object(row[0], include) if include else self.shape.of_row(row)
