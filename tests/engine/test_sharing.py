"""Plain workers and engines share a queue: each job runs once, and none touches what another has."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis

from tests.engine.conftest import Make, MakeEngine, is_settled, running
from tests.waiting import until
from worker import engine
from worker.engine.broker import Broker


async def test_two_hundred_jobs_run_once_each(make: Make, producer: ArqRedis) -> None:
    ran: Counter[str] = Counter()
    by: Counter[str] = Counter()

    def worker(kind: type[arq.Worker]) -> arq.Worker:
        async def work(ctx: dict[str, Any]) -> None:
            ran[ctx["job_id"]] += 1
            by[kind.__module__] += 1
            await asyncio.sleep(0.01)

        return make(kind, {"work": work}, max_jobs=5)

    for number in range(200):
        await producer.enqueue_job("work", _job_id=str(number), _defer_by=(number % 5) / 10)
    kinds = [arq.Worker, engine.Worker, arq.Worker, engine.Worker]
    async with asyncio.timeout(50):
        async with (
            running(worker(kinds[0])),
            running(worker(kinds[1])),
            running(worker(kinds[2])),
            running(worker(kinds[3])),
        ):
            await until(lambda: _is_empty(producer))
    assert ran == Counter(map(str, range(200)))
    assert len(by) == 2


async def _is_empty(producer: ArqRedis) -> bool:
    return not await producer.zcard(producer.default_queue_name)


async def test_a_job_that_a_plain_worker_has_is_not_touched(
    make: Make, make_engine: MakeEngine, producer: ArqRedis, queue_name: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def held(ctx: dict[str, Any]) -> int:
        begun.set()
        await go_on.wait()
        number: int = ctx["job_try"]
        return number

    async def other(_ctx: dict[str, Any]) -> None: ...

    functions = {"held": held, "other": other}
    job = await producer.enqueue_job("held", _job_id="mine")
    assert job is not None
    async with running(make(arq.Worker, functions)):
        await asyncio.wait_for(begun.wait(), 10)
        before = await producer.zscore(queue_name, "mine"), await producer.get("arq:in-progress:mine")
        await make_engine(functions, burst=True, max_burst_jobs=0).async_run()
        worker = make_engine(functions)
        async with running(worker):
            while not worker.jobs_complete:
                await producer.enqueue_job("other")
                await asyncio.sleep(0.02)
            after = await producer.zscore(queue_name, "mine"), await producer.get("arq:in-progress:mine")
            assert after == before
            assert await producer.pttl("arq:in-progress:mine") > 60_000
            assert not await producer.exists("arq:engine:mine")
            go_on.set()
            assert await job.result(timeout=10, poll_delay=0.01) == 1
            await until(lambda: is_settled(producer, "mine"))


async def test_a_job_that_the_engine_has_is_in_progress_to_a_plain_worker(
    make: Make, make_engine: MakeEngine, producer: ArqRedis
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    tries: list[int] = []

    async def held(ctx: dict[str, Any]) -> None:
        tries.append(ctx["job_try"])
        begun.set()
        await go_on.wait()

    async def other(_ctx: dict[str, Any]) -> None: ...

    functions = {"held": held, "other": other}
    job = await producer.enqueue_job("held", _job_id="mine")
    assert job is not None
    async with running(make_engine(functions, max_jobs=1)):
        await asyncio.wait_for(begun.wait(), 10)
        plain = make(arq.Worker, functions)
        async with running(plain):
            while plain.jobs_complete < 3:
                await producer.enqueue_job("other")
                await asyncio.sleep(0.02)
            go_on.set()
            await job.result(timeout=10, poll_delay=0.01)
    assert tries == [1]


@pytest.mark.parametrize("kind", [arq.Worker, engine.Worker], ids=["arq", "engine"])
async def test_tries_that_an_engine_began_are_not_counted_for_the_next_job_of_that_id(
    make: Make, make_engine: MakeEngine, producer: ArqRedis, queue_name: str, kind: type[arq.Worker]
) -> None:
    tries: list[int] = []

    async def note(ctx: dict[str, Any]) -> None:
        tries.append(ctx["job_try"])

    await producer.enqueue_job("note", _job_id="mine")
    gone = Broker(producer, queue_name, lease=0.05, aborts=False)  # an engine that is killed
    await gone.exchange([], 1)
    await gone.close()
    await make(kind, {"note": note}, burst=True, keep_result=0).async_run()
    await producer.enqueue_job("note", _job_id="mine")
    await make_engine({"note": note}, burst=True).async_run()
    assert tries[1] == 1
