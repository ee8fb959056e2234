"""A Redis behind Sentinel: when the master is killed, producers and workers go on with its replica."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import redis as blocking
from redis.exceptions import ConnectionError as Lost
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import DurabilityUnconfirmed, Producer, QueueUnavailable
from producers.commands import CreateUser
from producers.outbox import Outbox, send_many
from producers.settings import QueueSettings
from tests.guarantees.conftest import Counters, Rows
from tests.guarantees.counters import Bump
from tests.guarantees.counters_app import PATH
from tests.processes import Process, environment_of
from tests.sentinels import Watched, watched
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def redis_of_two() -> AsyncIterator[Watched]:
    with watched() as found:
        await found.ready()
        yield found


async def send_all(producer: Producer, bumps: Sequence[Bump]) -> None:
    """Send each until it is accepted, as durably as the producer was asked to be."""
    for bump in bumps:
        while True:
            try:
                await producer.send(bump, command_id=bump.name)
            except (QueueUnavailable, DurabilityUnconfirmed):
                await asyncio.sleep(0.1)
            else:
                break


def some(name: str, count: int) -> list[Bump]:
    return [Bump(name=f"{name}-{number}") for number in range(count)]


async def each_is_applied_once(counters: Counters, endings: Rows, bumps: Sequence[Bump]) -> None:
    async def all_are_there() -> bool:
        return len(await counters()) == len(bumps)

    await until(all_are_there, seconds=90)
    assert await counters() == {bump.name: 1 for bump in bumps}
    assert {row.ending for row in await endings()} == {"applied"}


async def test_what_is_in_the_outbox_is_applied_once_when_the_master_is_killed(
    redis_of_two: Watched,
    database_url: str,
    database: AsyncEngine,
    queue_name: str,
    counters: Counters,
    endings: Rows,
) -> None:
    before, after = some("before", 300), some("after", 100)
    outbox = Outbox(queue=queue_name)
    environment = environment_of(database_url, redis_of_two.url, queue_name)
    with Process("--app", PATH, "run", environment=environment) as worker:
        await worker.says("worker.started")
        async with AsyncSession(database) as session:
            await send_many(session, before, outbox=outbox)
            await session.commit()
        await worker.says("command.ended")
        killed = await asyncio.to_thread(redis_of_two.kill_master)
        async with AsyncSession(database) as session:
            await send_many(session, after, outbox=outbox)
            await session.commit()
        await each_is_applied_once(counters, endings, [*before, *after])
        assert redis_of_two.master() != killed.port
        assert await worker.stop() == 0


async def test_what_a_replica_has_confirmed_outlives_the_master(
    redis_of_two: Watched, database_url: str, queue_name: str, counters: Counters, endings: Rows
) -> None:
    bumps = some("direct", 200)
    settings = QueueSettings(
        redis_url=redis_of_two.url, name=queue_name, durability="replica", redis_timeout=2
    )
    environment = environment_of(database_url, redis_of_two.url, queue_name)
    async with Producer(settings=settings) as producer:
        await send_all(producer, bumps[:100])
        with Process("--app", PATH, "run", environment=environment) as worker:
            await worker.says("command.ended")
            killed = await asyncio.to_thread(redis_of_two.kill_master)
            sending = asyncio.create_task(send_all(producer, bumps[100:]))
            await until(lambda: redis_of_two.master() not in {0, killed.port}, seconds=60)
            await asyncio.to_thread(killed.start)  # the sentinels make a replica of it, which confirms
            await sending
            await each_is_applied_once(counters, endings, bumps)
            assert await producer.receipt(bumps[-1].name, Bump).result(timeout=10) == 1
            assert await worker.stop() == 0


async def test_a_sentinel_that_is_away_is_not_asked_first_again(redis_of_two: Watched) -> None:
    settings = QueueSettings(redis_url=redis_of_two.url, redis_retries=0)
    async with Producer(settings=settings) as producer:
        redis_of_two.sentinels[0].stop()
        assert await producer.redis.ping()
        led = producer.redis.connection_pool.connection_kwargs["sentinels"]
        assert led.addresses[-1][1] == redis_of_two.sentinels[0].port


async def test_a_server_that_is_no_master_any_more_is_refused(
    redis_of_two: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = redis_of_two.other(redis_of_two.master())
    settings = QueueSettings(redis_url=redis_of_two.url, redis_retries=0)
    async with Producer(settings=settings) as producer:
        led = producer.redis.connection_pool.connection_kwargs["sentinels"]

        async def stale() -> tuple[str, int]:
            return "127.0.0.1", replica.port

        first = led.addresses[0]
        with monkeypatch.context() as patched:
            patched.setattr(led, "find", stale)
            with pytest.raises(Lost, match="is not the master"):
                await producer.redis.ping()
        assert led.addresses[-1] == first
        assert await producer.redis.ping()


async def test_a_master_that_becomes_a_replica_is_left(redis_of_two: Watched) -> None:
    settings = QueueSettings(redis_url=redis_of_two.url, redis_retries=0)
    port = redis_of_two.master()
    for sentinel in redis_of_two.sentinels[1:]:
        sentinel.stop()  # one alone changes nothing
    async with Producer(settings=settings) as producer:
        assert await producer.redis.set("test-before", "1")
        with blocking.Redis(port=port) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", redis_of_two.other(port).port)
        with pytest.raises(Lost, match="another server is the master now"):
            await producer.redis.set("test-after", "1")


async def test_without_a_sentinel_nothing_is_sent_and_it_is_said_why(redis_of_two: Watched) -> None:
    for sentinel in redis_of_two.sentinels:
        sentinel.stop()
    settings = QueueSettings(redis_url=redis_of_two.url, redis_retries=0, redis_patience=0.1)
    async with Producer(settings=settings) as producer:
        with pytest.raises(QueueUnavailable) as raised:
            await producer.send(CreateUser(username="ada"))
    assert "no sentinel knows a master called 'mymaster'" in str(raised.value.__cause__)
