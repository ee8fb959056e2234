"""What the guarantee tests share: Apps on a real database, a queue with a real worker, a look from outside.

`make_app` makes an App with short limits. `deliver` (worker.testing) brings it a command without Redis;
`drain` and `running` bring it what is queued, by the
engine and by a real arq worker. `endings`, `letters`, `counters` and
`database` see what was committed, on connections that are none of the App's.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from signal import Signals
from typing import Any, Protocol

import pytest
from arq.worker import Worker
from sqlalchemy import Row, Table, make_url, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from producers import Command, Producer
from producers.settings import QueueSettings
from tests.databases import engine_on
from tests.guarantees.counters import COUNTERS
from tests.proxy import Proxy
from tests.waiting import arq_has_ended
from worker.app import App, Handler
from worker.handlers import HANDLERS
from worker.models.migrations import EXAMPLE
from worker.plain_arq import worker_settings
from worker.process import Process
from worker.service import redis_pool
from worker.settings import WorkerOptions
from worker.tables import worker_tables

SHORT: dict[str, Any] = {
    "concurrency": 5,
    "job_timeout": 5.0,
    "commit_timeout": 2.0,
    "max_attempts": 3,
    "backoff": 0.05,
    "backoff_cap": 0.1,
    "unreadable_timeout": 0.5,
    "shutdown_timeout": 5.0,
    "poll_delay": 0.02,
}
"""Limits that a test can wait for."""

Handlers = Mapping[type[Command[Any]], Handler]
Rows = Callable[[], Awaitable[list[Row[Any]]]]
Counters = Callable[[], Awaitable[dict[str, int]]]
Drain = Callable[[App], Awaitable[None]]
Running = Callable[[App], AbstractAsyncContextManager[Worker]]


class MakeApp(Protocol):
    """Makes the example's App, or one with `handlers`; `options` are fields of WorkerOptions."""

    def __call__(self, handlers: Handlers | None = None, **options: Any) -> App: ...


@pytest.fixture
def queue(redis_url: str, queue_name: str) -> QueueSettings:
    """A queue of the test's own."""
    return QueueSettings(redis_url=redis_url, name=queue_name, redis_retries=2)


