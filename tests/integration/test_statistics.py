"""What workers have finished lately, as charts read it out of Redis."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from redis.asyncio import Redis

from producers import Producer
from producers.commands import CountUsers, CreateUser
from producers.wire import Keys
from tests.processes import ARQ, WORKER, command_line
from worker.clock import Clock
from worker.monitoring.statistics import KEPT, WIDTH, Bucket, Statistics, endings, series
from worker.monitoring.tally import UNKNOWN, Tally

KIND = "user.create"


class At(Clock):
    """A clock that a test sets."""

    at = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
def keys(queue_name: str) -> Keys:
    return Keys(queue_name)


async def tell(redis: Redis, statistics: Statistics) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        fields = statistics.say(pipe)
        await pipe.execute()
    statistics.said(fields)


async def all_of(redis: Redis, keys: Keys) -> Bucket:
    """All that was finished in the last minutes, in one bucket."""
    whole = Bucket(0)
    for bucket in await series(redis, keys, seconds=600, step=60):
        for key, count in bucket.finished.items():
            whole.finished[key] = whole.finished.get(key, 0) + count
        whole.waited.add(bucket.waited)
        whole.ran.add(bucket.ran)
    return whole


async def test_each_time_only_what_is_new_is_told_and_processes_add_up(redis: Redis, keys: Keys) -> None:
    tallies = [Tally([KIND]), Tally([KIND])]
    both = [Statistics(tally, keys, Clock()) for tally in tallies]
    for _ in range(3):
        for tally, statistics in zip(tallies, both, strict=True):
            tally.end(KIND, "applied", 0.3, 0.02)
            tally.end("gone", "dead", None, 7200)
            await tell(redis, statistics)
            await tell(redis, statistics)  # nothing new

    seen = await all_of(redis, keys)
    assert seen.finished == {(KIND, "applied"): 6, (UNKNOWN, "dead"): 6}
    assert (sum(seen.waited.counts), sum(seen.ran.counts)) == (6, 12)
    assert seen.waited.total == pytest.approx(1.8)
    assert seen.ran.total == pytest.approx(6 * 7200.02)
    assert seen.waited.quantile(0.5) == pytest.approx(0.375)
    assert await endings(redis, keys, seconds=60) == {"applied": 6, "dead": 6}


async def test_what_redis_did_not_hear_is_told_with_the_next(redis: Redis, keys: Keys) -> None:
    tally = Tally([KIND])
    statistics = Statistics(tally, keys, Clock())
    tally.end(KIND, "applied", 1, 1)
    async with redis.pipeline(transaction=True) as pipe:
        statistics.say(pipe)  # and the connection breaks
        await pipe.reset()  # type: ignore[no-untyped-call]
    await tell(redis, statistics)

    assert await endings(redis, keys, seconds=60) == {"applied": 1}


async def test_a_series_has_a_bucket_for_each_step_and_each_is_of_its_time(redis: Redis, keys: Keys) -> None:
    tally, clock = Tally([KIND]), At()
    statistics = Statistics(tally, keys, clock)
    now = (await redis.time())[0]
    for ago in (600, 50, 0):
        clock.at = now - ago
        tally.end(KIND, "applied", 1, 1)
        await tell(redis, statistics)

    buckets = await series(redis, keys, seconds=300, step=30)
    assert [bucket.at % 30 for bucket in buckets] == [0] * len(buckets)
    assert [later.at - at.at for at, later in pairwise(buckets)] == [30] * 10
    assert buckets[-1].at <= (await redis.time())[0] < buckets[-1].at + 30 + 30
    assert [bucket.at for bucket in buckets if bucket.finished] == sorted(
        {(now - ago) // 30 * 30 for ago in (50, 0)}
    )
    assert await endings(redis, keys, seconds=300) == {"applied": 2}


@pytest.mark.parametrize("step", [0, 5, 15])
async def test_a_step_that_cuts_what_is_counted_together_is_refused(
    step: int, redis: Redis, keys: Keys
) -> None:
    with pytest.raises(ValueError, match=f"a multiple of {WIDTH} seconds, not {step}"):
        await series(redis, keys, seconds=60, step=step)


async def test_it_is_kept_for_two_hours_and_no_more(redis: Redis, keys: Keys) -> None:
    tally, clock = Tally([KIND]), At()
    clock.at = (await redis.time())[0]
    await tell(redis, Statistics(tally, keys, clock))
    assert [key async for key in redis.scan_iter("*:statistics:*")] == []  # nothing was finished

    tally.end(KIND, "applied", 1, 1)
    await tell(redis, Statistics(tally, keys, clock))
    [key] = [key async for key in redis.scan_iter("*:statistics:*")]
    assert 0 < await redis.ttl(key) <= KEPT


@pytest.mark.parametrize(
    ("program", "arguments"),
    [(WORKER, ("run", "--burst")), (ARQ, ("worker.main.WorkerSettings", "--burst"))],
    ids=["engine", "arq"],
)
async def test_a_worker_tells_what_it_finished_at_its_end_at_the_latest(
    program: tuple[str, ...],
    arguments: tuple[str, ...],
    environment: dict[str, str],
    producer: Producer,
    redis: Redis,
    keys: Keys,
) -> None:
    await producer.send_many([CreateUser(name=f"n{number}") for number in range(3)])
    await producer.send(CountUsers())
    ran = await command_line(*arguments, environment=environment, program=program)
    assert ran.returncode == 0, ran.stderr

    seen = await all_of(redis, keys)
    assert seen.finished == {(KIND, "applied"): 3, ("user.count", "answered"): 1}
    assert (sum(seen.waited.counts), sum(seen.ran.counts)) == (4, 4)
    assert await endings(redis, keys, seconds=3600) == {"applied": 3}


async def test_what_was_ever_accepted_is_counted_once(producer: Producer, redis: Redis, keys: Keys) -> None:
    await producer.send_many([CreateUser(name=f"n{number}") for number in range(3)])
    ada = CreateUser(name="ada")
    for _ in range(2):
        await producer.send(ada, command_id="again")
    assert await redis.get(keys.enqueued) == b"4"
