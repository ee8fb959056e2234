"""The promise: an error in answer to COMMIT is believed where it is certain; any other leaves it in doubt.

Certain are the classes 23 and 40: nothing was committed, and what follows is what follows from that error.
Any other leaves it unknown: never rejected, never dead, never counted, and never again on that connection.
"""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp, Rows, kept_or_not
from tests.guarantees.counters import Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of
from tests.guarantees.triggers import refuse
from worker.delivery import Later
from worker.failure import Cause

pytestmark = kept_or_not
APPLIED = Answer(Ending.APPLIED, 1)


@pytest.fixture
def backends() -> list[int]:
    """The backends that the handler's turns were on, one after the other."""
    return []


@pytest.fixture
def courier(make_app: MakeApp, counters: Counters, backends: list[int]) -> Courier:  # noqa: ARG001  # its table
    async def handle(session: AsyncSession, command: Bump) -> int:
        raw: Any = await (await session.connection()).get_raw_connection()
        backends.append(raw.driver_connection.get_server_pid())
        return await bump(session, command)

    return Courier(make_app({Bump: handle}), envelope_of(Bump(name="n")))


async def accept_again(database: AsyncEngine) -> None:
    async with database.begin() as connection:
        await connection.execute(text("DROP TRIGGER fault ON processed_commands"))


@pytest.mark.parametrize("sqlstate", ["57014", "XX000", "08006", "53100", "40003", "P0001", "22001"])
async def test_an_uncertain_error_is_never_counted_and_its_connection_never_used_again(
    sqlstate: str, courier: Courier, backends: list[int], database: AsyncEngine, counters: Counters
) -> None:
    await refuse(database, Ending.APPLIED, sqlstate, at_commit=True)

    for _ in range(courier.app.options.max_attempts + 1):
        outcome = await courier.deliver()
        assert isinstance(outcome, Later)
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.sqlstate) == (Cause.UNKNOWN, sqlstate)
    await accept_again(database)

    assert await courier.until_answered() == APPLIED
    assert (courier.counted, await counters()) == ({}, {"n": 1})
    assert len(backends) == len(set(backends))


@pytest.mark.parametrize("sqlstate", ["23505", "23514", "23P01"])
async def test_what_is_refused_for_certain_is_rejected(
    sqlstate: str, courier: Courier, database: AsyncEngine, counters: Counters, letters: Rows
) -> None:
    await refuse(database, Ending.APPLIED, sqlstate, at_commit=True)

    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert answer.ending is Ending.REJECTED
    assert [letter.sqlstate for letter in await letters()] == [sqlstate]
    assert (courier.counted, await counters()) == ({}, {})


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_conflict_for_certain_is_run_again_at_once_and_then_counted(
    sqlstate: str, courier: Courier, backends: list[int], database: AsyncEngine, counters: Counters
) -> None:
    await refuse(database, Ending.APPLIED, sqlstate, at_commit=True)

    assert isinstance(await courier.deliver(), Later)
    assert (len(backends), courier.counted) == (21, {"attempts": 1})
    await accept_again(database)

    assert await courier.until_answered() == APPLIED
    assert await counters() == {"n": 1}
