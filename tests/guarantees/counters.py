"""A domain of one command, which shows at once whether it was applied never, once or twice."""

from typing import ClassVar

from sqlalchemy import Column, Integer, MetaData, Table, select
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command
from worker.types import string
from worker.upserts import dialect_of, insert_on_conflict

COUNTERS = Table(
    "counters",
    MetaData(),
    Column("name", string(100), primary_key=True),
    Column("n", Integer(), nullable=False),
)


class Bump(Command[int]):
    """Add one to a counter; the result is what it is then."""

    kind: ClassVar[str] = "counter.bump"

    name: str


async def bump(session: AsyncSession, command: Bump) -> int:
    """Make it one, or one more than it was."""
    first, then = {"name": command.name, "n": 1}, {"n": COUNTERS.c.n + 1}
    dialect = dialect_of(session)
    if dialect == "mariadb":
        await session.execute(mysql.insert(COUNTERS).values(first).on_duplicate_key_update(then))
        reading = select(COUNTERS.c.n).where(COUNTERS.c.name == command.name)
        return int((await session.execute(reading)).scalar_one())
    statement = insert_on_conflict(dialect, COUNTERS).values(first)
    raised = statement.on_conflict_do_update(index_elements=["name"], set_=then)
    return int((await session.execute(raised.returning(COUNTERS.c.n))).scalar_one())
