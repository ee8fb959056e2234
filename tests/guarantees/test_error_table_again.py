"""The promise: what passes by itself is tried again, as the error table says, and held against nobody.

Transactions that are in each other's way, and connections that have grown stale, are run again at once, in
the same delivery; a parent that is missing is waited for a moment; what cannot be read is kept for a deploy.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers.commands import CreatePost, CreateUser, UserView
from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of
from tests.guarantees.provocations import Provocation, Try, make_things, provoke, raising
from worker.app import App
from worker.delivery import Later
from worker.testing import execute

Trying = Callable[..., Courier]

APPLIED = Answer(Ending.APPLIED, 1)
TOUCH_ONE = text("UPDATE things SET age = age + 1 WHERE id = 1")
TOUCH_TWO = text("UPDATE things SET age = age + 1 WHERE id = 2")


@pytest.fixture
def turns() -> list[int]:
    """The backends that the handler's turns were on, one after the other."""
    return []


@pytest.fixture
async def trying(
    make_app: MakeApp,
    database: AsyncEngine,
    counters: Counters,  # noqa: ARG001  # their table is to be there
    turns: list[int],
) -> Trying:
    """Makes a courier to a handler that is provoked so many times (always, by default) and then succeeds."""
    await make_things(database)

    def trying(provocation: Provocation, times: float = float("inf"), **options: Any) -> Courier:
        async def handle(session: AsyncSession, _command: Try) -> int:
            raw: Any = await (await session.connection()).get_raw_connection()
            turns.append(raw.driver_connection.get_server_pid())
            if len(turns) <= times:
                await provoke(session, provocation)
            return await bump(session, Bump(name="n"))

        return Courier(make_app({Try: handle}, **options), envelope_of(Try()))

    return trying


async def test_a_deadlock_is_run_again_at_once(
    trying: Trying, turns: list[int], database: AsyncEngine, counters: Counters
) -> None:
    async with database.connect() as other:

        async def deadlock(session: AsyncSession) -> None:
            await session.execute(text("SET LOCAL deadlock_timeout = 20"))  # the other's is a second
            await other.execute(TOUCH_ONE)
            await session.execute(TOUCH_TWO)
            waiting = asyncio.create_task(other.execute(TOUCH_TWO))
            try:
                await session.execute(TOUCH_ONE)
            finally:
                await waiting
                await other.commit()

        courier = trying(deadlock, times=2)
        assert await courier.deliver() == APPLIED
    assert (len(turns), courier.counted, await counters()) == (3, {}, {"n": 1})


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_serialization_failure_is_run_again_at_once(
    level: str, trying: Trying, turns: list[int], database: AsyncEngine, counters: Counters
) -> None:
    async def be_overtaken(session: AsyncSession) -> None:
        await session.execute(text(f"SET TRANSACTION ISOLATION LEVEL {level}"))
        await session.execute(text("SELECT * FROM things"))
        async with database.begin() as other:
            await other.execute(TOUCH_ONE)
        await session.execute(TOUCH_ONE)

    courier = trying(be_overtaken, times=2)
    assert await courier.deliver() == APPLIED
    assert (len(turns), courier.counted, await counters()) == (3, {}, {"n": 1})


async def test_a_lock_that_is_held_is_tried_again_at_once(
    trying: Trying, turns: list[int], database: AsyncEngine, counters: Counters
) -> None:
    async with database.connect() as other:
        await other.execute(TOUCH_ONE)

        async def run_into_it(session: AsyncSession) -> None:
            await session.execute(text("SET LOCAL lock_timeout = 10"))
            await session.execute(TOUCH_ONE)

        courier = trying(run_into_it, times=3)
        assert await courier.deliver() == APPLIED
    assert (len(turns), courier.counted, await counters()) == (4, {}, {"n": 1})


async def test_conflicts_are_counted_after_twenty(trying: Trying, turns: list[int]) -> None:
    courier = trying(raising("40001"), max_attempts=2)

    assert isinstance(await courier.deliver(), Later)
    assert (len(turns), courier.counted) == (21, {"attempts": 1})
    answer = await courier.until_answered()
    assert (answer.ending, len(turns)) == (Ending.DEAD, 42)


