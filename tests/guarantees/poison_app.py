"""A service one of whose commands ends the worker, or crashes the database session, that carries it out.

Leases are short here, that a test can wait for them.
"""

import os
from typing import ClassVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command
from tests.guarantees.counters import Bump, bump
from worker.app import App
from worker.engine import worker

PATH = "tests.guarantees.poison_app"

worker._LEASE, worker._RENEWED_EVERY = 1.0, 0.3


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


app = App({Bump: bump, Poison: exit_now, CrashSession: crash_session})
