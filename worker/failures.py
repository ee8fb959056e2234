"""The dead letters as a person looks into them: by groups of one error at one place, and a page at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select, tuple_

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .tables import WorkerTables

OPEN = ("rejected", "dead")
"""The states of letters that wait for a person, and for nothing else."""
_UNSHOWN = {"body", "traceback"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant: those that have all that is given; None is anything."""

    kind: str | None = None
    code: str | None = None
    error_class: str | None = None
    place: str | None = None
    states: tuple[str, ...] = OPEN

    def narrowed(self, **given: Any) -> Choice:
        """Make one that also has to have what is `given`."""
        return replace(self, **given)


ALL = Choice()
"""All that wait for a person."""
RETRIED = Choice(states=("retrying",))
"""Those whose replay has not ended yet: it waits for its turn, or never reached Redis."""


class Group(NamedTuple):
    """Open letters of one kind and one error, raised at one place of the code; when the first and last died.

    `place` is "" where no function of the domain had a part in it.
    """

    kind: str
    code: str
    error_class: str
    place: str
    size: int
    first_at: datetime
    last_at: datetime

    @property
    def id(self) -> str:
        """A short name of it, the same as long as its error and place are: for links and command lines."""
        words = "\0".join(self[:4])
        return hashlib.sha256(words.encode()).hexdigest()[:8]

    @property
    def choice(self) -> Choice:
        """Its letters."""
        return Choice(self.kind, self.code, self.error_class, self.place)


class Cursor(NamedTuple):
    """Where a page ended: at the letter that died then."""

    died_at: datetime
    command_id: UUID


class Page(NamedTuple):
    """Letters, without what may hold values of rows or payloads; `next` is None on the last page."""

    letters: list[Row[Any]]
    next: Cursor | None


async def groups(session: AsyncSession, tables: WorkerTables, choice: Choice = ALL) -> list[Group]:
    """Count the letters by kind, error and place, the group of the latest first.

    It reads the letters of these states by their index: its cost grows with what waits, not with the rest.
    """
    table = tables.dead_letters
    what = table.c.kind, table.c.code, table.c.error_class, table.c.place
    last_at = func.max(table.c.died_at)
    counted = select(*what, func.count(), func.min(table.c.died_at), last_at).where(*_meant(tables, choice))
    in_order = counted.group_by(*what).order_by(last_at.desc(), *what)
    return [Group(*row) for row in await session.execute(in_order)]


async def group(session: AsyncSession, tables: WorkerTables, group_id: str) -> Group | None:
    """Find an open group by its short name."""
    return next((found for found in await groups(session, tables) if found.id == group_id), None)


async def page(
    session: AsyncSession,
    tables: WorkerTables,
    choice: Choice = ALL,
    *,
    after: Cursor | None = None,
    limit: int = 100,
) -> Page:
    """List letters, the latest first, on behind the end of the page before."""
    table = tables.dead_letters
    place = tuple_(table.c.died_at, table.c.command_id)
    shown = [column for column in table.c if column.name not in _UNSHOWN]
    found = select(*shown).where(*_meant(tables, choice))
    if after is not None:
        found = found.where(place < tuple_(*after, types=[table.c.died_at.type, table.c.command_id.type]))
    latest_first = found.order_by(table.c.died_at.desc(), table.c.command_id.desc()).limit(limit + 1)
    letters = list((await session.execute(latest_first)).all())
    more = len(letters) > limit
    letters = letters[:limit]
    return Page(letters, Cursor(letters[-1].died_at, letters[-1].command_id) if more else None)


async def chosen(
    session: AsyncSession, tables: WorkerTables, choice: Choice = ALL, *, limit: int | None = None
) -> list[UUID]:
    """List the ids of these letters, or the first of them, in the order of acceptance: so replay them."""
    table = tables.dead_letters
    accepted_at = func.coalesce(table.c.accepted_at, table.c.died_at)
    found = select(table.c.command_id).where(*_meant(tables, choice))
    in_order = found.order_by(accepted_at, table.c.command_id).limit(limit)
    return list((await session.execute(in_order)).scalars())


def _meant(tables: WorkerTables, choice: Choice) -> list[ColumnElement[bool]]:
    table = tables.dead_letters
    given = {name: getattr(choice, name) for name in ("kind", "code", "error_class", "place")}
    named = [table.c[name] == value for name, value in given.items() if value is not None]
    return [table.c.state.in_(choice.states), *named]