async def test_conflicts_are_counted_after_the_time_limit(trying: Trying, turns: list[int]) -> None:
    async def be_slow(session: AsyncSession) -> None:
        await session.execute(text("SELECT pg_sleep(0.1)"))
        await provoke(session, raising("40P01"))

    courier = trying(be_slow, job_timeout=0.4)

    assert isinstance(await courier.deliver(), Later)
    assert courier.counted == {"attempts": 1}
    assert 1 < len(turns) < 20


LOSE_STATEMENTS = "SELECT * FROM things; DEALLOCATE ALL; SELECT * FROM things"


@pytest.mark.parametrize("provocation", [LOSE_STATEMENTS, raising("42P05")], ids=["26000", "42P05"])
async def test_a_stale_connection_is_replaced_at_once(
    provocation: Provocation, trying: Trying, turns: list[int], counters: Counters
) -> None:
    courier = trying(provocation, times=1)
    assert await courier.deliver() == APPLIED
    assert (len(set(turns)), courier.counted, await counters()) == (2, {}, {"n": 1})


async def test_one_that_is_stale_again_is_counted(trying: Trying, turns: list[int]) -> None:
    courier = trying(LOSE_STATEMENTS)
    assert isinstance(await courier.deliver(), Later)
    assert (len(set(turns)), courier.counted) == (2, {"attempts": 1})


@pytest.mark.parametrize("change", ["DEALLOCATE ALL", "ALTER TABLE things ADD COLUMN more int"])
async def test_when_all_connections_are_stale_none_of_them_is_tried_twice(
    change: str, trying: Trying, database: AsyncEngine
) -> None:
    size, everybody = 4, asyncio.Barrier(4)
    changes = change if change.startswith("DEALLOCATE") else "SELECT 1"

    async def read_together(session: AsyncSession) -> None:
        await provoke(session, "SELECT * FROM things")
        await everybody.wait()
        await provoke(session, changes)

    courier = trying(read_together, times=size, concurrency=size)
    others = [replace(courier, envelope=envelope_of(Try())) for _ in range(size - 1)]
    await asyncio.gather(*(each.deliver() for each in (courier, *others)))
    if changes != change:
        async with database.begin() as connection:
            await connection.execute(text(change))

    async def read(session: AsyncSession, _command: Try) -> int:
        await provoke(session, "SELECT * FROM things")
        return 1

    courier.app.handlers[Try] = read
    late = replace(courier, envelope=envelope_of(Try()), counted=courier.counted, deliveries=0)
    assert (await late.deliver(), late.counted) == (APPLIED, {})


def post(app: App, user: UserView | CreateUser) -> Courier:
    return Courier(app, envelope_of(CreatePost(title="one", user_id=user.id)))


async def test_a_parent_that_arrives_in_time_is_enough(app: App) -> None:
    ada = CreateUser(username="ada")
    courier = post(app, ada)

    assert [isinstance(await courier.deliver(), Later) for _ in range(4)] == [True] * 4
    await execute(app, ada)

    assert (await courier.until_answered()).ending is Ending.APPLIED
    assert courier.counted == {"parent": 4}


async def test_a_parent_that_never_arrives_is_a_reason_to_reject(app: App, letters: Rows) -> None:
    courier = post(app, CreateUser(id=uuid4(), username="ada"))
    outcomes = [await courier.deliver() for _ in range(6)]

    answer = outcomes.pop()
    assert isinstance(answer, Answer)
    assert answer.error is not None
    assert (answer.ending, answer.error["field"]) == (Ending.REJECTED, "user_id")
    assert sum(outcome.delay for outcome in outcomes if isinstance(outcome, Later)) <= 2
    [letter] = await letters()
    assert (letter.sqlstate, letter.attempts, letter.field) == ("23503", 6, "user_id")
    assert str(courier.envelope.payload["user_id"]) not in f"{answer.encode()}{letter.traceback}"
