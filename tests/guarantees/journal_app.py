"""The journal as a service of its own, for worker processes; line 13 of a book cannot be written."""

from sqlalchemy.ext.asyncio import AsyncSession

from tests.guarantees.journal import Write, write
from worker.app import App

PATH = "tests.guarantees.journal_app"
UNLUCKY = 13


async def write_unless_unlucky(session: AsyncSession, command: Write) -> None:
    """Write it down, or raise."""
    if command.line == UNLUCKY:
        raise ValueError("not this line")
    await write(session, command)


app = App({Write: write_unless_unlucky})
