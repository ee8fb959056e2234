"""A domain one of whose commands ends the worker, or crashes the database session, that carries it out."""

import os
from typing import ClassVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command


class Poison(Command[None]):
    """End the process."""

    kind: ClassVar[str] = "poison.exit"


class CrashSession(Command[None]):
    """Kill the process of PostgreSQL that carries it out, as one of its bugs would."""

    kind: ClassVar[str] = "poison.crash_session"


async def exit_now(_session: AsyncSession, _command: Poison) -> None:
    os._exit(3)


async def crash_session(session: AsyncSession, _command: CrashSession) -> None:
    """Kill it from the same machine: this is a server of the test's own."""
    pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    os.kill(pid, 9)
    await session.execute(text("SELECT 1"))
