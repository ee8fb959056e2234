"""Nothing is dropped by a deploy: worker processes that are started, signalled and frozen lose no command."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from arq.constants import in_progress_key_prefix
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from producers import Producer
from producers.commands import CreateUser, GetUser
from producers.settings import QueueSettings
from tests.guarantees.conftest import Counters, Rows
from tests.guarantees.counters import COUNTERS, Bump
from tests.guarantees.counters_app import PATH
from tests.guarantees.redis_proxy import proxied
from tests.processes import ARQ, Process, command_line, environment_of
from tests.proxy import Way
from tests.waiting import until

RUN = ("--app", PATH, "run")
TERMINATE_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crud-worker'"
)


@pytest.fixture
def environment(database_url: str, queue: QueueSettings) -> dict[str, str]:
    return environment_of(database_url, queue.redis_url, queue.name)


@asynccontextmanager
async def held(database: AsyncEngine, name: str) -> AsyncIterator[AsyncConnection]:
    """Keep every Bump of this counter waiting in its transaction while the block goes on."""
    async with database.connect() as connection:
        await connection.execute(insert(COUNTERS).values(name=name, n=0))
        yield connection
        await connection.rollback()


@pytest.mark.parametrize("nth", [1, 2])
async def test_sigterm_with_a_batch_in_hand_loses_nothing_and_counts_nothing(
    nth: int, environment: dict[str, str], queue: QueueSettings, producer: Producer, counters: Counters
) -> None:
    names = [f"n{number}" for number in range(60)]
    claims = 0

    def is_nth_claim(way: Way, data: bytes) -> bool:
        nonlocal claims
        claims += way is Way.REPLY and b'"f":"execute"' in data
        return claims >= nth

    async with proxied(queue) as (proxy, behind):
        receipts = await producer.send_many([Bump(name=name) for name in names])
        many = environment | {"REDIS_URL": behind.redis_url, "WORKER_CONCURRENCY": "10"}
        with Process(*RUN, environment=many) as worker:
            proxy.on_bytes(is_nth_claim, lambda: worker.send(signal.SIGTERM))
            assert await worker.end() == 0
            assert len(worker.events("command.ended")) < 60

    left = await producer.redis.zrange(queue.name, 0, -1)
    assert len(left) + len(await counters()) == 60
    assert not [key async for key in producer.redis.scan_iter(f"{in_progress_key_prefix}{queue.name}:*")]
    assert not [key async for key in producer.redis.scan_iter(producer.keys.failures("*"))]

    assert (await command_line(*RUN, "--burst", environment=environment)).returncode == 0
    assert [await receipt.result(1) for receipt in receipts] == [1] * 60
    assert await counters() == dict.fromkeys(names, 1)


async def test_what_runs_at_sigterm_is_finished(
    environment: dict[str, str], producer: Producer, counters: Counters, database: AsyncEngine
) -> None:
    with Process(*RUN, environment=environment) as worker:
        async with held(database, "n"):
            receipt = await producer.send(Bump(name="n"))
            await until(lambda: _is_claimed(producer, receipt.command_id))
            worker.send(signal.SIGTERM)
            await worker.says("worker.stopping")
        assert await worker.end() == 0

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


@pytest.mark.parametrize("how", ["a second signal", "time running out"])
async def test_what_is_cut_short_by_a_shutdown_is_handed_back_and_not_counted(
    how: str, environment: dict[str, str], producer: Producer, counters: Counters, database: AsyncEngine
) -> None:
    environment |= {"WORKER_MAX_ATTEMPTS": "1"}  # one counted failure would be the end of it
    patience = "0.2" if how == "time running out" else "30"
    async with held(database, "n"):
        with Process(*RUN, environment=environment | {"WORKER_SHUTDOWN_TIMEOUT": patience}) as worker:
            receipt = await producer.send(Bump(name="n"))
            await until(lambda: _is_claimed(producer, receipt.command_id))
            worker.send(signal.SIGTERM)
            await worker.says("worker.stopping")
            if how == "a second signal":
                worker.send(signal.SIGTERM)
            assert await worker.end() == 0

    assert not await _is_claimed(producer, receipt.command_id)
    assert (await command_line(*RUN, "--burst", environment=environment)).returncode == 0
    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def test_a_worker_that_finds_again_what_it_runs_does_not_drop_it(
    environment: dict[str, str], producer: Producer, counters: Counters, database: AsyncEngine
) -> None:
    with Process(*RUN, environment=environment) as worker:
        async with held(database, "n") as connection:
            receipt = await producer.send(Bump(name="n"))
            await until(lambda: _is_claimed(producer, receipt.command_id))
            # As if the process had been suspended for longer than its claim lives.
            job_id = producer.keys.job_id(receipt.command_id)
            await producer.redis.delete(in_progress_key_prefix + job_id)
            await producer.redis.zadd(producer.keys.queue, {job_id: 1})
            await (await producer.send(Bump(name="other"))).result(10)  # it has looked into the queue since
            await connection.execute(text(TERMINATE_OTHERS))
        assert await receipt.result(10) == 1
        assert await worker.stop() == 0

    assert await counters() == {"n": 1, "other": 1}


async def test_the_plain_arq_command_serves_as_well(
    environment: dict[str, str], producer: Producer, endings: Rows
) -> None:
    settings = "worker.main.WorkerSettings"
    assert (await command_line("--check", settings, environment=environment, program=ARQ)).returncode == 1

    with Process(settings, environment=environment, program=ARQ) as worker:
        ada = await (await producer.send(CreateUser(username="ada"))).result(20)
        assert await (await producer.send(GetUser(id=ada.id))).result(10) == ada
        assert (await command_line("--check", settings, environment=environment, program=ARQ)).returncode == 0
        assert await worker.stop() == 0
        assert "ada" not in worker.output

    assert [row.ending for row in await endings()] == ["applied"]


@pytest.mark.parametrize("program", ["ours", "arq's"])
async def test_a_worker_that_cannot_work_says_why_and_takes_no_command(
    program: str, empty_database_url: str, queue: QueueSettings, producer: Producer
) -> None:
    environment = environment_of(empty_database_url, queue.redis_url, queue.name)
    receipt = await producer.send(CreateUser(username="ada"))

    if program == "ours":
        ended = await command_line("run", environment=environment)
        assert ended.stderr.count("\n") == 1
    else:
        ended = await command_line("worker.main.WorkerSettings", environment=environment, program=ARQ)

    assert ended.returncode == 1
    assert "run `python -m worker migrate`" in ended.stderr
    assert await producer.redis.zcard(queue.name) == 1
    assert not await producer.redis.exists(producer.keys.failures(producer.keys.job_id(receipt.command_id)))


async def _is_claimed(producer: Producer, command_id: object) -> bool:
    return bool(await producer.redis.exists(f"{in_progress_key_prefix}{producer.keys.queue}:{command_id}"))
