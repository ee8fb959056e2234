"""Behind PgBouncer in transaction mode the promises hold: each transaction may be on another connection.

PgBouncer has five connections to PostgreSQL, the worker twenty to PgBouncer.
"""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import Producer
from producers.commands import CountUsers, CreateUser, ListUsers
from producers.outbox import Outbox, send
from producers.settings import QueueSettings
from tests import pgbouncer
from tests.guarantees.conftest import Counters, MakeApp, Rows, Running
from tests.guarantees.counters import Bump
from tests.guarantees.counters_app import PATH
from tests.processes import Process, command_line, environment_of
from tests.waiting import until
from worker.app import App
from worker.demo.servers import PostgresServer
from worker.tables import worker_tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
NAMES = [f"n{number}" for number in range(40)]
EACH = 25
_KEEPS_STATEMENTS = (1, 21)


@pytest.fixture
def carrier() -> str:
    return "engine"


@pytest.fixture
def keeps_connections() -> bool:
    return True


@pytest.fixture
def database_url(own_database_url: str) -> str:
    return own_database_url


@pytest.fixture
def pooler(database_url: str) -> Iterator[pgbouncer.PgBouncer]:
    if pgbouncer.program() is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    with pgbouncer.PgBouncer(database_url) as pooler:
        yield pooler


@pytest.fixture(params=[False, True], ids=["unprepared", "prepared"])
def prepared(request: pytest.FixtureRequest) -> bool:
    if request.param and pgbouncer.program() and pgbouncer.version() < _KEEPS_STATEMENTS:
        pytest.skip("PgBouncer keeps prepared statements from 1.21 on, and this one is older")
    return bool(request.param)


@pytest.fixture
def environment(pooler: pgbouncer.PgBouncer, queue: QueueSettings, *, prepared: bool) -> dict[str, str]:
    settings = {"WORKER_PREPARED_STATEMENTS": str(prepared), "WORKER_CONCURRENCY": "20"}
    return environment_of(pooler.url, queue.redis_url, queue.name, **settings)


@pytest.mark.parametrize("fault", ["none", "pgbouncer is killed", "postgres falls over"])
async def test_each_command_is_applied_once(
    fault: str,
    environment: dict[str, str],
    pooler: pgbouncer.PgBouncer,
    own_postgres: PostgresServer,
    producer: Producer,
    counters: Counters,
    endings: Rows,
    letters: Rows,
) -> None:
    def harm() -> None:
        if fault == "pgbouncer is killed":
            pooler.kill()
            pooler.start()
        if fault == "postgres falls over":
            own_postgres.restart(immediate=True)

    receipts = await producer.send_many([Bump(name=name) for name in NAMES * EACH])
    with Process("--app", PATH, "run", environment=environment) as worker:
        for ended in (100, 500, 900):
            await worker.says("command.ended", times=ended)
            await asyncio.to_thread(harm)
        await until(lambda: _is_empty(producer), seconds=90)
        assert await worker.stop() == 0
    assert await counters() == dict.fromkeys(NAMES, EACH)
    assert {row.command_id: row.ending for row in await endings()} == {
        receipt.command_id: "applied" for receipt in receipts
    }
    assert await letters() == []


async def test_reads_writes_and_the_outbox_go_through_it(
    make_app: MakeApp,
    running: Running,
    pooler: pgbouncer.PgBouncer,
    producer: Producer,
    database: AsyncEngine,
    queue_name: str,
    *,
    prepared: bool,
) -> None:
    app = make_app(database_url=pooler.url, prepared_statements=prepared, concurrency=20)
    async with running(app):
        users = [CreateUser(username=f"user-{number}") for number in range(100)]
        receipts = await producer.send_many(users)
        async with AsyncSession(database) as session:
            written = await send(session, CreateUser(username="written"), outbox=Outbox(queue=queue_name))
            await session.commit()
        for receipt in [*receipts, written.receipt(producer)]:
            await receipt.result(timeout=30)
        lists = [ListUsers(limit=5, order_by="username", offset=number) for number in range(50)]
        pages = await producer.send_many(lists)
        for number, page in enumerate(pages):
            found = await page.result(timeout=30)
            assert found.items[0].username == sorted([*(u.username or "" for u in users), "written"])[number]
        assert await (await producer.send(CountUsers())).result(timeout=30) == 101


async def test_migrations_wait_for_each_other_behind_it(
    environment: dict[str, str], database: AsyncEngine
) -> None:
    async with database.begin() as connection:
        for table in worker_tables(None).metadata.sorted_tables:
            await connection.execute(text(f'DROP TABLE "{table.name}" CASCADE'))
        await connection.execute(text("DROP TABLE worker_alembic_version"))
    ran = await asyncio.gather(
        *(command_line("--app", PATH, "migrate", environment=environment) for _ in range(3))
    )
    assert [done.returncode for done in ran] == [0, 0, 0]
    assert sum("0001" in done.stdout for done in ran) == 1


async def test_a_statement_of_an_attempt_that_was_cut_off_is_stopped_behind_it(
    app_of_sleeper: App, running: Running, producer: Producer, database: AsyncEngine
) -> None:
    async with running(app_of_sleeper):
        await producer.send(Bump(name="sleeps"))
        await until(lambda: _sleeps(database))
        await until(lambda: _is_over(database), seconds=20)


@pytest.fixture
def app_of_sleeper(make_app: MakeApp, pooler: pgbouncer.PgBouncer, *, prepared: bool) -> App:
    async def sleep(session: AsyncSession, command: Bump) -> int:
        await session.execute(text("SELECT pg_sleep(1000)"))
        return len(command.name)

    options = {"prepared_statements": prepared, "job_timeout": 1.0, "max_attempts": 1}
    return make_app({Bump: sleep}, database_url=pooler.url, **options)


async def _sleeps(database: AsyncEngine) -> bool:
    count = text(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(%' "
        "AND pid <> pg_backend_pid()"
    )
    async with database.connect() as connection:
        return bool(await connection.scalar(count))


async def _is_over(database: AsyncEngine) -> bool:
    return not await _sleeps(database)


async def _is_empty(producer: Producer) -> bool:
    waiting: int = await producer.redis.zcard(producer.keys.queue)
    return waiting == 0
