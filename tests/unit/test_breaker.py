"""The breaker by itself: what it learns, and how many commands it lets through."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from producers.wire import Answer, Ending
from tests.waiting import until
from worker import breaker as module
from worker.breaker import Breaker, State
from worker.delivery import Later
from worker.failure import Cause, Failure

APPLIED = Answer(Ending.APPLIED)


def later(cause: Cause | None) -> Later:
    failure = None if cause is None else Failure(cause, "code", "message", "Error", None, None, "")
    return Later(1, failure, away=cause is Cause.AWAY)


class Database:
    """Away or not; counts how often it was asked."""

    def __init__(self) -> None:
        self.away, self.asked = True, 0

    async def is_away(self) -> bool:
        self.asked += 1
        return self.away


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def allowed() -> list[int | None]:
    return []


@pytest.fixture
async def breaker(
    database: Database, allowed: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Breaker]:
    monkeypatch.setattr(module, "_BETWEEN", 0.001)
    breaker = Breaker(database.is_away, allowed.append)
    yield breaker
    await breaker.close()


@pytest.mark.parametrize(
    "outcome", [APPLIED, later(None), *(later(cause) for cause in Cause if cause is not Cause.AWAY)], ids=repr
)
async def test_it_stays_closed_whatever_else_happens(
    outcome: object, breaker: Breaker, allowed: list[int | None]
) -> None:
    breaker.learn(outcome)
    assert (breaker.state, allowed) == (State.CLOSED, [])


async def test_it_opens_once_and_asks_until_there_is_an_answer(
    breaker: Breaker, database: Database, allowed: list[int | None]
) -> None:
    for _ in range(20):  # all that ran
        breaker.learn(later(Cause.AWAY))
    assert (breaker.state, allowed) == (State.OPEN, [0])
    await until(lambda: database.asked > 3)
    breaker.learn(APPLIED)  # it was committed before
    assert (breaker.state, allowed) == (State.OPEN, [0])
    database.away = False
    await until(lambda: breaker.state is State.HALF_OPEN)
    asked = database.asked
    assert allowed == [0, 1]
    breaker.learn(later(Cause.UNKNOWN))
    assert breaker.state is State.HALF_OPEN
    breaker.learn(APPLIED)
    assert (breaker.state, allowed) == (State.CLOSED, [0, 1, None])
    await asyncio.sleep(0.01)
    assert database.asked == asked


async def test_it_opens_again_where_the_one_that_is_let_through_fails(
    breaker: Breaker, database: Database, allowed: list[int | None]
) -> None:
    breaker.learn(later(Cause.AWAY))
    database.away = False
    await until(lambda: breaker.state is State.HALF_OPEN)
    database.away = True
    breaker.learn(later(Cause.AWAY))
    assert (breaker.state, allowed) == (State.OPEN, [0, 1, 0])
    database.away = False
    await until(lambda: breaker.state is State.HALF_OPEN)


async def test_a_question_that_fails_is_asked_again(
    breaker: Breaker, database: Database, allowed: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> bool:
        database.asked += 1
        raise RuntimeError("no such thing")

    monkeypatch.setattr(breaker, "_is_away", fail)
    breaker.learn(later(Cause.AWAY))
    await until(lambda: database.asked > 3)
    monkeypatch.setattr(breaker, "_is_away", database.is_away)
    database.away = False
    await until(lambda: breaker.state is State.HALF_OPEN)
    assert allowed == [0, 1]


async def test_closed_down_it_asks_no_more(
    breaker: Breaker, database: Database, allowed: list[int | None]
) -> None:
    await breaker.close()
    breaker.learn(later(Cause.AWAY))
    await breaker.close()
    asked = database.asked
    await asyncio.sleep(0.01)
    assert database.asked == asked
    assert (breaker.state, allowed) == (State.CLOSED, [0, None])
