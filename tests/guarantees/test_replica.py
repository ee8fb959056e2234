"""Reads that may be stale go to the replica; where that fails, the database itself answers."""

from sqlalchemy.ext.asyncio import create_async_engine

from producers import Producer
from producers.commands import CountUsers, CreateUser, ListUsers
from tests.guarantees.conftest import Drain, MakeApp
from worker.testing import execute

NOBODY_THERE = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"


async def test_a_read_that_may_be_stale_goes_to_the_replica(
    make_app: MakeApp, empty_database_url: str, producer: Producer, drain: Drain
) -> None:
    behind = create_async_engine(empty_database_url)  # a replica that has a table, and no user yet
    async with behind.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE users (id uuid)")
    await behind.dispose()
    app = make_app(read_database_url=empty_database_url)
    await execute(app, CreateUser(username="ada"))
    stale, fresh = await producer.send_many([CountUsers(stale_ok=True), CountUsers()])
    await drain(app)
    assert (await stale.result(1), await fresh.result(1)) == (0, 1)


async def test_a_replica_that_is_away_costs_a_retry(
    make_app: MakeApp, producer: Producer, drain: Drain
) -> None:
    app = make_app(read_database_url=NOBODY_THERE)
    created = await producer.send(CreateUser(username="ada"))
    await drain(app)
    listed = await producer.send(ListUsers(stale_ok=True))
    await drain(app)
    assert (await created.result(1)).username == "ada"
    assert [user.username for user in (await listed.result(1)).items] == ["ada"]


async def test_without_a_replica_the_database_answers(make_app: MakeApp) -> None:
    app = make_app()
    assert app.replica is None
    assert app.sessions_for(CountUsers(stale_ok=True), first=True) is app.sessions
