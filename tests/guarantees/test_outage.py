"""The promise: an outage of the database costs no attempt and no ending, and nothing is taken meanwhile.

A worker meets a database that is away; its commands go back to the queue, the breaker opens, and what waits
is left alone until the database answers. Then one command is let through, and after it all.
"""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from producers import Producer
from producers.settings import QueueSettings
from tests.guarantees.conftest import Counters, MakeApp, Running
from tests.guarantees.counters import COUNTERS, Bump, bump
from tests.proxy import Proxy
from tests.waiting import until
from worker.app import App
from worker.breaker import State
from worker.demo.servers import PostgresServer

COMMANDS = 30


@pytest.fixture
def carrier() -> str:
    """The engine: arq's own Worker cannot be told to take fewer."""
    return "engine"


async def send(queue: QueueSettings, name: str) -> None:
    async with Producer(settings=queue) as producer:
        await producer.send_many([Bump(name=name) for _ in range(COMMANDS)])


@pytest.mark.parametrize("fault", ["refuses", "is silent"])
async def test_the_network_is_away(
    fault: str,
    through: str,
    make_app: MakeApp,
    proxy: Proxy,
    queue: QueueSettings,
    running: Running,
    counters: Counters,
) -> None:
    options = {"commit_timeout": 0.5, "job_timeout": 1.0, "max_attempts": 1}
    app = make_app({Bump: bump}, database_url=through, **options)
    async with running(app) as worker:
        breaker = worker.ctx["breaker"]
        await send(queue, "before")
        await until(lambda: _is(counters, {"before": COMMANDS}), seconds=20)
        if fault == "refuses":
            proxy.refuse()
            proxy.cut()
        else:
            proxy.blackhole()
        await send(queue, "meanwhile")
        await until(lambda: breaker.state is State.OPEN and not worker.tasks, seconds=20)
        put_off = worker.jobs_retried
        await asyncio.sleep(1)
        assert (breaker.state, worker.jobs_retried) == (State.OPEN, put_off)
        proxy.accept()
        proxy.resume()
        await until(lambda: _is(counters, {"before": COMMANDS, "meanwhile": COMMANDS}), seconds=20)
        assert breaker.state is State.CLOSED
        assert worker.max_jobs == app.slots


async def test_one_is_let_through_beside_those_that_hang(
    make_app: MakeApp, through: str, proxy: Proxy, queue: QueueSettings, running: Running, counters: Counters
) -> None:
    hanging = 0

    async def handle(session: AsyncSession, command: Bump) -> int:
        nonlocal hanging
        if command.name == "hangs":
            hanging += 1
            await asyncio.sleep(30)
        return await bump(session, command)

    app = make_app({Bump: handle}, database_url=through, concurrency=3, job_timeout=60.0, commit_timeout=0.5)
    async with running(app) as worker, Producer(settings=queue) as producer:
        await producer.send_many([Bump(name="hangs"), Bump(name="hangs")])
        await until(lambda: hanging == 2)
        proxy.refuse()
        proxy.cut()
        await producer.send(Bump(name="n"))
        await until(lambda: worker.ctx["breaker"].state is State.OPEN)
        proxy.accept()
        await until(lambda: _is(counters, {"n": 1}), seconds=20)
        assert len(worker.tasks) == 2


async def test_the_server_is_down(
    make_app: MakeApp,
    own_database_url: str,
    own_postgres: PostgresServer,
    queue: QueueSettings,
    running: Running,
) -> None:
    app = await _on(own_database_url, make_app)
    async with running(app) as worker:
        await send(queue, "before")
        await until(lambda: worker.ctx["presence"].finished == COMMANDS, seconds=20)
        breaker = worker.ctx["breaker"]
        own_postgres.stop()
        await send(queue, "meanwhile")
        await until(lambda: breaker.state is State.OPEN and not worker.tasks, seconds=20)
        own_postgres.start()
        await until(lambda: breaker.state is State.CLOSED, seconds=20)
        await until(lambda: worker.ctx["presence"].finished == 2 * COMMANDS, seconds=20)
        assert worker.max_jobs == app.slots


async def _on(url: str, make_app: MakeApp) -> App:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(COUNTERS.metadata.create_all)
    await engine.dispose()
    return make_app({Bump: bump}, database_url=url, max_attempts=1)


async def _is(counters: Counters, expected: dict[str, int]) -> bool:
    return await counters() == expected
