"""The promise: an update that expects a version changes that one and no other.

Of many that expect the same version one is applied; all others are superseded: they changed nothing, wait for
nobody, and are told why. One that was applied stays so, however often it is delivered.
"""

import asyncio
from uuid import UUID

import pytest

from producers import CommandSuperseded, Producer
from producers.commands import Atomic, CreateUser, GetUser, UpdateUser, UserView
from producers.settings import QueueSettings
from producers.wire import Ending
from tests.guarantees.conftest import Drain, Rows
from tests.guarantees.deliveries import answer_of, envelope_of
from worker.app import App
from worker.testing import execute

pytestmark = pytest.mark.databases


@pytest.fixture
async def ada(app: App) -> UUID:
    """A user, of version 1."""
    user = CreateUser(username="ada")
    await execute(app, user)
    return user.id


async def now(app: App, user: UUID) -> UserView:
    found = await execute(app, GetUser(id=user))
    assert found is not None
    return found


async def test_of_many_that_expect_one_version_one_is_applied(
    app: App, ada: UUID, endings: Rows, letters: Rows
) -> None:
    updates = [UpdateUser(id=ada, age=age, expected_version=1) for age in range(10)]
    answers = await asyncio.gather(*(answer_of(app, envelope_of(one), first=True) for one in updates))

    applied = [age for age, answer in enumerate(answers) if answer.ending is Ending.APPLIED]
    others = [answer for answer in answers if answer.ending is not Ending.APPLIED]
    assert len(applied) == 1
    assert {answer.ending for answer in others} == {Ending.SUPERSEDED}
    assert others[0].error == {
        "code": "superseded",
        "message": "the user has version 2, not 1",
        "field": "expected_version",
    }
    user = await now(app, ada)
    assert (user.age, user.version) == (applied[0], 2)
    assert sorted(row.ending for row in await endings()) == ["applied"] * 2 + ["superseded"] * 9
    assert await letters() == []


async def test_one_that_was_applied_is_not_superseded_by_itself(app: App, ada: UUID) -> None:
    update = envelope_of(UpdateUser(id=ada, age=1, expected_version=1))
    for first in (True, True, False):  # Redis may say "first" of a delivery that is not
        assert (await answer_of(app, update, first=first)).ending is Ending.APPLIED
    assert (await now(app, ada)).version == 2


async def test_all_of_an_atomic_is_superseded_by_a_part(app: App, ada: UUID) -> None:
    parts = [CreateUser(username="grace"), UpdateUser(id=ada, age=1, expected_version=7)]
    answer = await answer_of(app, envelope_of(Atomic(parts)))
    assert answer.error is not None
    assert (answer.ending, answer.error["field"]) == (Ending.SUPERSEDED, "commands.1.expected_version")
    assert await execute(app, GetUser(username="grace")) is None


@pytest.mark.databases("postgresql")
async def test_its_producer_is_told(app: App, ada: UUID, queue: QueueSettings, drain: Drain) -> None:
    async with Producer(settings=queue) as producer:
        receipt = await producer.send(UpdateUser(id=ada, age=1, expected_version=2))
        await drain(app)
        with pytest.raises(CommandSuperseded, match="version 1, not 2") as raised:
            await receipt.result(timeout=5)
    assert (raised.value.code, raised.value.field) == ("superseded", "expected_version")
