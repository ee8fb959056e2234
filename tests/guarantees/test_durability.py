"""A send that is to survive waits until Redis says that it does, and says where that did not come."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from producers import DurabilityUnconfirmed, InvalidSettings, Producer, QueueSettings
from producers.commands import CreateUser
from producers.durability import Durability
from tests.waiting import until
from worker.demo.servers import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that keeps a file."""
    with RedisServer(appendonly=True) as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as redis:
        await redis.config_set("appendfsync", "always")
        await redis.flushall()
        yield redis


def producer_of(server: RedisServer, durability: Durability, timeout: float = 30) -> Producer:
    """Make a producer that waits for so many seconds; what is not said, it waits for a second only."""
    return Producer(
        settings=QueueSettings(redis_url=server.url, name="q", durability=durability, redis_timeout=timeout)
    )


async def test_a_send_waits_for_the_disk(server: RedisServer, redis: Redis) -> None:
    async with producer_of(server, "fsync") as producer:
        assert (await producer.send(CreateUser(username="ada"))).status == "accepted"
        assert len(await producer.send_many([CreateUser(username=f"u{n}") for n in range(1200)])) == 1200
    assert await redis.zcard("q") == 1201


async def test_a_disk_that_does_not_say_so_is_told_and_what_is_sent_again_is_waited_for_again(
    server: RedisServer, redis: Redis
) -> None:
    await redis.config_set("appendfsync", "no")
    async with producer_of(server, "fsync", 1) as impatient, producer_of(server, "fsync") as producer:
        for status in ("accepted", "duplicate"):
            with pytest.raises(DurabilityUnconfirmed, match="within 800 ms") as caught:
                await impatient.send(CreateUser(username="ada"), command_id="one")
            [receipt] = caught.value.accepted
            assert (receipt.status, caught.value.code) == (status, "durability_unconfirmed")
        await redis.config_set("appendfsync", "always")
        receipt = await producer.send(CreateUser(username="ada"), command_id="one")
        assert receipt.status == "duplicate"


async def test_a_send_waits_for_a_replica(server: RedisServer, redis: Redis) -> None:
    async with producer_of(server, "replica", 1) as impatient, producer_of(server, "replica") as producer:
        with pytest.raises(DurabilityUnconfirmed, match="a replica"):
            await impatient.send(CreateUser(username="ada"), command_id="one")
        with RedisServer() as other:
            async with Redis.from_url(other.url) as replica:
                await replica.execute_command("REPLICAOF", "127.0.0.1", server.port)

                async def follows() -> bool:
                    return "online" in str((await redis.info("replication")).get("slave0"))

                await until(follows)
                receipt = await producer.send(CreateUser(username="ada"), command_id="one")
                assert receipt.status == "duplicate"
                assert await replica.zcard("q") == 1


@pytest.mark.parametrize(
    ("server_info", "told"),
    [
        ({"redis_version": "7.0.15", "aof_enabled": 1}, "needs Redis 7.2 or newer, and this is 7.0.15"),
        ({"redis_version": "7.4.0", "aof_enabled": 0}, "start Redis with --appendonly yes"),
    ],
)
async def test_a_redis_that_cannot_say_it_is_refused_before_anything_is_sent(
    server: RedisServer,
    redis: Redis,
    server_info: dict[str, object],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def info(_self: Redis, _section: str) -> dict[str, object]:
        return server_info

    async with producer_of(server, "fsync") as producer:
        producer._enqueue.headroom.checked = float("inf")
        monkeypatch.setattr(Redis, "info", info)
        with pytest.raises(InvalidSettings, match=told):
            await producer.send(CreateUser(username="ada"))
    assert await redis.zcard("q") == 0
