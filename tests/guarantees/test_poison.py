"""A command that ends its worker, or crashes its database session, hurts only itself, and is given up."""

import asyncio
from contextlib import nullcontext

import pytest

from producers import CommandDead, Producer
from producers.settings import QueueSettings
from tests.guarantees.conftest import Counters, Rows
from tests.guarantees.counters import Bump
from tests.guarantees.poison import Poison
from tests.processes import Process, environment_of
from worker.suspects import Suspects, Suspicions

RUN = ("--app", "tests.guarantees.poison_app", "run")


async def test_a_command_that_ends_its_worker_is_dead_after_it_was_alone_three_times(
    database_url: str, queue: QueueSettings, producer: Producer, counters: Counters, letters: Rows
) -> None:
    environment = environment_of(database_url, queue.redis_url, queue.name) | {"WORKER_CONCURRENCY": "5"}
    poison = await producer.send(Poison())
    bumps = await producer.send_many([Bump(name=f"n{n % 10}") for n in range(100)])
    kills = 0

    async def keep_at_work() -> None:
        nonlocal kills
        while True:
            with Process(*RUN, environment=environment) as worker:
                await worker.end()
                kills += 1

    keeping = asyncio.create_task(keep_at_work())
    try:
        with pytest.raises(CommandDead, match="3 times while it ran alone") as caught:
            await poison.result(60)
        for receipt in bumps:
            await receipt.result(10)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
    assert caught.value.code == "poison"
    assert kills == 4  # once beside others, three times alone
    assert await counters() == {f"n{n}": 10 for n in range(10)}
    [letter] = await letters()
    assert (letter.state, letter.code, letter.attempts) == ("dead", "poison", 3)


async def test_a_suspect_waits_until_nothing_else_runs_and_then_nothing_is_claimed() -> None:
    claiming: list[bool] = []
    running = 3  # two suspects, and another one
    order: list[str] = []
    suspects = Suspects(claiming.append, lambda: running)

    async def run(name: str) -> None:
        nonlocal running
        async with suspects.alone(nullcontext()):
            order.append(f"{name} begins")
            await asyncio.sleep(0.02)
            order.append(f"{name} ends")
            running -= 1

    tasks = [asyncio.create_task(run(name)) for name in "ab"]
    await asyncio.sleep(0.05)
    assert order == []
    running -= 1
    await asyncio.gather(*tasks)
    assert order == ["a begins", "a ends", "b begins", "b ends"]
    assert claiming == [False, False, True]


async def test_a_session_that_ends_once_is_no_reason_to_suspect_its_command(producer: Producer) -> None:
    suspicions = Suspicions(producer.redis, producer.keys)
    await suspicions.note_crash("job")
    assert not await suspicions.has("job")
    await suspicions.note_crash("job")
    assert await suspicions.has("job")
    await suspicions.clear("job")
    assert not await suspicions.has("job")
    await suspicions.suspect("job")  # its worker ended: once is enough
    assert await suspicions.has("job")
