"""A claim is a lease: it is renewed while its job runs, and comes back by itself when nobody renews it."""

import asyncio
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus
from redis.asyncio import Connection, ConnectionPool

from tests.engine.behind_proxy import proxied
from tests.engine.conftest import MakeEngine, running
from tests.engine.short import shorten
from tests.waiting import until
from worker.engine import Claim
from worker.engine.broker import Broker
from worker.engine.lease import Keeper


class Long:
    """A job that runs until `go_on`; notes begins and ends."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.seen: list[str] = []

    async def run(self, ctx: dict[str, Any]) -> int:
        number: int = ctx["job_try"]
        self.seen.append(f"{number} begins")
        try:
            await self.go_on.wait()
        finally:
            self.seen.append(f"{number} ends")
        return number


async def milliseconds(redis: ArqRedis) -> float:
    seconds, micros = await redis.time()
    return float(seconds * 1000 + micros / 1000)


async def _is_later(redis: ArqRedis, than: float) -> bool:
    return await milliseconds(redis) >= than


async def put(producer: ArqRedis, name: str = "run", **options: Any) -> Job:
    job = await producer.enqueue_job(name, _job_id="mine", **options)
    assert job is not None
    return job


async def score(producer: ArqRedis) -> float:
    return await producer.zscore(producer.default_queue_name, "mine") or 0.0


async def test_a_running_job_is_scored_by_the_end_of_its_lease_and_its_key_lives_as_long(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    long = Long()
    await put(producer)
    async with running(make_engine({"run": long.run})):
        await until(lambda: bool(long.seen))
        now, ends = await milliseconds(producer), await score(producer)
        lives = await producer.pttl("arq:in-progress:mine")
        assert 0 < lives <= 10_000
        assert now < ends <= now + 10_000
        token = await producer.get("arq:in-progress:mine")
        assert token not in {None, b"1", b""}
        long.go_on.set()


async def test_two_claims_have_two_tokens(producer: ArqRedis, queue_name: str) -> None:
    tokens = []
    for number in range(2):
        broker = Broker(producer, queue_name, lease=10, aborts=False)
        await producer.enqueue_job("run", _job_id=str(number))
        look = await broker.exchange([], 10)
        assert look is not None
        tokens += [claim.token for claim in look.claims]
        assert await producer.get(f"arq:in-progress:{number}") == tokens[-1].encode()
        await broker.close()
    assert len({*tokens}) == 2


async def test_the_lease_of_a_long_job_is_renewed_and_it_runs_once(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    long = Long()
    job = await put(producer)
    async with running(make_engine({"run": long.run})), running(make_engine({"run": long.run})):
        await until(lambda: bool(long.seen))
        later = await milliseconds(producer) + 2_500
        while await milliseconds(producer) < later:
            assert await job.status() is JobStatus.in_progress
            await asyncio.sleep(0.05)
        long.go_on.set()
        assert await job.result(timeout=10, poll_delay=0.01) == 1
    assert long.seen == ["1 begins", "1 ends"]


async def test_what_a_worker_that_is_gone_had_claimed_comes_back_by_itself(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str
) -> None:
    long = Long()
    long.go_on.set()
    job = await put(producer)
    gone = Broker(producer, queue_name, lease=0.2, aborts=False)
    look = await gone.exchange([], 1)
    await gone.close()
    assert look is not None
    assert len(look.claims) == 1
    async with running(make_engine({"run": long.run})):
        assert await job.result(timeout=10, poll_delay=0.01) == 2


async def test_an_attempt_whose_lease_is_lost_is_cancelled(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, lease=10)
    long = Long()
    job = await put(producer)
    worker = make_engine({"run": long.run})
    async with running(worker):
        await until(lambda: bool(long.seen))
        await producer.set("arq:in-progress:mine", "somebody else's")
        await until(lambda: long.seen == ["1 begins", "1 ends"])
        await until(lambda: not worker.tasks and not worker._ended)
        assert await producer.get("arq:in-progress:mine") == b"somebody else's"
        assert await producer.exists("arq:job:mine")
        assert await job.status() is JobStatus.in_progress


async def claimed(broker: Broker, producer: ArqRedis) -> Claim:
    await put(producer)
    look = await broker.exchange([], 1)
    assert look is not None
    return look.claims[0]


async def test_renewing_says_which_leases_are_lost(producer: ArqRedis, queue_name: str) -> None:
    broker = Broker(producer, queue_name, lease=10, aborts=False)
    mine = await claimed(broker, producer)
    client = broker.keeper(1)
    assert client is not None
    try:
        assert broker.renew(client, [mine], 1) == []
        before = await score(producer)
        await producer.set("arq:in-progress:mine", "somebody else's", px=5_000)
        assert broker.renew(client, [mine], 1) == [mine]
        assert await producer.pttl("arq:in-progress:mine") <= 5_000
        assert await score(producer) == before
        await producer.delete("arq:in-progress:mine")  # it ran out, and nobody has claimed the job since
        assert broker.renew(client, [mine], 1) == []
        assert await producer.get("arq:in-progress:mine") == mine.token.encode()
        await producer.delete("arq:in-progress:mine")
        await producer.zrem(queue_name, "mine")
        assert broker.renew(client, [mine], 1) == [mine]
        assert not await producer.exists("arq:in-progress:mine")
    finally:
        client.close()
        await broker.close()


async def test_a_loop_that_stands_still_lets_go(producer: ArqRedis, queue_name: str) -> None:
    broker = Broker(producer, queue_name, lease=0.5, aborts=False)
    mine = await claimed(broker, producer)
    lost: list[Claim] = []
    keeper = Keeper(broker, lost.append, every=0.05, patience=0.2)
    keeper.hold(mine)
    keeper.start()  # nobody says that the loop turns
    try:
        await until(lambda: lost == [mine])
        await until(lambda: _is_free(producer))
    finally:
        keeper.end()
        await broker.close()


async def _is_free(producer: ArqRedis) -> bool:
    return not await producer.exists("arq:in-progress:mine")


async def test_a_loop_that_turns_holds_on(producer: ArqRedis, queue_name: str) -> None:
    broker = Broker(producer, queue_name, lease=0.5, aborts=False)
    mine = await claimed(broker, producer)
    lost: list[Claim] = []
    keeper = Keeper(broker, lost.append, every=0.05, patience=0.2)
    keeper.hold(mine)
    keeper.start()
    try:
        later = await milliseconds(producer) + 1_500
        while await milliseconds(producer) < later:
            keeper.turned()
            assert not await _is_free(producer)
            await asyncio.sleep(0.02)
        assert lost == []
    finally:
        keeper.end()
        await broker.close()


async def test_a_heart_beat_that_waits_for_redis_is_no_loop_that_stands_still(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A connection may die in silence: the worker's own time out, the pool's (as arq makes it) never does.
    shorten(monkeypatch, lease=1.5, every=0.2, patience=0.5)
    monkeypatch.setattr("worker.engine.broker._TIMEOUT", 0.3)
    long = Long()
    job = await put(producer)
    async with proxied(redis_url) as (proxy, url):
        settings = {"redis_settings": RedisSettings.from_dsn(url), "allow_abort_jobs": True}
        async with running(make_engine({"run": long.run}, **settings)):
            await until(lambda: bool(long.seen))
            held = proxy.on_bytes(lambda _way, data: b"ZREMRANGEBYSCORE" in data, proxy.blackhole)
            await asyncio.wait_for(held.wait(), 10)
            proxy._open = {way: asyncio.Event() for way in proxy._open}  # the bytes held stay where they are
            proxy.resume()
            later = await milliseconds(producer) + 4_000
            await until(lambda: _is_later(producer, later))
            long.go_on.set()
            assert await job.result(timeout=20, poll_delay=0.01) == 1
    assert long.seen == ["1 begins", "1 ends"]


class OurConnection(Connection):
    """One that is not redis-py's own, as Sentinel's are not."""


async def test_leases_are_renewed_whatever_kind_of_connection_the_pool_makes(
    make_engine: MakeEngine,
    producer: ArqRedis,
    redis_url: str,
    queue_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten(monkeypatch)
    long = Long()
    job = await put(producer)
    pool: Any = ArqRedis(
        ConnectionPool.from_url(redis_url, connection_class=OurConnection), default_queue_name=queue_name
    )
    async with running(make_engine({"run": long.run}, redis_pool=pool)):
        await until(lambda: bool(long.seen))
        later = await milliseconds(producer) + 2_500
        while await milliseconds(producer) < later:
            assert await job.status() is JobStatus.in_progress
            await asyncio.sleep(0.05)
        long.go_on.set()
        assert await job.result(timeout=10, poll_delay=0.01) == 1


async def test_a_worker_that_cannot_renew_gives_a_job_up_before_another_begins_it(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the engine has them: 10 s, every 3 s, time-outs of 5 s; all a fifth.
    shorten(monkeypatch, lease=2.0, every=0.6)
    monkeypatch.setattr("worker.engine.broker._TIMEOUT", 1.0)
    long = Long()
    await put(producer)
    async with proxied(redis_url) as (proxy, url):
        away = make_engine({"run": long.run}, redis_settings=RedisSettings.from_dsn(url))
        async with running(away):
            await until(lambda: bool(long.seen))
            async with running(make_engine({"run": long.run})):
                renewed = await score(producer)
                await until(lambda: _differs(producer, renewed))
                proxy.blackhole()
                await until(lambda: "2 begins" in long.seen)
                assert long.seen == ["1 begins", "1 ends", "2 begins"]
                proxy.resume()


async def _differs(producer: ArqRedis, other: float) -> bool:
    return await score(producer) != other


async def test_a_job_that_outlives_its_lease_on_its_way_out_loses_no_tries(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, lease=60, every=60)
    long = Long()
    await put(producer)
    worker = make_engine({"run": long.run})
    async with running(worker):
        await until(lambda: bool(long.seen))
        before = await score(producer)
        await producer.delete("arq:in-progress:mine")
        await producer.zadd(producer.default_queue_name, {"mine": 1})
        await until(lambda: _is_put_off(producer, before))
        assert long.seen == ["1 begins"]
        assert await producer.hget("arq:engine:mine", "tries") == b"1"  # type: ignore[misc]
        long.go_on.set()
        await until(lambda: long.seen[-1] != "1 begins")


async def _is_put_off(producer: ArqRedis, before: float) -> bool:
    """Whether the claim was given back: not leased (a minute), nor where the test has put it (1)."""
    return 1 < await score(producer) < before - 30_000
