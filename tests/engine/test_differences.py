"""What is other than in arq, by the table in worker/engine/worker.py, where no other file is nearer to it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.engine.behind_proxy import proxied
from tests.engine.conftest import Make, MakeEngine, outcome, running, type_of
from tests.waiting import until
from worker.engine import Settlement, Worker
from worker.engine.broker import Broker


async def work(_ctx: dict[str, Any]) -> str:
    return "done"


class Held:
    """A job that goes on until `go_on`."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.tries: list[int] = []

    async def run(self, ctx: dict[str, Any]) -> None:
        self.tries.append(ctx["job_try"])
        self.begun.set()
        await self.go_on.wait()


@pytest.mark.parametrize("kind", ["arq", "engine"])
async def test_arq_claims_in_four_round_trips_and_the_engine_all_in_one(
    make: Make, own_redis_url: str, queue_name: str, kind: str
) -> None:
    # | claims one job in four round trips | claims for all free slots in one, by the server's clock |
    settings = RedisSettings.from_dsn(own_redis_url)
    pool = await create_pool(settings, default_queue_name=queue_name)
    held = Held()
    try:
        await make(type_of[kind], {"run": work}, redis_settings=settings, burst=True).async_run()
        for _ in range(10):
            await pool.enqueue_job("run")
        await pool.config_resetstat()
        async with running(make(type_of[kind], {"run": held.run}, redis_settings=settings)):
            await until(lambda: len(held.tries) == 10)
            stats: dict[str, Any] = await pool.info("commandstats")
            held.go_on.set()
        calls = {name.removeprefix("cmdstat_"): told["calls"] for name, told in stats.items()}
        if kind == "arq":
            assert [calls[name] for name in ("watch", "exists", "zscore", "multi")] == [10, 10, 10, 20]
        else:
            assert calls["evalsha"] <= 3
            assert not calls.keys() & {"watch", "exists", "zscore", "multi"}
    finally:
        await pool.aclose(close_connection_pool=True)


@pytest.mark.parametrize("kind", ["arq", "engine"])
async def test_ids_in_progress_hide_the_rest_from_arq_and_not_from_the_engine(
    make: Make, producer: ArqRedis, kind: str
) -> None:
    # | ids in progress hide those behind them | they are put behind, until their lease ends |
    held = Held()
    for number in range(5):
        await producer.enqueue_job("run", _job_id=f"held{number}")
    async with running(make(type_of[kind], {"run": held.run}, max_jobs=5)):
        await until(lambda: len(held.tries) == 5)
        await producer.enqueue_job("work", _job_id="mine")
        idle = make(type_of[kind], {"run": held.run, "work": work}, queue_read_limit=5)
        async with running(idle):
            if kind == "engine":
                await until(lambda: idle.jobs_complete == 1)
                return
            looks = 0
            look = idle._poll_iteration

            async def counted() -> None:
                nonlocal looks
                await look()
                looks += 1

            idle._poll_iteration = counted  # type: ignore[method-assign]
            await until(lambda: looks == 5)
            assert idle.jobs_complete == 0
            held.go_on.set()


@pytest.mark.parametrize("kind", ["arq", "engine"])
async def test_a_claim_of_the_engine_has_an_owner_and_a_short_life(
    make: Make, producer: ArqRedis, kind: str
) -> None:
    # | a claim has no owner and lives for minutes | a lease of 10 s, with a token, renewed |
    held = Held()
    await producer.enqueue_job("run", _job_id="mine")
    async with running(make(type_of[kind], {"run": held.run})):
        await asyncio.wait_for(held.begun.wait(), 10)
        owner, lives = await producer.get("arq:in-progress:mine"), await producer.pttl("arq:in-progress:mine")
        if kind == "arq":
            assert owner == b"1"
            assert 300_000 < lives <= 310_000
        else:
            assert owner != b"1"
            assert 0 < lives <= 10_000
        held.go_on.set()


