"""The promise: a COMMIT whose answer never came is applied exactly once, and held against nobody.

Between worker and PostgreSQL stands a proxy that cuts the connection, or holds it until the time limit, right
before COMMIT reaches the server, or right after the server has executed it; else the task is cancelled there,
or the server falls over. The command is delivered until it has an answer. Always it is applied, its effect
(one added to a counter) is there once, nothing was counted, and no connection or backend is left behind.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import QueuePool, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp, Rows, behind, kept_or_not
from tests.guarantees.counters import COUNTERS, Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of
from tests.proxy import Proxy, Way
from worker.app import App
from worker.delivery import Later
from worker.demo.servers import PostgresServer
from worker.failure import Cause

Kept = Callable[[Courier], Awaitable[None]]

BEFORE, AFTER = Way.REQUEST, Way.REPLY
WHERE = pytest.mark.parametrize("where", [BEFORE, AFTER], ids=["before COMMIT", "after COMMIT"])
pytestmark = kept_or_not
APPLIED = Answer(Ending.APPLIED, 1)
IMPATIENT = 0.3
"""A limit for COMMIT, in seconds, that a test can wait for."""

# The server takes as long for COMMIT as somebody holds the lock.
_SLOW = """
    FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$
"""
_COMMIT = """
    CONSTRAINT TRIGGER slow AFTER INSERT ON counters DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()
