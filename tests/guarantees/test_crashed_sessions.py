"""A command that crashes its database session is given up; all others, cut off with it, are applied."""

import pytest

from producers import CommandDead, Producer
from tests.guarantees.conftest import Counters, MakeApp, Rows, Running, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.poison_app import CrashSession, crash_session


@pytest.fixture
def database_url(own_database_url: str) -> str:
    """A server that may crash."""
    return own_database_url


@on_engine
async def test_it_is_dead_after_it_was_alone_three_times(
    make_app: MakeApp, producer: Producer, running: Running, counters: Counters, letters: Rows
) -> None:
    app = make_app({Bump: bump, CrashSession: crash_session}, max_attempts=10)
    crashing = await producer.send(CrashSession())
    bumps = await producer.send_many([Bump(name=f"n{n % 10}") for n in range(100)])
    async with running(app):
        with pytest.raises(CommandDead, match="3 times while it ran alone"):
            await crashing.result(90)
        for receipt in bumps:
            await receipt.result(10)
    assert await counters() == {f"n{n}": 10 for n in range(10)}
    [letter] = await letters()
    assert (letter.state, letter.code) == ("dead", "poison")
