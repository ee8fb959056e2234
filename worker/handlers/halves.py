"""Rows that are written together where they can be, and refused one by one where they cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from .. import retry
from ..failure import Cause

T = TypeVar("T")
R = TypeVar("R")


class Halves(Generic[T, R]):
    """Writes rows by `write`, which takes any number of them; `refused` are the ones that it fails with.

    Each write has a savepoint. Where the database refuses it, it is done again by halves, so that one bad
    row among a thousand costs some twenty statements, and a thousand bad ones some thousands: what can be
    known before is best looked up before. Any other error is the whole command's.
    """

    def __init__(self, session: AsyncSession, write: Callable[[Sequence[T]], Awaitable[R]]) -> None:
        self.written: list[R] = []
        self.refused: list[tuple[T, DBAPIError]] = []
        self._session, self._write = session, write

    async def take(self, rows: Sequence[T]) -> None:
        """Write the rows, or what can be of them."""
        if not rows:
            return
        try:
            async with self._session.begin_nested():
                result = await self._write(rows)
        except DBAPIError as error:
            await self._again(rows, error)
        else:
            self.written.append(result)

    async def _again(self, rows: Sequence[T], error: DBAPIError) -> None:
        if not refuses(error):
            raise error
        if len(rows) == 1:
            self.refused.append((rows[0], error))
        else:
            half = len(rows) // 2
            await self.take(rows[:half])
            await self.take(rows[half:])


def refuses(error: DBAPIError) -> bool:
    """Whether the database refuses a row, and would take others."""
    return retry.cause_of(error) in {Cause.REFUSED, Cause.PARENT}
