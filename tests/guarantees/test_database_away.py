"""The promise: while the database is away nothing is counted; when it is back, the command is applied.

Away is a server that is down, shuts down, has no connection left, does not know us any more, or takes no
writes. Where a new connection reaches it all the same, what looked like it is counted (test_error_table).
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp
from tests.guarantees.counters import COUNTERS, Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of
from tests.guarantees.provocations import make_things, raising, trying
from tests.proxy import Proxy
from worker import doubt
from worker.app import App
from worker.delivery import Later
from worker.demo.servers import PostgresServer

Execute = Callable[[str], Awaitable[None]]
APPLIED = Answer(Ending.APPLIED, 1)


@pytest.fixture
async def execute(postgres_url: str) -> AsyncIterator[Execute]:
    """Executes a statement on the server, in a database that is not the test's."""
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))

    async def execute(statement: str) -> None:
        await connection.execute(statement)

    yield execute
    await connection.close()


@pytest.fixture
async def role(database: AsyncEngine, counters: Counters) -> AsyncIterator[str]:  # noqa: ARG001  # its table
    """An account of the test's own, which may use all tables of the test's database."""
    name = f"crud_test_role_{uuid4().hex[:12]}"
    async with database.begin() as connection:
        await connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'first'")
        await connection.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    yield name
    async with database.begin() as connection:
        await connection.exec_driver_sql(f"DROP OWNED BY {name}")
        await connection.exec_driver_sql(f"DROP ROLE {name}")


@pytest.fixture
def app(make_app: MakeApp, database_url: str, role: str) -> App:
    """An App that connects as that account."""
    url = make_url(database_url).set(username=role, password="first")
    return make_app({Bump: bump}, database_url=url.render_as_string(hide_password=False))


def courier_of(app: App) -> Courier:
    return Courier(app, envelope_of(Bump(name="n")))


async def is_put_off(courier: Courier, error: type[Exception] = OSError) -> None:
    """Deliver more often than a command may fail: it is put off each time, and nothing is counted.

    `error` is what becomes of a new connection.
    """
    options = courier.app.options
    for _ in range(options.max_attempts + 1):
        assert isinstance(await courier.deliver(), Later)
    assert not courier.counted
    with pytest.raises(error):
        await asyncpg.connect(options.database_url.replace("+asyncpg", ""), timeout=options.commit_timeout)


async def test_no_connection_is_left(app: App, role: str, execute: Execute) -> None:
    courier = courier_of(app)
    await execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    await is_put_off(courier, asyncpg.TooManyConnectionsError)
    await execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    assert await courier.until_answered() == APPLIED
    assert not courier.counted


async def test_the_password_has_changed(app: App, role: str, execute: Execute) -> None:
    courier = courier_of(app)
    await execute(f"ALTER ROLE {role} PASSWORD 'second'")
    await is_put_off(courier, asyncpg.InvalidPasswordError)
    await execute(f"ALTER ROLE {role} PASSWORD 'first'")
    assert await courier.until_answered() == APPLIED
    assert not courier.counted


async def test_the_database_has_gone(app: App, execute: Execute) -> None:
    name = make_url(app.options.database_url).database
    courier = courier_of(app)
    await execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_elsewhere"')
    await is_put_off(courier, asyncpg.InvalidCatalogNameError)
    await execute(f'ALTER DATABASE "{name}_elsewhere" RENAME TO "{name}"')
    assert await courier.until_answered() == APPLIED
    assert not courier.counted


async def test_the_database_takes_no_writes(app: App, role: str, execute: Execute) -> None:
    courier = courier_of(app)
    await execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    for _ in range(app.options.max_attempts + 1):
        outcome = await courier.deliver()
        assert isinstance(outcome, Later)
        assert outcome.failure is not None
        assert outcome.failure.sqlstate == "25006"
    assert not courier.counted
    await execute(f"ALTER ROLE {role} RESET default_transaction_read_only")
    assert await courier.until_answered() == APPLIED
    assert courier.counted["attempts"] <= 1  # where a connection of before was in the pool


async def test_what_looks_like_it_is_counted_once_a_new_connection_is_answered(
    make_app: MakeApp, app: App, role: str, database: AsyncEngine, execute: Execute
) -> None:
    await make_things(database)
    courier = trying(make_app, raising("53100"), database_url=app.options.database_url)
    async with app.engine.connect():
        await execute(f"ALTER ROLE {role} CONNECTION LIMIT 2")
        await courier.deliver()  # on the second connection; the probe would be the third
        assert not courier.counted
    await execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    await courier.deliver()
    assert courier.counted == {"attempts": 1}


@pytest.fixture
async def own_app(make_app: MakeApp, own_database_url: str) -> App:
    """An App on a server that the test may stop."""
    engine = create_async_engine(own_database_url)
    async with engine.begin() as connection:
        await connection.run_sync(COUNTERS.metadata.create_all)
    await engine.dispose()
    return make_app({Bump: bump}, database_url=own_database_url)


@pytest.mark.parametrize("warm", [True, False], ids=["while we are connected", "before we connect"])
async def test_the_server_is_down(warm: bool, own_app: App, own_postgres: PostgresServer) -> None:  # noqa: FBT001
    if warm:
        await Courier(own_app, envelope_of(Bump(name="before"))).until_answered()
    courier = courier_of(own_app)
    own_postgres.stop()
    await is_put_off(courier)
    own_postgres.start()
    assert await courier.until_answered() == APPLIED
    assert not courier.counted


async def test_the_server_is_shutting_down(own_app: App, own_postgres: PostgresServer) -> None:
    last = await asyncpg.connect(own_app.options.database_url.replace("+asyncpg", ""))
    os.kill(own_postgres.pid, signal.SIGTERM)  # it waits for the last session, and lets nobody in
    courier = courier_of(own_app)
    await is_put_off(courier, asyncpg.CannotConnectNowError)
    await last.close()
    own_postgres.stop()
    own_postgres.start()
    assert await courier.until_answered() == APPLIED
    assert not courier.counted


@pytest.mark.parametrize("fault", ["refuses", "is silent"])
async def test_the_network(fault: str, make_app: MakeApp, database_url: str, counters: Counters) -> None:
    url = make_url(database_url)
    async with Proxy(str(url.host), url.port or 5432) as proxy:
        through = url.set(host=proxy.host, port=proxy.port).render_as_string(hide_password=False)
        app = make_app({Bump: bump}, database_url=through, commit_timeout=0.2, job_timeout=0.2)
        courier = courier_of(app)
        if fault == "refuses":
            proxy.refuse()
        else:
            proxy.blackhole()
        await is_put_off(courier)
        proxy.accept()
        proxy.resume()
        courier.app = make_app({Bump: bump}, database_url=through)  # with more patience
        assert await courier.until_answered() == APPLIED
        assert (courier.counted, await counters()) == ({}, {"n": 1})
        await courier.app.close()
        await app.close()


async def test_the_probe_connects_as_the_engine_does(database_url: str, role: str) -> None:
    url = make_url(database_url)

    async def creator() -> Any:
        return await asyncpg.connect(
            host=url.host, port=url.port, user=role, password="first", database=url.database
        )

    engine = create_async_engine("postgresql+asyncpg://nobody:wrong@nowhere.invalid/", async_creator=creator)
    assert await doubt.answers(engine, 5)
    assert engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # it is a QueuePool
    await engine.dispose()
