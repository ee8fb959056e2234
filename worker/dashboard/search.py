"""Commands that have ended, newest first: pages whose cost does not grow with the history.

Each page walks an index, and looks at a bounded number of rows: where few of them are what is searched for,
it says how far back it has looked, and the next page goes on from there.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import or_, select, tuple_

if TYPE_CHECKING:
    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from ..tables import WorkerTables

WINDOW = 5000
"""Most rows that one page looks at."""
LIMIT = 50
"""Commands on a page."""
_SHOWN = ("command_id", "kind", "entity", "ending", "error", "accepted_at", "began_at", "ended_at")


class Cursor(NamedTuple):
    """A place in the history: behind the command that ended then."""

    ended_at: datetime
    command_id: UUID

    def __str__(self) -> str:
        return f"{self.ended_at.isoformat()}~{self.command_id}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read what `str` wrote; None for anything else."""
        at, _, command_id = text.partition("~")
        try:
            moment, known = datetime.fromisoformat(at), UUID(command_id)
        except ValueError:
            return None
        return None if moment.tzinfo is None else cls(moment, known)


class Search(NamedTuple):
    """What is searched for: all that is not None has to be so."""

    kind: str | None = None
    ending: str | None = None
    entity: str | None = None
    before: Cursor | None = None


class Results(NamedTuple):
    """A page; `next` is where to go on, None at the end of the history.

    `looked_back_to` is set where the page has looked at all that it may, and there may be more before.
    """

    rows: list[Row[Any]]
    next: Cursor | None
    looked_back_to: datetime | None = None


async def search(session: AsyncSession, tables: WorkerTables, wanted: Search) -> Results:
    """Read one page."""
    rows = list((await session.execute(page_of(tables, wanted))).all())
    if len(rows) > LIMIT:
        return Results(rows[:LIMIT], Cursor(rows[LIMIT - 1].ended_at, rows[LIMIT - 1].command_id))
    if wanted.kind is None and wanted.ending is None:
        return Results(rows, None)
    last = (await session.execute(end_of_window(tables, wanted))).one_or_none()
    if last is None:
        return Results(rows, None)
    return Results(rows, Cursor(last.ended_at, last.command_id), last.ended_at)


def page_of(tables: WorkerTables, wanted: Search) -> Select[Any]:
    """Say how a page is read, and one row more."""
    looked_at = _newest(tables, wanted, _SHOWN)
    given = [(name, value) for name, value in (("kind", wanted.kind), ("ending", wanted.ending)) if value]
    if not given:
        return looked_at.limit(LIMIT + 1)
    window = looked_at.limit(WINDOW).subquery()
    found = select(window).where(*(window.c[name] == value for name, value in given))
    return found.order_by(window.c.ended_at.desc(), window.c.command_id.desc()).limit(LIMIT + 1)


def end_of_window(tables: WorkerTables, wanted: Search) -> Select[Any]:
    """Say how the last row is read that a page looks at."""
    return _newest(tables, wanted, ("ended_at", "command_id")).offset(WINDOW - 1).limit(1)


def _newest(tables: WorkerTables, wanted: Search, names: tuple[str, ...]) -> Select[Any]:
    table = tables.processed_commands
    found = select(*(table.c[name] for name in names))
    latest_first = table.c.ended_at.desc(), table.c.command_id.desc()
    if wanted.before is not None:
        at, command_id = wanted.before
        # The first condition is for the index, the second for those that ended in the same microsecond.
        behind = or_(table.c.ended_at < at, table.c.command_id < command_id)
        found = found.where(table.c.ended_at <= at, behind)
    if wanted.entity is None:
        return found.order_by(*latest_first)
    # Written as a range, and in its order, since for `entity = ...` PostgreSQL may walk the index of times
    # through the whole history.
    found = found.where(table.c.entity >= wanted.entity, table.c.entity <= wanted.entity)
    if wanted.before is not None:
        place = tuple_(table.c.entity, table.c.ended_at)
        types = [table.c.entity.type, table.c.ended_at.type]
        found = found.where(place <= tuple_(wanted.entity, wanted.before.ended_at, types=types))
    return found.order_by(table.c.entity.desc(), *latest_first)
