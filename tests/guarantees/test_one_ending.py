"""The promise: a command has one ending, the first that was committed, whatever its deliveries came to.

Two deliveries of one command disagree. One of them is frozen inside the database right before it inserts its
ending, or after that and before its COMMIT; the other goes on; then the frozen one wakes. Whoever is late
rolls back what it did and answers what the other one wrote. (SQLite has one writer at a time: nobody can
disagree with one that is frozen.)
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandRejected, CommandSuperseded
from producers.wire import Answer, Ending, Envelope
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.deliveries import envelope_of, outcome_of
from tests.guarantees.triggers import gate
from worker.delivery import Later

pytestmark = pytest.mark.databases("postgresql", "mariadb")

Delivering = asyncio.Task[Answer | Later]
Deliver = Callable[[Ending, Envelope], Delivering]
Check = Callable[[Ending, Answer | Later, Answer | Later], Awaitable[None]]

APPLIED, REJECTED, DEAD, EXPIRED = Ending.APPLIED, Ending.REJECTED, Ending.DEAD, Ending.EXPIRED
SUPERSEDED = Ending.SUPERSEDED
DISAGREEMENTS = list(permutations([APPLIED, REJECTED, SUPERSEDED, DEAD, EXPIRED], 2))
"""The one that is frozen, the other one: all orders."""


async def reject(_session: AsyncSession, _command: Bump) -> int:
    raise CommandRejected("it breaks a rule", code="rule", field="name")


async def supersede(_session: AsyncSession, _command: Bump) -> int:
    raise CommandSuperseded("it has another version", field="version")


async def fail(_session: AsyncSession, _command: Bump) -> int:
    raise RuntimeError("a bug")


HANDLERS: dict[Ending, Any] = {
    APPLIED: bump,
    REJECTED: reject,
    SUPERSEDED: supersede,
    DEAD: fail,
    EXPIRED: bump,
}


@pytest.fixture
def deliver(make_app: MakeApp, counters: Counters) -> Deliver:  # noqa: ARG001  # the table has to be there
    """Starts a delivery that comes to this ending, in an App of its own, as in a process of its own."""

    def deliver(ending: Ending, envelope: Envelope) -> Delivering:
        app = make_app({Bump: HANDLERS[ending]}, max_attempts=1, commit_timeout=20, job_timeout=20)
        return asyncio.create_task(outcome_of(app, envelope, unbegun=EXPIRED if ending is EXPIRED else None))

    return deliver


@pytest.fixture
def there_is_one_ending(counters: Counters, endings: Rows, letters: Rows) -> Check:
    """Checks that rows, letters, effects and both answers say the same."""

    async def check(ending: Ending, one: Answer | Later, another: Answer | Later) -> None:
        [row] = await endings()
        assert row.ending == ending
        assert one == another == Answer(ending, row.result, row.error)
        assert await counters() == ({"n": 1} if ending is APPLIED else {})
        expected = [(row.command_id, ending)] if ending in {REJECTED, DEAD} else []
        assert [(letter.command_id, letter.state) for letter in await letters()] == expected

    return check


@pytest.mark.parametrize(("late", "other"), DISAGREEMENTS)
async def test_one_frozen_before_its_ending_adopts_the_other(
    late: Ending,
    other: Ending,
    database: AsyncEngine,
    deliver: Deliver,
    there_is_one_ending: Check,
) -> None:
    envelope = envelope_of(Bump(name="n"))
    async with gate(database, late, "before") as closed:
        frozen = deliver(late, envelope)
        await closed.held()
        answer = await deliver(other, envelope)
        await there_is_one_ending(other, answer, answer)
        await closed.open()
        await there_is_one_ending(other, answer, await frozen)


@pytest.mark.parametrize(("first", "other"), DISAGREEMENTS)
async def test_one_frozen_before_its_commit_is_waited_for_and_adopted(
    first: Ending,
    other: Ending,
    database: AsyncEngine,
    deliver: Deliver,
    there_is_one_ending: Check,
) -> None:
    envelope = envelope_of(Bump(name="n"))
    async with gate(database, first, "after") as closed:
        frozen = deliver(first, envelope)
        await closed.held()
        waiting = deliver(other, envelope)
        await closed.queued()
        await closed.open()
        await there_is_one_ending(first, await frozen, await waiting)


@pytest.mark.parametrize(("lost", "other"), DISAGREEMENTS)
async def test_one_whose_connection_is_lost_before_its_commit_adopts_the_one_that_waited(
    lost: Ending,
    other: Ending,
    database: AsyncEngine,
    deliver: Deliver,
    there_is_one_ending: Check,
) -> None:
    envelope = envelope_of(Bump(name="n"))
    async with gate(database, lost, "after") as closed:
        frozen = deliver(lost, envelope)
        pid = await closed.held()
        waiting = deliver(other, envelope)
        await closed.queued()
        await closed.kill(pid)
        answer, outcome = await waiting, await frozen
        if isinstance(outcome, Later):
            outcome = await deliver(lost, envelope)
        await there_is_one_ending(other, answer, outcome)


@pytest.mark.parametrize("sleeper", [APPLIED, REJECTED, DEAD])
@pytest.mark.parametrize("other", [APPLIED, REJECTED, DEAD, EXPIRED])
async def test_one_that_sleeps_in_its_handler_adopts_what_it_finds(
    sleeper: Ending,
    other: Ending,
    make_app: MakeApp,
    deliver: Deliver,
    there_is_one_ending: Check,
) -> None:
    asleep, wake = asyncio.Event(), asyncio.Event()

    async def sleep(session: AsyncSession, command: Bump) -> Any:
        asleep.set()
        await wake.wait()
        return await HANDLERS[sleeper](session, command)

    envelope = envelope_of(Bump(name="n"))
    app = make_app({Bump: sleep}, max_attempts=1)
    sleeping = asyncio.create_task(outcome_of(app, envelope, first=True))
    await asleep.wait()
    answer = await deliver(other, envelope)
    wake.set()
    await there_is_one_ending(other, answer, await sleeping)
