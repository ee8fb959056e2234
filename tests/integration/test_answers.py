"""Waiting for results: many at once, on one connection, which may be lost."""

import asyncio
from signal import Signals
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from producers import Producer, QueueUnavailable
from producers.answers import Answers
from producers.commands import CreateUser
from producers.settings import QueueSettings
from tests.guarantees.redis_proxy import proxied
from tests.waiting import until
from worker.app import App
from worker.handlers import HANDLERS
from worker.models.migrations import EXAMPLE
from worker.process import Process
from worker.settings import WorkerOptions


@pytest.fixture
def queue(redis_url: str, queue_name: str) -> QueueSettings:
    return QueueSettings(redis_url=redis_url, name=queue_name)


async def test_a_thousand_who_begin_to_wait_at_once_share_a_connection(queue: QueueSettings) -> None:
    async with Producer(settings=queue) as producer:
        answers = Answers(producer.redis)
        names = [f"{queue.name}:{number}" for number in range(1000)]

        async def wait(name: str) -> bytes | None:
            async with answers.listening(name) as channel:
                return await channel.heard(30)

        waiting = [asyncio.create_task(wait(name)) for name in names]
        await until(lambda: _subscribed(producer.redis, names))
        clients = await producer.redis.client_list(_type="pubsub")
        assert len([client for client in clients if int(client["sub"]) >= 1000]) == 1
        for name in names:
            await producer.redis.publish(name, name)
        assert await asyncio.gather(*waiting) == [name.encode() for name in names]
        await until(lambda: _nobody_listens(producer.redis, names))
        await answers.close()


async def test_who_waits_looks_again_when_the_connection_is_lost(queue: QueueSettings) -> None:
    async with proxied(queue) as (proxy, behind), Producer(settings=behind) as producer:
        answers = Answers(producer.redis)
        name = f"{queue.name}:{uuid4()}"
        async with answers.listening(name) as channel:
            proxy.cut()
            assert await asyncio.wait_for(channel.message, 30) is None
        async with Producer(settings=queue) as other, answers.listening(name) as channel:
            await other.redis.publish(name, "told")
            assert await channel.heard(30) == b"told"
        await answers.close()


async def test_two_who_wait_for_the_same_both_hear_it(queue: QueueSettings) -> None:
    async with Producer(settings=queue) as producer:
        answers = Answers(producer.redis)
        name = f"{queue.name}:the same"
        async with answers.listening(name) as one, answers.listening(name) as two:
            await producer.redis.publish(name, "told")
            assert [await one.heard(30), await two.heard(30)] == [b"told", b"told"]
        await answers.close()


async def _subscribed(redis: Redis, names: list[str]) -> bool:
    return all(count == 1 for _, count in await redis.pubsub_numsub(*names))


async def _nobody_listens(redis: Redis, names: list[str]) -> bool:
    return not any(count for _, count in await redis.pubsub_numsub(*names))


async def test_a_connection_that_hears_nothing_any_more_holds_up_nobody(queue: QueueSettings) -> None:
    async with proxied(queue) as (proxy, behind), Producer(settings=behind) as deaf:
        answers = Answers(deaf.redis)
        async with answers.listening(f"{queue.name}:before"):
            proxy.blackhole()
            async with answers.listening(f"{queue.name}:after") as channel:  # it is never confirmed
                assert await channel.heard(30) is None
        proxy.resume()
        await answers.close()


async def test_a_user_without_rights_on_channels_gets_results_all_the_same(
    own_redis_url: str, database_url: str, queue_name: str
) -> None:
    async with Redis.from_url(own_redis_url) as admin:
        await admin.execute_command("ACL", "SETUSER", "plain", "on", ">pw", "~*", "+@all", "resetchannels")
    url = own_redis_url.replace("redis://", "redis://plain:pw@")
    settings = QueueSettings(redis_url=url, name=queue_name)
    app = App(
        HANDLERS, settings=WorkerOptions(database_url=database_url), queue=settings, migrations=[EXAMPLE]
    )
    worker = Process(app, handle_signals=False)
    working = asyncio.create_task(worker.async_run())
    async with Producer(settings=settings) as producer:
        receipts = await producer.send_many([CreateUser(username=f"user-{number}") for number in range(3)])
        users = [await receipt.result(timeout=30) for receipt in receipts]
    assert [user.username for user in users] == ["user-0", "user-1", "user-2"]
    worker.handle_sig(Signals.SIGTERM)
    await working
    await worker.close()


async def test_closing_a_producer_ends_the_waiting(queue: QueueSettings) -> None:
    producer = Producer(settings=queue)
    receipt = await producer.send(CreateUser(username="nobody works"))
    waiting = asyncio.create_task(receipt.result())
    await until(lambda: _subscribed(producer.redis, [producer.keys.result(receipt.command_id)]))
    await producer.close()
    with pytest.raises(QueueUnavailable):
        await asyncio.wait_for(waiting, 30)
