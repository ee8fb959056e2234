"""A domain that writes down in which order its commands were carried out."""

from typing import Annotated, ClassVar

from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import Command, Query, Ref
from producers.commands import Key

JOURNAL = Table(
    "journal",
    MetaData(),
    Column("place", Integer(), primary_key=True, autoincrement=True),
    Column("book", String(100), nullable=False),
    Column("line", Integer(), nullable=False),
)


class Write(Command[None]):
    """Write a line into a book; lines of one book stand in one lane."""

    kind: ClassVar[str] = "book.write"

    book: Annotated[str, Key()]
    line: int


class Scribble(Write):
    """A line that is of no account: once dead, it holds up nobody."""

    kind: ClassVar[str] = "book.scribble"
    parks: ClassVar[bool] = False


class Cite(Command[None]):
    """Write a line into a book that another book is needed for; citations have lanes of their own."""

    kind: ClassVar[str] = "citation.write"

    book: Annotated[str, Key()]
    of: Annotated[str, Ref("book")]
    line: int


class Read(Query[int]):
    """Count the lines of a book."""

    kind: ClassVar[str] = "book.read"

    book: Annotated[str, Key()]


async def write(session: AsyncSession, command: Write | Cite) -> None:
    """Write it down, with the next place in the journal."""
    await session.execute(insert(JOURNAL).values(book=command.book, line=command.line))


async def create(engine: AsyncEngine) -> None:
    """Create the table."""
    async with engine.begin() as connection:
        await connection.run_sync(JOURNAL.metadata.create_all)
