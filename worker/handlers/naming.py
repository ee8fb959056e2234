"""Which row of many the database refuses: PostgreSQL tells, on the others it is found by trying."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import Payload

from ..sqlstates import columns, driver_error
from ..upserts import dialect_of
from .halves import refuses

P = TypeVar("P", bound=Payload)
R = TypeVar("R")

Write = Callable[[Sequence[P]], Awaitable[R]]

# In whatever language the words behind it are.
_KEY = re.compile(r"[^(]*\([^()]*\)=\((.*)\)[^()]*", re.DOTALL)


async def naming_the_row(session: AsyncSession, rows: Sequence[P], write: Write[P, R]) -> R:
    """Write rows, all or none; note on the database's error which row it is about, if that can be known."""
    if dialect_of(session) != "postgresql":
        return await _by_trying(session, rows, write, first=0, count=len(rows))
    try:
        return await write(rows)
    except IntegrityError as error:
        if (place := _told(error, rows)) is not None:
            error.add_note(_note(place, len(rows)))
        raise


async def _by_trying(
    session: AsyncSession, rows: Sequence[P], write: Write[P, R], *, first: int, count: int
) -> R:
    """Write rows; where the database refuses them, do so again by halves, up to the first that it refuses.

    It costs as much as writing all of them two or three times, and knows nothing of values. Whoever catches
    the error has to roll back: rows before the one at fault are written.
    """
    try:
        async with session.begin_nested():
            return await write(rows)
    except DBAPIError as error:
        if refuses(error) and len(rows) == 1:
            error.add_note(_note(first, count))
        elif refuses(error):
            half = len(rows) // 2
            await _by_trying(session, rows[:half], write, first=first, count=count)
            await _by_trying(session, rows[half:], write, first=first + half, count=count)
        raise


def _told(error: IntegrityError, rows: Sequence[Payload]) -> int | None:
    """Find the row that has the values which PostgreSQL tells."""
    names, told = columns(error), _KEY.fullmatch(getattr(driver_error(error), "detail", None) or "")
    if not names or not told:
        return None
    for place, row in reversed([*enumerate(rows)]):  # of two equal ones, the later is refused
        if ", ".join(str(getattr(row, name, None)) for name in names.split(", ")) == told.group(1):
            return place
    return None


def _note(place: int, count: int) -> str:
    return f"in rows.{place} of {count}"
