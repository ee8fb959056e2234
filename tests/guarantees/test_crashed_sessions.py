"""A command that crashes its database session is given up; all others, cut off with it, are applied."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from producers import CommandDead, Producer
from tests.engine.short import shorten
from tests.guarantees.conftest import Counters, MakeApp, Rows, Running, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.poison import CrashSession, crash_session
from tests.proxy import Proxy


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


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


@on_engine
async def test_one_whose_connection_is_cut_time_and_again_is_not_taken_for_one_that_crashes(
    make_app: MakeApp, through: str, proxy: Proxy, producer: Producer, running: Running, counters: Counters
) -> None:
    cuts = 0

    async def unlucky(session: AsyncSession, command: Bump) -> int:
        nonlocal cuts
        if cuts < 8:
            cuts += 1
            proxy.cut()
            await session.execute(text("SELECT 1"))
        return await bump(session, command)

    async with running(make_app({Bump: unlucky}, database_url=through, max_attempts=100)):
        assert await (await producer.send(Bump(name="n"))).result(50) == 1
    assert (cuts, await counters()) == (8, {"n": 1})


@on_engine
@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_those_that_other_workers_run_are_cut_off_with_it_and_not_blamed(
    make_app: MakeApp, producer: Producer, running: Running, counters: Counters, letters: Rows
) -> None:
    async def toil(session: AsyncSession, command: Bump) -> int:
        await session.execute(text("SELECT pg_sleep(1)"))
        return await bump(session, command)

    handlers: Any = {Bump: toil, CrashSession: crash_session}
    async with (
        running(make_app(handlers, max_attempts=50)),
        running(make_app(handlers, max_attempts=50)),
    ):
        crashing = await producer.send_many([CrashSession() for _ in range(2)])
        bumps = await producer.send_many([Bump(name=f"n{n}") for n in range(3)])
        for receipt in crashing:
            with pytest.raises(CommandDead):
                await receipt.result(60)
        for bumped in bumps:
            await bumped.result(30)
    assert await counters() == {f"n{n}": 1 for n in range(3)}
    assert {letter.kind for letter in await letters()} == {"poison.crash_session"}
