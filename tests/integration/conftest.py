"""Sessions on a database of the test's own, and a shell with a worker behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from producers import Producer
from producers.commands import CountUsers
from tests import readme
from tests.console import Console
from tests.databases import engine_on
from tests.processes import environment_of

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = engine_on(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


@pytest.fixture
async def session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """A session in an open transaction, which is rolled back in the end."""
    async with sessions() as session:
        await session.begin()
        yield session


@pytest.fixture
def environment(database_url: str, redis_url: str, queue_name: str) -> dict[str, str]:
    """What a process of ours is started with, on servers of the test's own."""
    return environment_of(database_url, redis_url, queue_name)


@pytest.fixture
async def producer(redis_url: str, queue_name: str) -> AsyncIterator[Producer]:
    async with Producer(redis_url, queue=queue_name) as producer:
        yield producer


@pytest.fixture
def console(tmp_path: Path, empty_database_url: str, redis_url: str, queue_name: str) -> Console:
    """A shell in an empty folder, on an empty PostgreSQL and an empty Redis."""
    folder = tmp_path / "folder"
    folder.mkdir()
    servers = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url, "QUEUE_NAME": queue_name}
    return Console(folder, tmp_path / "installed", **servers)


@pytest.fixture
async def served(console: Console, redis_url: str, queue_name: str) -> AsyncIterator[Console]:
    """The same, with the worker at work, started as the README says."""
    migrate, run = readme.lines_of("Sixty seconds")
    await console.run(migrate)
    async with console.running(run), Producer(redis_url, queue=queue_name) as producer:
        answered = await producer.send(CountUsers())
        await answered.result(timeout=30)  # a worker that still starts would not end in order
        yield console
