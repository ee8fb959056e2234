"""Real servers for the tests that ask for them: DATABASE_URL and REDIS_URL where set, else our own.

Our own are private to each pytest-xdist process, so a test may stop, kill or restart them; nothing starts
before the first test that needs it.
"""

import os
import signal
import threading
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis
from sqlalchemy import make_url

from tests.databases import Databases
from tests.redis_database import QUEUE_PREFIX, claim
from worker.demo.servers import PostgresServer, RedisServer

_SERVER_FIXTURES = {"postgres_url", "own_postgres", "redis_url", "own_redis"}


def pytest_configure() -> None:
    """Let the processes that tests start hear SIGINT: in the background of a shell they would be deaf."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a server: `-m "not servers"` leaves them out."""
    for item in items:
        if _SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer(tcp=True, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    with RedisServer(appendonly=True) as server:
        yield server


@pytest.fixture
def own_postgres(_postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A PostgreSQL that nobody else uses, for tests that stop, kill or restart it."""
    yield _postgres_server
    _postgres_server.start()


@pytest.fixture
def own_redis(_redis_server: RedisServer) -> Iterator[RedisServer]:
    """A Redis that nobody else uses, for tests that stop, kill or restart it."""
    yield _redis_server
    _redis_server.start()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """The server that the tests' databases are made on."""
    given = os.environ.get("DATABASE_URL")
    if given:
        return given
    server: PostgresServer = request.getfixturevalue("_postgres_server")
    return server.url


@pytest.fixture(scope="session")
def postgres_address(postgres_url: str) -> tuple[str, int]:
    """Host and port of that server, to put a proxy before it."""
    url = make_url(postgres_url)
    if url.host is None:
        pytest.fail("DATABASE_URL names a socket, and a proxy needs a host and a port")
    return url.host, url.port or 5432


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _databases(postgres_url: str) -> AsyncIterator[Databases]:
    databases = Databases(postgres_url)
    await databases.build()
    yield databases
    await databases.drop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _own_databases(_postgres_server: PostgresServer) -> AsyncIterator[Databases]:
    databases = Databases(_postgres_server.url)
    await databases.build()
    yield databases
    await databases.drop()


@pytest.fixture
async def database_url(_databases: Databases) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own."""
    async with _databases.fresh() as url:
        yield url


@pytest.fixture
async def empty_database_url(_databases: Databases) -> AsyncIterator[str]:
    """A database of the test's own without tables."""
    async with _databases.fresh(migrated=False) as url:
        yield url


@pytest.fixture
async def own_database_url(_own_databases: Databases, own_postgres: PostgresServer) -> AsyncIterator[str]:
    """The same on `own_postgres`."""
    async with _own_databases.fresh() as url:
        yield url
        own_postgres.start()


@pytest.fixture(scope="session")
def _redis_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    given = os.environ.get("REDIS_URL")
    if given:
        process = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        with claim(given, int(process)) as url:
            yield url
    else:
        server: RedisServer = request.getfixturevalue("_redis_server")
        yield server.url


@pytest.fixture
def redis_url(_redis_database_url: str) -> str:
    """An empty Redis database of the test's own."""
    return _emptied(_redis_database_url)


@pytest.fixture
def own_redis_url(own_redis: RedisServer) -> str:
    """The same on `own_redis`."""
    return _emptied(own_redis.url)


def _emptied(url: str) -> str:
    # Before a test and not after it: a test may have left its Redis stopped.
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def queue_name() -> str:
    """A queue that nobody else uses."""
    return f"{QUEUE_PREFIX}{uuid.uuid4().hex[:12]}"
