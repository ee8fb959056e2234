"""The promise: each command has a session, a connection and a transaction of its own, and gives them back.

No two that run side by side share one, none is left open or idle in transaction, and however commands are
cancelled, the pool is whole afterwards and each of them was applied wholly or not at all.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import QueuePool, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from producers import Producer
from producers.wire import Answer, Ending, Envelope
from tests.guarantees.conftest import Counters, MakeApp, Rows, Running, kept_or_not
from tests.guarantees.counters import Bump, bump
from tests.guarantees.deliveries import answer_of, envelope_of
from tests.waiting import until
from worker.app import App
from worker.database import create_sessions
from worker.upserts import dialect_of

Settled = Callable[[App], Awaitable[None]]
POINTS = ("in checkout", "in the query", "before commit", "in commit")
POOL = 10
LOOK = {
    "postgresql": """
        SELECT state FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'crud-worker'
    """,
    "mariadb": """
        SELECT if(trx_id IS NULL, 'idle', 'in transaction') FROM information_schema.processlist
        LEFT JOIN information_schema.innodb_trx ON trx_mysql_thread_id = id
        WHERE db = database() AND id != connection_id()
    """,
    "sqlite": "SELECT 'idle'",
}
WHO = {
    "postgresql": "SELECT pg_backend_pid(), pg_current_xact_id()::text",
    "mariadb": "SELECT connection_id(), uuid()",
}
NAP = {"postgresql": "SELECT pg_sleep(0.002)", "mariadb": "SELECT sleep(0.002)", "sqlite": "SELECT 1"}


@pytest.fixture
def settled(database: AsyncEngine) -> Settled:
    """Waits until nothing is checked out, in transaction, or left over from connections that were dropped."""

    async def settled(app: App) -> None:
        pool = app.engine.pool
        assert isinstance(pool, QueuePool)

        async def whole() -> bool:
            async with database.connect() as connection:  # on SQLite it waits until nobody writes
                looked = await connection.execute(text(LOOK[connection.dialect.name]))
                states = list(looked.scalars())
            return pool.checkedout() == 0 and set(states) <= {"idle"} and len(states) <= pool.size()

        await until(whole, seconds=10)

    return settled


@pytest.mark.databases("postgresql", "mariadb")  # SQLite's writers are never side by side
async def test_two_hundred_commands_twenty_at_a_time_never_share_anything(
    make_app: MakeApp, producer: Producer, counters: Counters, running: Running, settled: Settled
) -> None:
    slots, full = 20, asyncio.Event()
    sessions: list[AsyncSession] = []  # kept, so that no two have the same identity
    transactions: set[str] = set()
    held: set[int] = set()  # connections, by their backends

    async def hold(session: AsyncSession, command: Bump) -> int:
        who = text(WHO[dialect_of(session)])
        backend, transaction = (await session.execute(who)).one()
        assert backend not in held
        assert session not in sessions
        sessions.append(session)
        transactions.add(transaction)
        held.add(backend)
        if len(held) == slots:
            full.set()
        await full.wait()  # nobody goes on before all slots were taken at once
        n = await bump(session, command)
        if dialect_of(session) == "postgresql":  # the others do not tell
            assert (await session.execute(who)).one() == (backend, transaction)
        held.remove(backend)
        return n

    app = make_app({Bump: hold}, concurrency=slots)
    async with running(app):
        receipts = await producer.send_many(Bump(name=f"{number}") for number in range(200))
        assert [await receipt.result(20) for receipt in receipts] == [1] * 200
        await settled(app)
    assert (len(sessions), len(transactions)) == (200, 200)
    assert Counter((await counters()).values()) == {1: 200}


def cancel(task: asyncio.Task[Any], *, within: float) -> None:
    asyncio.get_running_loop().call_later(random.uniform(0, within), task.cancel)  # noqa: S311  # no secret


async def stop_somewhere(session: AsyncSession, command: Bump) -> int:
    """Raise the counter, and cancel the task that does it where the name of the counter says."""
    task = asyncio.current_task()
    assert task is not None
    if command.name.startswith("in the query"):
        cancel(task, within=0.004)
        await session.execute(text(NAP[dialect_of(session)]))
    n = await bump(session, command)
    if command.name.startswith("before commit"):
        cancel(task, within=0.002)
    if command.name.startswith("in commit"):
        (await session.connection()).info["cancel"] = task.cancel
    return n


async def deliver_and_cancel(app: App, envelope: Envelope) -> Answer | None:
    """Deliver; None where it was cancelled."""
    delivering = asyncio.create_task(answer_of(app, envelope, first=True))
    if envelope.payload["name"].startswith("in checkout"):
        cancel(delivering, within=0.02)
    await asyncio.wait({delivering})
    return None if delivering.cancelled() else delivering.result()


async def side_by_side(
    how_many: int, deliver: Callable[[App, Envelope], Awaitable[Any]], app: App, envelopes: list[Envelope]
) -> list[Any]:
    in_hand = asyncio.Semaphore(how_many)

    async def one(envelope: Envelope) -> Any:
        async with in_hand:
            return await deliver(app, envelope)

    return await asyncio.gather(*map(one, envelopes))


@kept_or_not
@pytest.mark.databases
async def test_a_thousand_cancelled_commands_leave_the_pool_whole_and_are_applied_once(
    make_app: MakeApp, counters: Counters, endings: Rows, settled: Settled, database_kind: str
) -> None:
    app = make_app({Bump: stop_somewhere}, concurrency=POOL, job_timeout=30, commit_timeout=10)
    names = [f"{point} {number}" for number in range(250) for point in POINTS]
    envelopes = [envelope_of(Bump(name=name)) for name in names]

    @event.listens_for(app.engine.sync_engine, "commit")
    def cancel_what_commits(connection: Any) -> None:
        connection.info.pop("cancel", lambda: None)()

    # Three deliveries for each connection, so that some are cancelled while they wait for one. A worker that
    # keeps its connections has no more slots than those.
    answers = await side_by_side(POOL if app.kept else 3 * POOL, deliver_and_cancel, app, envelopes)

    applied = {row.command_id for row in await endings()}
    assert await counters() == {e.payload["name"]: 1 for e in envelopes if e.id in applied}
    assert applied >= {envelope.id for envelope, answer in zip(envelopes, answers, strict=True) if answer}
    cut = Counter(name.rpartition(" ")[0] for name, answer in zip(names, answers, strict=True) if not answer)
    assert set(cut) == set(POINTS) - {"in commit"}, "a COMMIT that was sent is seen through"
    await settled(app)

    everybody = asyncio.Barrier(1 if database_kind == "sqlite" else POOL)

    async def meet(session: AsyncSession, command: Bump) -> int:
        await everybody.wait()
        return await bump(session, command)

    app.handlers[Bump] = meet
    met = await side_by_side(POOL, answer_of, app, [envelope_of(Bump(name=f"{n}")) for n in range(POOL)])
    app.handlers[Bump] = bump
    again = await side_by_side(POOL, answer_of, app, envelopes)

    assert [*met, *again] == [Answer(Ending.APPLIED, 1)] * (POOL + 1000)
    assert Counter((await counters()).values()) == {1: POOL + 1000}
    await settled(app)


@pytest.mark.parametrize(("concurrency", "pool_size", "slots"), [(20, 5, 5), (3, 5, 3), (7, None, 7)])
def test_slots_never_exceed_the_pool(
    concurrency: int, pool_size: int | None, slots: int, make_app: MakeApp
) -> None:
    app = make_app(concurrency=concurrency, pool_size=pool_size)

    assert (app.slots, vars(app.worker_settings)["max_jobs"]) == (slots, slots)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("pool_size", "slots"), [(None, 2), (7, 7)])
def test_sqlite_has_few_slots_unless_told_otherwise(
    pool_size: int | None, slots: int, make_app: MakeApp
) -> None:
    assert make_app(concurrency=20, pool_size=pool_size).slots == slots


@pytest.mark.parametrize(("overflow", "slots"), [(0, 2), (1, 3), (-1, 20)])
def test_slots_never_exceed_a_pool_that_was_brought_along(
    overflow: int, slots: int, make_app: MakeApp, database: AsyncEngine
) -> None:
    engine = create_async_engine(database.url, pool_size=2, max_overflow=overflow)
    options = make_app(concurrency=20).options

    assert App({Bump: bump}, sessions=create_sessions(engine), settings=options).slots == slots