async def test_a_retry_of_the_engine_that_is_said_twice_moves_the_job_once(
    producer: ArqRedis, queue_name: str
) -> None:
    # | Retry moves a job by a relative score, perhaps twice | an absolute score, and only by the owner |
    await producer.enqueue_job("work", _job_id="mine")
    broker = Broker(producer, queue_name, lease=10, aborts=False)
    look = await broker.exchange([], 1)
    assert look is not None
    scores = []
    for _ in range(2):
        await broker.exchange([Settlement(look.claims[0], "later", delay=60_000)], 0)
        scores.append(await producer.zscore(queue_name, "mine"))
    await broker.close()
    assert scores[0] == scores[1]


async def test_a_retry_of_arq_that_is_said_twice_moves_the_job_twice(
    make: Make, producer: ArqRedis, queue_name: str
) -> None:
    worker = make(arq.Worker, {"work": work}, burst=True)
    await worker.async_run()
    await producer.enqueue_job("work", _job_id="mine", _defer_by=60)
    scores = []
    for _ in range(2):
        await worker.finish_job("mine", False, None, None, False, 60_000, None)  # noqa: FBT003  # arq's
        scores.append(await producer.zscore(queue_name, "mine"))
    first, second = scores
    assert first is not None
    assert second == first + 60_000


@pytest.mark.parametrize("kind", ["arq", "engine"])
async def test_an_error_of_redis_ends_arqs_worker_and_not_the_engine(
    make: Make, producer: ArqRedis, redis_url: str, kind: str
) -> None:
    # | an error of Redis ends the worker | it goes on when Redis is back |
    async with proxied(redis_url) as (proxy, url):
        worker = make(type_of[kind], {"work": work}, redis_settings=RedisSettings.from_dsn(url))
        async with running(worker) as at_work:
            await until(lambda: proxy.connections > 0)
            proxy.refuse()
            proxy.cut()
            if kind == "arq":
                assert isinstance(await outcome(worker), RedisConnectionError)
                return
            job = await producer.enqueue_job("work")
            assert job is not None
            proxy.accept()
            assert await job.result(timeout=20, poll_delay=0.01) == "done"
            assert not at_work.done()


@pytest.mark.parametrize(
    ("kind", "kept"), [("arq", "arq:retry:mine"), ("engine", "arq:engine:mine")], ids=["arq", "engine"]
)
async def test_tries_are_counted_where_they_are_until_the_job_is_settled(
    make: Make, producer: ArqRedis, kind: str, kept: str
) -> None:
    # | `arq:retry:` counts tries for a day | `arq:engine:` counts them until the job is settled |
    held = Held()
    await producer.enqueue_job("run", _job_id="mine")
    async with running(make(type_of[kind], {"run": held.run})) as _:
        await asyncio.wait_for(held.begun.wait(), 10)
        others = {"arq:retry:mine", "arq:engine:mine"} - {kept}
        assert await producer.exists(kept)
        assert not await producer.exists(*others)
        lives = await producer.ttl(kept)
        assert (80_000 < lives <= 88_400) if kind == "arq" else lives == -1
        held.go_on.set()
        await until(lambda: _is_gone(producer, kept))


async def _is_gone(producer: ArqRedis, key: str) -> bool:
    return not await producer.exists(key)


async def test_a_hook_that_raises_ends_its_job(make_engine: MakeEngine, producer: ArqRedis) -> None:
    # | a hook that raises ends the worker | it ends its job |

    async def refuse(_ctx: dict[str, Any]) -> None:
        raise ValueError("no")

    job = await producer.enqueue_job("work")
    assert job is not None
    async with running(make_engine({"work": work}, on_job_start=refuse)) as at_work:
        with pytest.raises(ValueError, match="no"):
            await job.result(timeout=10, poll_delay=0.01)
        assert not at_work.done()


def test_each_line_of_the_table_is_named_by_a_test() -> None:
    table = [line.strip() for line in (Worker.__doc__ or "").splitlines() if line.strip().startswith("|")]
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert len(table) > 10
    assert [line for line in table[2:] if line not in tests] == []
