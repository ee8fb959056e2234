"""A claim is one round trip, by the server's clock, and takes nothing that another has."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings, create_pool

from worker.engine import Claim
from worker.engine.broker import Broker

NAMES = [f"job{number:03}" for number in range(12)]


@pytest.fixture
async def broker(producer: ArqRedis, queue_name: str) -> AsyncIterator[Broker]:
    """The queue, as one worker process sees it."""
    broker = Broker(producer, queue_name, lease=10, aborts=True)
    yield broker
    await broker.close()


async def claims(broker: Broker, most: int) -> list[Claim]:
    look = await broker.exchange([], most)
    assert look is not None
    return look.claims


async def test_all_free_slots_are_filled_in_one_round_trip(own_redis_url: str, queue_name: str) -> None:
    pool = await create_pool(RedisSettings.from_dsn(own_redis_url), default_queue_name=queue_name)
    broker = Broker(pool, queue_name, lease=10, aborts=False)
    try:
        await claims(broker, 1)  # the script is known
        for name in NAMES:
            await pool.enqueue_job(
                "work", _job_id=name, _defer_until=datetime.now(UTC) - timedelta(seconds=1)
            )
        await pool.config_resetstat()
        found = await claims(broker, len(NAMES))
        stats: dict[str, Any] = await pool.info("commandstats")
        assert [claim.job_id for claim in found] == NAMES
        assert stats["cmdstat_evalsha"]["calls"] == 1
        said = {
            "evalsha",
            "config|resetstat",
            "info",
            "time",
            "zrangebyscore",
            "zadd",
            "set",
            "get",
            "zcount",
        }
        assert {name.removeprefix("cmdstat_") for name in stats} <= said | {
            "hmget",
            "hset",
            "zcount",
            "llen",
            "lpush",
            "zscore",
        }
    finally:
        await broker.close()
        await pool.aclose(close_connection_pool=True)


async def test_a_claim_has_the_payload_and_the_score_of_its_job(broker: Broker, producer: ArqRedis) -> None:
    job = await producer.enqueue_job("work", 1)
    assert job is not None
    info = await job.info()
    assert info is not None
    [claim] = await claims(broker, 5)
    assert claim.body == await producer.get(f"arq:job:{job.job_id}")
    assert (claim.score, claim.tries, claim.silent, claim.aborted) == (info.score, 1, 0, False)


async def test_no_more_are_claimed_than_asked_for_and_none_twice(broker: Broker, producer: ArqRedis) -> None:
    for name in NAMES:
        await producer.enqueue_job("work", _job_id=name)
    found = [claim.job_id for _ in range(4) for claim in await claims(broker, 5)]
    assert sorted(found) == NAMES


async def test_what_is_due_is_found_by_the_clock_of_the_server(
    broker: Broker, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.enqueue_job("work", _job_id="later", _defer_by=1800)
    await producer.enqueue_job("work", _job_id="now")
    for hours in (-1, 1):
        real = time.time
        monkeypatch.setattr("time.time", lambda real=real, hours=hours: real() + 3600 * hours)
        monkeypatch.setattr("arq.utils.time", time.time)
        found = [claim.job_id for claim in await claims(broker, 5)]
        monkeypatch.undo()
        assert found == (["now"] if hours < 0 else [])


async def test_a_look_says_how_long_it_is_until_the_next_job_is_due(
    broker: Broker, producer: ArqRedis
) -> None:
    look = await broker.exchange([], 5)
    assert look is not None
    assert (look.due_in, look.queued) == (None, 0)
    await producer.enqueue_job("work", _defer_by=1800)
    look = await broker.exchange([], 5)
    assert look is not None
    assert look.due_in == pytest.approx(1800, abs=60)
    assert look.queued == 1


async def test_the_scan_finds_what_is_behind_three_hundred_held_by_a_plain_worker(
    broker: Broker, producer: ArqRedis, queue_name: str
) -> None:
    held = {f"held{number:03}": 1000 + number for number in range(300)}
    await producer.zadd(queue_name, held)
    await producer.mset({f"arq:in-progress:{name}": "1" for name in held})
    for name in NAMES:
        await producer.enqueue_job("work", _job_id=name)
    assert [claim.job_id for claim in await claims(broker, 5)] == NAMES[:5]
    assert [claim.job_id for claim in await claims(broker, 50)] == NAMES[5:]
    assert await producer.zcount(queue_name, 0, 2000) == 300
    assert {await producer.get(f"arq:in-progress:{name}") for name in held} == {b"1"}
    assert not await producer.keys("arq:engine:held*")


async def test_the_key_in_progress_decides_and_not_the_score(
    broker: Broker, producer: ArqRedis, queue_name: str
) -> None:
    await producer.enqueue_job("work", _job_id="mine")
    await claims(broker, 1)
    await producer.zadd(queue_name, {"mine": 1})  # as `abort` does
    assert await claims(broker, 5) == []


async def test_an_abort_from_long_ago_is_not_meant_for_the_job_that_is_claimed(
    broker: Broker, producer: ArqRedis
) -> None:
    seconds, _ = await producer.time()
    await producer.zadd("arq:abort", {"mine": (seconds - 3600) * 1000})
    await producer.enqueue_job("work", _job_id="mine")
    [claim] = await claims(broker, 5)
    assert not claim.aborted


async def test_a_claim_counts_its_tries_and_those_that_ended_without_a_word(
    producer: ArqRedis, queue_name: str
) -> None:
    broker = Broker(producer, queue_name, lease=10, aborts=False)
    await producer.enqueue_job("work", _job_id="mine")
    told = []
    for _ in range(3):
        [claim] = await claims(broker, 1)
        told.append((claim.tries, claim.silent))
        await producer.delete("arq:in-progress:mine")  # as when the lease ends
        await producer.zadd(queue_name, {"mine": 1})
    await broker.close()
    assert told == [(1, 0), (2, 1), (3, 2)]
