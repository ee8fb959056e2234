"""What tests of order share: the journal's books, a handler that may fail, a look at what lanes hold."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import Producer
from tests.guarantees import journal
from tests.guarantees.conftest import MakeApp
from tests.guarantees.journal import JOURNAL, Cite, Read, Scribble, Write
from worker.app import App

Books = Callable[[], Awaitable[dict[str, list[int]]]]


@pytest.fixture
async def books(database: AsyncEngine) -> Books:
    """Reads what is written, by book, in the order of the commits."""
    await journal.create(database)

    async def books() -> dict[str, list[int]]:
        lines: dict[str, list[int]] = defaultdict(list)
        async with database.connect() as connection:
            for row in await connection.execute(select(JOURNAL).order_by(JOURNAL.c.place)):
                lines[row.book].append(row.line)
        return dict(lines)

    return books


class Unsteady:
    """A handler that is slow and fails by chance, and for ever at lines that are `deadly`."""

    def __init__(self, *, deadly: set[int] = frozenset(), rate: float = 0.0) -> None:  # type: ignore[assignment]
        self.deadly, self.rate, self.running = set(deadly), rate, set[str]()

    async def __call__(self, session: AsyncSession, command: Write | Cite) -> None:
        assert command.book not in self.running, "two of one book at once"
        self.running.add(command.book)
        try:
            await asyncio.sleep(random.uniform(0, 0.01))  # noqa: S311
            if command.line in self.deadly or random.random() < self.rate:  # noqa: S311
                raise ValueError(command.line)
            await journal.write(session, command)
        finally:
            self.running.discard(command.book)


def handlers(handler: Any) -> dict[Any, Any]:
    return {Write: handler, Scribble: handler, Cite: handler, Read: read}


async def read(session: AsyncSession, command: Read) -> int:
    lines = select(func.count()).select_from(JOURNAL).where(JOURNAL.c.book == command.book)
    return int((await session.execute(lines)).scalar_one())


async def parked(producer: Producer) -> bool:
    return int(await producer.redis.zcard(producer.keys.parked)) > 0


async def no_trace(producer: Producer) -> bool:
    """Whether nothing is left of any lane."""
    patterns = ("lane", "stand", "behind", "waiting", "parked")
    found = [
        [key async for key in producer.redis.scan_iter(f"crud:{producer.keys.queue}:{name}*")]
        for name in patterns
    ]
    return not any(found)


@pytest.fixture
def handler() -> Unsteady:
    """A handler that does not fail, until it is told to."""
    return Unsteady()


@pytest.fixture
def journal_app(make_app: MakeApp, handler: Unsteady, books: Books) -> App:  # noqa: ARG001
    """The journal's App, in which a command that fails is dead at once."""
    return make_app(handlers(handler), max_attempts=1)
