"""Redis is restarted, cut off, black-holed or full: the worker goes on, and all is done in the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import OutOfMemoryError

from tests.engine.behind_proxy import proxied
from tests.engine.conftest import MakeEngine, running
from tests.engine.short import shorten
from tests.proxy import Way
from tests.waiting import until
from worker.demo.servers import RedisServer

JOBS = 100


@pytest.fixture
async def own(own_redis_url: str, queue_name: str) -> AsyncIterator[ArqRedis]:
    """A producer on a server that nobody else uses."""
    pool = await create_pool(RedisSettings.from_dsn(own_redis_url), default_queue_name=queue_name)
    yield pool
    await pool.aclose(close_connection_pool=True)


class Counted:
    """A short job that notes how often it ran."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()

    async def run(self, ctx: dict[str, Any]) -> str:
        self.ran[ctx["job_id"]] += 1
        await asyncio.sleep(0.02)
        return "done"


async def fill(producer: ArqRedis, jobs: int = JOBS) -> None:
    for number in range(jobs):
        await producer.enqueue_job("run", _job_id=str(number))


async def all_done(producer: ArqRedis, jobs: int = JOBS) -> bool:
    return (
        len(await producer.keys("arq:result:*")) == jobs
        and not await producer.zcard(producer.default_queue_name)
        and not await producer.keys("arq:in-progress:*")
        and not await producer.keys("arq:job:*")
    )