"""


def at_commit(proxy: Proxy, where: Way, action: Callable[[], object]) -> asyncio.Event:
    """Do it once: before the next COMMIT reaches the server, or before its answer goes back."""
    word = {BEFORE: b"COMMIT;", AFTER: b"COMMIT\0"}[where]
    return proxy.on_bytes(lambda way, data: way is where and word in data, action)


@pytest.fixture
def app(make_app: MakeApp, through: str) -> App:
    return make_app({Bump: bump}, database_url=through)


@pytest.fixture
def impatient(make_app: MakeApp, app: App) -> App:
    return make_app({Bump: bump}, database_url=app.options.database_url, commit_timeout=IMPATIENT)


@pytest.fixture
def kept(database: AsyncEngine, counters: Counters, endings: Rows, letters: Rows) -> Kept:
    """Delivers until there is an answer, and checks all that is promised."""

    async def kept(courier: Courier) -> None:
        assert await courier.until_answered() == APPLIED
        name = courier.envelope.payload["name"]
        assert (await counters())[name] == 1
        ended = [row.ending for row in await endings() if row.command_id == courier.envelope.id]
        assert (ended, await letters()) == ([Ending.APPLIED], [])
        assert not courier.counted
        await nothing_left_behind(courier.app, database)

    return kept


async def nothing_left_behind(app: App, database: AsyncEngine) -> None:
    """Wait until nothing is checked out, and the server has no backend but those of the pool, at rest."""
    look = text(
        "SELECT state FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'crud-worker'"
    )
    pool = app.engine.pool
    assert isinstance(pool, QueuePool)
    async with asyncio.timeout(10):
        while True:
            async with database.connect() as connection:
                states = list((await connection.execute(look)).scalars())
            at_rest = pool.checkedout() == 0 and set(states) <= {"idle"}
            if at_rest and len(states) <= pool.checkedin():
                return
            await asyncio.sleep(0.02)


@WHERE
async def test_the_connection_is_cut(where: Way, app: App, proxy: Proxy, kept: Kept) -> None:
    courier, seen = Courier(app, envelope_of(Bump(name="n"))), at_commit(proxy, where, proxy.cut)

    outcome = await courier.deliver()

    assert seen.is_set()
    assert outcome == APPLIED if where is AFTER else isinstance(outcome, Later)
    await kept(courier)


async def test_all_are_cut_at_one_commit_and_the_next_command_does_not_suffer(
    app: App, proxy: Proxy, kept: Kept
) -> None:
    couriers = [Courier(app, envelope_of(Bump(name=f"{n}"))) for n in range(3)]
    await asyncio.gather(*(courier.until_answered() for courier in couriers))  # on connections of their own
    at_commit(proxy, BEFORE, proxy.cut)
    cut, following = (Courier(app, envelope_of(Bump(name=name))) for name in ("cut", "following"))
    outcome = await cut.deliver()
    assert isinstance(outcome, Later)
    assert outcome.failure is not None
    assert outcome.failure.cause is Cause.UNKNOWN  # it was looked up, on a connection that was replaced
    assert await following.deliver() == APPLIED
    await kept(cut)


async def test_the_connection_is_cut_time_and_again(app: App, proxy: Proxy, kept: Kept) -> None:
    for seed in range(30):
        chance = random.Random(seed)  # noqa: S311  # not a secret
        courier = Courier(app, envelope_of(Bump(name=f"seed {seed}")))

        for where in chance.choices([BEFORE, AFTER], k=chance.randint(1, 4)):
            seen = at_commit(proxy, where, proxy.cut)
            await courier.deliver()
            assert seen.is_set()

        await kept(courier)


async def test_it_is_cut_under_many_at_once(
    app: App, proxy: Proxy, counters: Counters, endings: Rows, database: AsyncEngine
) -> None:
    couriers = [Courier(app, envelope_of(Bump(name=f"{number}"))) for number in range(50)]
    cuts = [at_commit(proxy, where, proxy.cut) for where in (AFTER, BEFORE) for _ in range(5)]

    answers = await asyncio.gather(*(courier.until_answered() for courier in couriers))

    assert all(cut.is_set() for cut in cuts)
    assert answers == [APPLIED] * 50
    assert await counters() == {f"{number}": 1 for number in range(50)}
    assert [row.ending for row in await endings()] == [Ending.APPLIED] * 50
    await nothing_left_behind(app, database)


async def test_the_answer_is_held_until_the_time_limit(impatient: App, proxy: Proxy, kept: Kept) -> None:
    courier = Courier(impatient, envelope_of(Bump(name="n")))
    at_commit(proxy, AFTER, proxy.pause_replies)

    assert isinstance(await courier.deliver(), Later)

    proxy.resume()
    await kept(courier)


@pytest.mark.parametrize("fate", ["lost", "late"])
async def test_commit_is_held_until_the_time_limit(
    fate: str, impatient: App, proxy: Proxy, kept: Kept, counters: Counters
) -> None:
    courier = Courier(impatient, envelope_of(Bump(name="n")))
    at_commit(proxy, BEFORE, proxy.blackhole)

    assert isinstance(await courier.deliver(), Later)

    assert await counters() == {}
    if fate == "lost":
        proxy.cut()
    proxy.resume()
    await kept(courier)


async def test_a_commit_that_is_still_under_way_is_waited_for(
    impatient: App, app: App, kept: Kept, database: AsyncEngine, counters: Counters
) -> None:
    async with database.begin() as connection:
        await connection.execute(text(f"CREATE {_SLOW}"))
        await connection.execute(text(f"CREATE {_COMMIT}"))
    courier = Courier(impatient, envelope_of(Bump(name="n")))
    async with database.connect() as gate:
        await gate.execute(text("SELECT pg_advisory_lock(1)"))
        assert isinstance(await courier.deliver(), Later)
        courier.app = app
        again = asyncio.create_task(courier.deliver())
        await blocked(database, "transactionid")
        assert await counters() == {}
    assert await again == APPLIED
    await impatient.close()
    await kept(courier)


async def blocked(database: AsyncEngine, kind: str) -> None:
    """Wait until somebody waits for a lock of this kind."""
    look = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = :kind")
    async with asyncio.timeout(10), database.connect() as connection:
        while (await connection.execute(look, {"kind": kind})).first() is None:
            await connection.rollback()
            await asyncio.sleep(0.005)


@WHERE
@pytest.mark.parametrize("fate", ["answered", "cut"])
async def test_the_task_is_cancelled(where: Way, fate: str, app: App, proxy: Proxy, kept: Kept) -> None:
    courier = Courier(app, envelope_of(Bump(name="n")))
    seen = at_commit(proxy, where, proxy.blackhole)
    delivering = asyncio.create_task(courier.deliver())
    await seen.wait()

    for _ in range(3):
        delivering.cancel()
        await asyncio.wait([delivering], timeout=0.05)
    assert not delivering.done(), "COMMIT is seen through"
    if fate == "cut":
        proxy.cut()
    proxy.resume()
    await asyncio.wait([delivering])

    assert delivering.cancelled() if fate == "cut" else await delivering == APPLIED
    await kept(courier)


@WHERE
async def test_the_server_falls_over(
    where: Way, make_app: MakeApp, own_postgres: PostgresServer, own_database_url: str
) -> None:
    server = make_url(own_database_url)
    database = create_async_engine(own_database_url, poolclass=NullPool)
    async with database.begin() as connection:
        await connection.run_sync(COUNTERS.metadata.create_all)
    async with Proxy(str(server.host), int(server.port or 0)) as proxy:
        app = make_app({Bump: bump}, database_url=behind(proxy, own_database_url))
        courier = Courier(app, envelope_of(Bump(name="n")))

        def fall_over() -> None:
            own_postgres.restart(immediate=True)
            proxy.cut()

        seen = at_commit(proxy, where, fall_over)

        assert await courier.until_answered() == APPLIED

        assert seen.is_set()
        assert not courier.counted
        async with database.connect() as connection:
            assert (await connection.execute(COUNTERS.select())).all() == [("n", 1)]
        await nothing_left_behind(app, database)
        await app.close()