@pytest.fixture
async def producer(queue: QueueSettings) -> AsyncIterator[Producer]:
    """A producer on that queue."""
    async with Producer(settings=queue) as producer:
        yield producer


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the test's database."""
    url = make_url(database_url)
    async with Proxy(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
def through(database_url: str, proxy: Proxy) -> str:
    """The URL of the test's database behind the proxy."""
    return behind(proxy, database_url)


def behind(proxy: Proxy, url: str) -> str:
    """The same URL, but by a proxy."""
    return make_url(url).set(host=proxy.host, port=proxy.port).render_as_string(hide_password=False)


@pytest.fixture
def keeps_connections() -> bool:
    """Whether Apps keep connections from command to command, as those of a worker do."""
    return False


kept_or_not = pytest.mark.parametrize("keeps_connections", [True, False], ids=["kept", "by the pool"])
"""Tests the Apps that `make_app` makes both ways."""


@pytest.fixture
async def make_app(
    database_url: str, queue: QueueSettings, *, keeps_connections: bool
) -> AsyncIterator[MakeApp]:
    """Makes Apps on the test's database and queue; each has an engine of its own, closed at the end."""
    made: list[App] = []

    def make(handlers: Handlers | None = None, **options: Any) -> App:
        settings = WorkerOptions(**{"database_url": database_url, **SHORT, **options})
        example = handlers is None
        handlers = HANDLERS if handlers is None else handlers
        made.append(App(handlers, settings=settings, queue=queue, migrations=[EXAMPLE] if example else []))
        if keeps_connections:
            made[-1].keep_connections()
        return made[-1]

    yield make
    for app in made:
        await app.close()


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """The example's App."""
    return make_app()


@pytest.fixture(params=["engine", "arq"])
def carrier(request: pytest.FixtureRequest) -> str:
    """What carries commands to the executor: the engine, or arq's own Worker as the `arq` command runs it."""
    return str(request.param)


on_plain_arq = pytest.mark.parametrize("carrier", ["arq"], indirect=True)
"""For faults that only arq's own Worker has a moment for."""

on_engine = pytest.mark.parametrize("carrier", ["engine"], indirect=True)
"""For what is promised, or can be provoked, only where every worker is the engine."""


@pytest.fixture
def drain(carrier: str) -> Drain:
    """Runs a worker in this process until the queue is empty, delayed commands included."""

    async def drain(app: App) -> None:
        async with _working(carrier, app, burst=True) as (_, working):
            await working

    return drain


@pytest.fixture
def running(carrier: str) -> Running:
    """Runs a worker in this process while a block goes on; what does not end then is handed back."""

    @asynccontextmanager
    async def running(app: App) -> AsyncIterator[Worker]:
        async with _working(carrier, app, burst=False) as (worker, working):
            while "presence" not in worker.ctx:
                await asyncio.wait({working}, timeout=0.01)
                if working.done():
                    await working  # it could not start
            yield worker

    return running


@asynccontextmanager
async def _working(
    carrier: str, app: App, *, burst: bool
) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    if carrier == "arq":
        async with _plain_arq(app, burst=burst) as working:
            yield working
        return
    worker = Process(app, burst=burst, handle_signals=False)
    task = asyncio.create_task(worker.async_run())
    try:
        yield worker, task
    finally:
        if not task.done():
            worker.handle_sig(Signals.SIGTERM)
            await asyncio.wait({task})
        await worker.close()


class _Worker(Worker):
    """arq's own, as the `arq` command runs it, but it can be told to look for no more work."""

    ending = False

    async def _poll_iteration(self) -> None:
        if self.ending:
            raise asyncio.CancelledError
        await super()._poll_iteration()


@asynccontextmanager
async def _plain_arq(app: App, *, burst: bool) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    settings = {
        name: value for name, value in vars(worker_settings(app)).items() if not name.startswith("__")
    }
    pool = redis_pool(app)
    ours = {"redis_pool": pool, "burst": burst, "ctx": {}, "handle_signals": False}
    worker = _Worker(**{**settings, **ours})
    working = asyncio.create_task(worker.async_run())
    try:
        yield worker, working
    finally:
        # arq's `close` cares neither whether a job is being finished nor whether its cancellation is lost.
        worker.ending = True
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while busy := {task for task in (working, *worker.tasks.values()) if not task.done()}:
                    await asyncio.wait(busy)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Call to deprecated close")  # arq's
            await worker.close()
        with suppress(asyncio.CancelledError):
            await working
        await arq_has_ended()
        await pool.aclose(close_connection_pool=True)  # what was under way may have connected once more


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The test's database, seen from outside: a new connection for each look."""
    engine = engine_on(database_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


@pytest.fixture
def endings(database: AsyncEngine) -> Rows:
    """Reads the committed rows of processed_commands, in the order of their ids."""
    return lambda: _rows(database, worker_tables(None).processed_commands)


@pytest.fixture
def letters(database: AsyncEngine) -> Rows:
    """Reads the committed rows of dead_letters, in the order of their ids."""
    return lambda: _rows(database, worker_tables(None).dead_letters)


@pytest.fixture
async def counters(database: AsyncEngine) -> Counters:
    """The table that the commands of counters.py change; reads what is committed there, by name."""
    async with database.begin() as connection:
        await connection.run_sync(COUNTERS.metadata.create_all)

    async def counters() -> dict[str, int]:
        return {row.name: row.n for row in await _rows(database, COUNTERS)}

    return counters


async def _rows(database: AsyncEngine, table: Table) -> list[Row[Any]]:
    async with database.connect() as connection:
        return list((await connection.execute(select(table).order_by(*table.primary_key))).all())