async def test_a_socket_that_uvloop_finds_closed_is_outlived(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()

    def refuse(_: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    worker = make_engine({"run": counted.run}, max_jobs=1)
    async with running(worker):
        await producer.enqueue_job("run", _job_id="before")
        await until(lambda: counted.ran["before"] == 1)
        await until(lambda: worker._broker._connection is not None)
        connection: Any = worker._broker._connection
        monkeypatch.setattr(connection._writer, "writelines", refuse)
        await producer.enqueue_job("run", _job_id="after")
        await until(lambda: all_done(producer, 2))
    assert counted.ran == {"before": 1, "after": 1}


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_restart_is_outlived(
    make_engine: MakeEngine, own: ArqRedis, own_redis: RedisServer, own_redis_url: str, way: str
) -> None:
    counted = Counted()
    await fill(own)
    settings = RedisSettings.from_dsn(own_redis_url)
    worker = make_engine({"run": counted.run}, redis_settings=settings, max_jobs=5)
    async with running(worker) as at_work:
        for _ in range(2):
            seen = len(counted.ran)
            await until(lambda seen=seen: len(counted.ran) >= min(JOBS, seen + 20))  # type: ignore[misc]
            await asyncio.to_thread(getattr(own_redis, way))
            await asyncio.to_thread(own_redis.start)
        await own.connection_pool.disconnect()
        await until(lambda: all_done(own))
        assert not at_work.done()
    assert {*counted.ran} == {str(number) for number in range(JOBS)}


async def test_a_worker_that_is_cut_off_goes_on(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str
) -> None:
    counted = Counted()
    await fill(producer)
    async with proxied(redis_url) as (proxy, url):
        worker = make_engine({"run": counted.run}, redis_settings=RedisSettings.from_dsn(url), max_jobs=5)
        async with running(worker) as at_work:
            for _ in range(3):
                seen = len(counted.ran)
                await until(lambda seen=seen: len(counted.ran) >= min(JOBS, seen + 20))  # type: ignore[misc]
                proxy.refuse()
                proxy.cut()
                await until(lambda: worker._away > 0)
                proxy.accept()
            await until(lambda: all_done(producer))
            assert not at_work.done()
    assert {*counted.ran} == {str(number) for number in range(JOBS)}


async def test_a_lost_reply_loses_no_job(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)  # what was claimed by a reply that was lost comes back when its lease ends
    counted = Counted()
    await fill(producer)
    async with proxied(redis_url) as (proxy, url):
        worker = make_engine({"run": counted.run}, redis_settings=RedisSettings.from_dsn(url), max_jobs=5)
        async with running(worker):
            for _ in range(5):
                lost = proxy.on_bytes(lambda way, data: way is Way.REPLY and b"arq." not in data, proxy.cut)
                await asyncio.wait_for(lost.wait(), 10)
            await until(lambda: all_done(producer))
    assert {*counted.ran} == {str(number) for number in range(JOBS)}


async def test_a_settling_whose_reply_is_lost_is_said_again_and_done_once(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str
) -> None:
    told: list[str] = []
    go_on = asyncio.Event()

    async def run(_ctx: dict[str, Any]) -> str:
        await go_on.wait()
        return "done"

    async def after(ctx: dict[str, Any]) -> None:
        told.append(ctx["job_id"])

    job = await producer.enqueue_job("run", _job_id="mine")
    assert job is not None
    async with proxied(redis_url) as (proxy, url):
        settings = RedisSettings.from_dsn(url)
        worker = make_engine({"run": run}, redis_settings=settings, after_job_end=after, max_jobs=1)
        async with running(worker):
            await until(lambda: "mine" in worker.tasks)
            settling = proxy.on_bytes(
                lambda way, data: way is Way.REQUEST and b"finish" in data,
                lambda: proxy.on_bytes(lambda way, _data: way is Way.REPLY, proxy.cut),
            )
            go_on.set()
            await asyncio.wait_for(settling.wait(), 10)
            await until(lambda: told == ["mine"])
    assert await job.result(timeout=5) == "done"
    assert (worker.jobs_complete, worker.jobs_retried) == (1, 0)


async def test_a_black_hole_is_outlived(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine.broker._TIMEOUT", 0.3)
    counted = Counted()
    await fill(producer)
    async with proxied(redis_url) as (proxy, url):
        worker = make_engine({"run": counted.run}, redis_settings=RedisSettings.from_dsn(url), max_jobs=5)
        async with running(worker) as at_work:
            await until(lambda: len(counted.ran) >= 20)
            proxy.blackhole()
            await until(lambda: worker._away > 0)
            proxy.resume()
            await until(lambda: all_done(producer))
            assert not at_work.done()
    assert {*counted.ran} == {str(number) for number in range(JOBS)}


async def test_jobs_are_aborted_also_after_a_connection_has_died_in_silence(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker's own connections time out; the pool's, as arq makes it, never does.
    monkeypatch.setattr("worker.engine.broker._TIMEOUT", 0.3)
    begun = asyncio.Event()

    async def run(_ctx: dict[str, Any]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with proxied(redis_url) as (proxy, url):
        settings: dict[str, Any] = {"redis_settings": RedisSettings.from_dsn(url), "allow_abort_jobs": True}
        async with running(make_engine({"run": run}, **settings)):
            job = await producer.enqueue_job("run")
            assert job is not None
            await asyncio.wait_for(begun.wait(), 10)
            held = proxy.on_bytes(lambda _way, data: b"ZREMRANGEBYSCORE" in data, proxy.blackhole)
            await asyncio.wait_for(held.wait(), 10)
            proxy._open = {way: asyncio.Event() for way in proxy._open}  # what is held stays so
            proxy.resume()
            assert await job.abort(timeout=10, poll_delay=0.01)


async def test_a_redis_that_is_full_is_drained(
    make_engine: MakeEngine, own: ArqRedis, own_redis_url: str
) -> None:
    counted = Counted()
    await fill(own)
    await own.config_set("maxmemory", "1")
    try:
        with pytest.raises(OutOfMemoryError):
            await own.enqueue_job("run")
        settings = RedisSettings.from_dsn(own_redis_url)
        async with running(make_engine({"run": counted.run}, redis_settings=settings)) as at_work:
            await until(lambda: _is_empty(own))
            assert not at_work.done()
        assert not await own.keys("arq:in-progress:*")
        assert not await own.keys("arq:engine:*")
        assert not await own.keys("arq:job:*")
    finally:
        await own.config_set("maxmemory", "0")
    assert counted.ran == Counter(str(number) for number in range(JOBS))


async def _is_empty(own: ArqRedis) -> bool:
    return not await own.zcard(own.default_queue_name)
