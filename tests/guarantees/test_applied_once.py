"""The promise: a command that was accepted is applied once, however often it is delivered.

The effects are such that a second run would show: a counter is raised, a row of a unique name is inserted.
All deliveries give the answer of the one that was applied.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from arq.constants import in_progress_key_prefix
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import Producer
from producers.commands import CreateUser, NewPost, NewProfile
from producers.wire import Answer, Ending, Envelope
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running
from tests.guarantees.counters import Bump, bump
from tests.guarantees.deliveries import answer_of, envelope_of
from worker import suspects
from worker.app import App
from worker.handlers import HANDLERS
from worker.models import Post, Profile, User

pytestmark = pytest.mark.databases

TIMES = 10
ADA = CreateUser(username="ada", posts=[NewPost(title="one")], profile=NewProfile(bio="b")).identified(None)
Way = Callable[[App, Envelope], Awaitable[list[Answer]]]


async def one_after_another(app: App, envelope: Envelope) -> list[Answer]:
    return [await answer_of(app, envelope) for _ in range(TIMES)]


async def one_after_another_without_looking(app: App, envelope: Envelope) -> list[Answer]:
    return [await answer_of(app, envelope, first=True) for _ in range(TIMES)]


async def side_by_side(app: App, envelope: Envelope) -> list[Answer]:
    return await asyncio.gather(*(answer_of(app, envelope) for _ in range(TIMES)))


async def side_by_side_without_looking(app: App, envelope: Envelope) -> list[Answer]:
    return await asyncio.gather(*(answer_of(app, envelope, first=True) for _ in range(TIMES)))


WAYS = (one_after_another, one_after_another_without_looking, side_by_side, side_by_side_without_looking)


@pytest.fixture
def app(make_app: MakeApp, counters: Counters) -> App:  # noqa: ARG001  # the table has to be there
    """The example's App, which can also count, with as many slots as there are deliveries."""
    return make_app({**HANDLERS, Bump: bump}, concurrency=TIMES)


async def rows_of_the_example(database: AsyncEngine) -> tuple[int, ...]:
    look = select(
        *(select(func.count()).select_from(model).scalar_subquery() for model in (User, Post, Profile))
    )
    async with database.connect() as connection:
        return tuple((await connection.execute(look)).one())


@pytest.mark.parametrize("way", WAYS)
async def test_a_counter_that_is_raised_ten_times_goes_up_by_one(
    way: Way, app: App, counters: Counters, endings: Rows
) -> None:
    answers = await way(app, envelope_of(Bump(name="n")))

    assert answers == [Answer(Ending.APPLIED, 1)] * TIMES
    assert await counters() == {"n": 1}
    assert [row.ending for row in await endings()] == [Ending.APPLIED]


@pytest.mark.parametrize("way", WAYS)
async def test_a_user_that_is_created_ten_times_is_not_refused_as_a_duplicate(
    way: Way, app: App, database: AsyncEngine, endings: Rows
) -> None:
    answers = await way(app, envelope_of(ADA))

    assert answers == [Answer(Ending.APPLIED, answers[0].result)] * TIMES
    assert answers[0].result["username"] == "ada"
    assert await rows_of_the_example(database) == (1, 1, 1)
    assert [row.ending for row in await endings()] == [Ending.APPLIED]


@pytest.mark.parametrize("memory", ["redis knows its mark", "redis has forgotten it"])
async def test_a_job_put_back_into_the_queue_ten_times_is_applied_once(
    memory: str, app: App, producer: Producer, counters: Counters, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"))
    keys, at = producer.keys, receipt.command_id
    job = await producer.redis.get(keys.job(at))
    await drain(app)
    assert await receipt.result(5) == 1

    for _ in range(TIMES):
        await producer.redis.delete(keys.result(at))
        if memory == "redis has forgotten it":
            await producer.redis.flushdb()
        await producer.redis.set(keys.job(at), job)
        await producer.redis.zadd(keys.queue, {keys.job_id(at): 1})
        await drain(app)
        assert await receipt.result(5) == 1

    assert await counters() == {"n": 1}


async def test_commands_sent_again_after_redis_lost_everything_are_applied_once(
    app: App, producer: Producer, database: AsyncEngine, counters: Counters, drain: Drain
) -> None:
    results = []
    for _ in range(3):
        counting = await producer.send(Bump(name="n"), command_id="count")
        creating = await producer.send(ADA, command_id="ada")
        assert (counting.status, creating.status) == ("accepted", "accepted")
        await drain(app)
        results.append((await counting.result(5), await creating.result(5)))
        await producer.redis.flushdb()

    assert results == [results[0]] * 3
    assert await counters() == {"n": 1}
    assert await rows_of_the_example(database) == (1, 1, 1)


@pytest.mark.databases("postgresql", "mariadb")  # SQLite's writers are never side by side
async def test_a_job_that_ten_workers_run_at_once_is_applied_once(
    make_app: MakeApp,
    producer: Producer,
    counters: Counters,
    endings: Rows,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "MOST", 10_000)  # so many claims that run out are nobody's fault
    inside, all_inside = 0, asyncio.Event()

    async def meet(session: AsyncSession, command: Bump) -> int:
        nonlocal inside
        inside += 1
        if inside == TIMES:
            all_inside.set()
        await all_inside.wait()
        return await bump(session, command)

    async with AsyncExitStack() as workers:
        for _ in range(TIMES):
            await workers.enter_async_context(running(make_app({Bump: meet}, concurrency=1, job_timeout=30)))
        receipt = await producer.send(Bump(name="n"))
        job_id = producer.keys.job_id(receipt.command_id)
        async with asyncio.timeout(30):
            while not all_inside.is_set():  # as if the claim had run out
                await producer.redis.delete(in_progress_key_prefix + job_id)
                await producer.redis.zadd(producer.keys.queue, {job_id: 1})
                await asyncio.sleep(0.01)
        assert await receipt.result(10) == 1

    assert await counters() == {"n": 1}
    assert [row.ending for row in await endings()] == [Ending.APPLIED]
