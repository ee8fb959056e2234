"""Real servers for the tests that ask for them: DATABASE_URL, MARIADB_URL, REDIS_URL where set, else our own.

Our own are private to each pytest-xdist process, so a test may stop, kill or restart them; nothing starts
before the first test that needs it.
"""

import gc
import os
import signal
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
import redis
from sqlalchemy import make_url

from tests.databases import KINDS, Databases, MariaDBDatabases, PostgresDatabases, SqliteDatabases
from tests.redis_database import QUEUE_PREFIX, claim
from worker.demo.servers import MariaDBServer, PostgresServer, RedisServer, ServerError

_SERVER_FIXTURES = {
    *("database_url", "empty_database_url", "postgres_url", "own_postgres", "redis_url", "own_redis"),
}
_COVERED, _SKIPPED = "database covered", "database skipped"


def pytest_configure() -> None:
    """Let the processes that tests start hear SIGINT: in the background of a shell they would be deaf."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a server: `-m "not servers"` leaves them out."""
    for item in items:
        if _SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


def pytest_collection_finish() -> None:
    """Have nobody look for garbage among what thousands of tests consist of, again and again."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that is marked so on each of the databases; the others run on PostgreSQL."""
    marker = metafunc.definition.get_closest_marker("databases")
    if marker is not None and "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", marker.args or KINDS, indirect=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which databases were covered, and which were not."""
    properties = {
        told
        for reports in terminalreporter.stats.values()
        for report in reports
        for told in getattr(report, "user_properties", ())
    }
    covered = sorted(said for what, said in properties if what == _COVERED)
    skipped = sorted(said for what, said in properties if what == _SKIPPED)
    if covered or skipped:
        left_out = f" (skipped: {', '.join(skipped)})" if skipped else ""
        terminalreporter.write_line(f"databases: {', '.join(covered) or 'none'}{left_out}")


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
async def _postgresql_databases(postgres_url: str) -> AsyncIterator[Databases]:
    async with _built(PostgresDatabases(postgres_url)) as databases:
        yield databases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _own_databases(_postgres_server: PostgresServer) -> AsyncIterator[Databases]:
    async with _built(PostgresDatabases(_postgres_server.url)) as databases:
        yield databases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    async with _built(SqliteDatabases(tmp_path_factory.mktemp("sqlite"))) as databases:
        yield databases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _mariadb_databases(mariadb_url: str) -> AsyncIterator[Databases]:
    async with _built(MariaDBDatabases(mariadb_url)) as databases:
        yield databases


@asynccontextmanager
async def _built(databases: Databases) -> AsyncIterator[Databases]:
    await databases.build()
    yield databases
    await databases.drop()


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """The MariaDB that the tests' databases are made on."""
    given = os.environ.get("MARIADB_URL")
    if given:
        yield given
        return
    with MariaDBServer() as server:
        yield server.url


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database the test runs on: PostgreSQL, unless it is marked with `databases`."""
    return str(getattr(request, "param", "postgresql"))


@pytest.fixture
def _databases(request: pytest.FixtureRequest, database_kind: str) -> Databases:
    if database_kind == "mariadb" and not os.environ.get("MARIADB_URL"):
        try:
            MariaDBServer()
        except ServerError as missing:
            request.node.user_properties.append((_SKIPPED, "MariaDB, which is not installed"))
            pytest.skip(" ".join(str(missing).split()))
    databases: Databases = request.getfixturevalue(f"_{database_kind}_databases")
    request.node.user_properties.append((_COVERED, databases.version))
    return databases


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
