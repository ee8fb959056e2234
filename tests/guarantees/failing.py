"""Handlers of a Bump that fail."""

from sqlalchemy.ext.asyncio import AsyncSession

from tests.guarantees.counters import Bump, bump
from worker.app import Handler


def failing(times: int, error: BaseException) -> Handler:
    """Fail so many times, then bump."""
    left = times

    async def handler(session: AsyncSession, command: Bump) -> int:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return await bump(session, command)

    return handler


async def broken(_session: AsyncSession, _command: Bump) -> int:
    """Fail every time."""
    raise ValueError("a bug")
