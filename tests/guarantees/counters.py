"""A domain of one command, which shows at once whether it was applied never, once or twice."""

from typing import ClassVar

from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command

COUNTERS = Table(
    "counters",
    MetaData(),
    Column("name", Text(), primary_key=True),
    Column("n", Integer(), nullable=False),
)


class Bump(Command[int]):
    """Add one to a counter; the result is what it is then."""

    kind: ClassVar[str] = "counter.bump"

    name: str


async def bump(session: AsyncSession, command: Bump) -> int:
    """Make it one, or one more than it was."""
    statement = insert(COUNTERS).values(name=command.name, n=1)
    raised = statement.on_conflict_do_update(index_elements=["name"], set_={"n": COUNTERS.c.n + 1})
    n: int = (await session.execute(raised.returning(COUNTERS.c.n))).scalar_one()
    return n
