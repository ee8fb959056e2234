"""The bell: a worker that is idle starts a job when it comes, and without a hint it looks by itself."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis

from tests.engine.conftest import Make, MakeEngine, running
from tests.engine.short import look_seldom
from tests.waiting import until
from worker import engine


async def work(_ctx: dict[str, Any]) -> str:
    return "done"


def ring(producer: ArqRedis) -> Awaitable[int]:
    return producer.lpush(f"arq:bell:{producer.default_queue_name}", "1")  # type: ignore[return-value]


async def idle(worker: engine.Worker) -> None:
    """Wait until a worker has looked, found nothing, and waits for a hint."""
    await until(worker._hungry.is_set)
    await until(lambda: _is_heard(worker))


async def _is_heard(worker: engine.Worker) -> bool:
    clients = await worker.pool.client_list()
    return any(client["cmd"] == "blpop" for client in clients)


async def test_a_job_that_comes_with_a_hint_starts_at_once(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # | looks at every `poll_delay`, and starts nothing between | starts a job when it comes or is due |
    look_seldom(monkeypatch)
    worker = make_engine({"work": work}, poll_delay=60)
    async with running(worker):
        await idle(worker)
        for _ in range(5):
            job = await producer.enqueue_job("work")
            assert job is not None
            await ring(producer)
            assert await job.result(timeout=4, poll_delay=0.01) == "done"


async def test_a_slot_is_filled_again_when_it_is_free(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_seldom(monkeypatch)
    for _ in range(10):
        await producer.enqueue_job("work")
    worker = make_engine({"work": work}, poll_delay=60, max_jobs=1)
    async with running(worker):
        await until(lambda: worker.jobs_complete == 10, seconds=10)


async def test_in_arq_a_slot_that_is_free_waits_for_the_next_poll(make: Make, producer: ArqRedis) -> None:
    jobs = [await producer.enqueue_job("work") for _ in range(2)]
    worker = make(arq.Worker, {"work": work}, poll_delay=60, max_jobs=1)
    async with running(worker):
        await until(lambda: worker.jobs_complete == 1)
        await until(lambda: worker.job_counter == 0)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert worker.jobs_complete == 1
        assert None not in jobs


async def test_a_job_that_is_deferred_starts_when_it_is_due(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_seldom(monkeypatch)
    worker = make_engine({"work": work}, poll_delay=60)
    async with running(worker):
        await idle(worker)
        job = await producer.enqueue_job("work", _defer_by=0.5)
        assert job is not None
        await ring(producer)
        assert await job.result(timeout=4, poll_delay=0.01) == "done"


async def test_a_job_that_asks_to_be_run_again_is_run_when_it_is_due(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_seldom(monkeypatch)

    async def again(ctx: dict[str, Any]) -> int:
        if ctx["job_try"] < 4:
            raise arq.Retry(defer=0.1)
        return 4

    worker = make_engine({"again": again}, poll_delay=60)
    async with running(worker):
        await idle(worker)
        job = await producer.enqueue_job("again")
        assert job is not None
        await ring(producer)
        assert await job.result(timeout=4, poll_delay=0.01) == 4


async def test_without_a_hint_a_job_is_found_by_looking(make_engine: MakeEngine, producer: ArqRedis) -> None:
    worker = make_engine({"work": work}, poll_delay=0.05)
    async with running(worker):
        await idle(worker)
        job = await producer.enqueue_job("work")
        assert job is not None
        assert await job.result(timeout=10, poll_delay=0.01) == "done"


async def test_of_two_workers_the_idle_one_is_told_what_the_full_one_cannot_take(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_seldom(monkeypatch)
    running_now, both = 0, asyncio.Event()

    async def meet(_ctx: dict[str, Any]) -> None:
        nonlocal running_now
        running_now += 1
        if running_now == 2:
            both.set()
        await both.wait()

    workers = [make_engine({"meet": meet}, poll_delay=60, max_jobs=1) for _ in range(2)]
    async with running(workers[0]), running(workers[1]):
        for worker in workers:
            await idle(worker)
        for _ in range(2):
            await producer.enqueue_job("meet")
        await ring(producer)  # one hint for two jobs
        await asyncio.wait_for(both.wait(), 4)


async def test_the_bell_never_holds_more_than_one_hint(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str
) -> None:
    longest, over = 0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not over.is_set():
            longest = max(longest, await producer.llen(f"arq:bell:{queue_name}"))  # type: ignore[misc]
            await asyncio.sleep(0)

    async def again(ctx: dict[str, Any]) -> None:
        if ctx["job_try"] < 3:
            raise arq.RetryJob

    for _ in range(100):
        await producer.enqueue_job("again")
    workers = [make_engine({"again": again}, max_jobs=3) for _ in range(3)]
    watching = asyncio.create_task(watch())
    async with running(workers[0]), running(workers[1]), running(workers[2]):
        await until(lambda: sum(worker.jobs_complete for worker in workers) == 100)
    over.set()
    await watching
    assert longest <= 1


async def test_a_worker_that_is_full_does_not_pass_hints_round_and_round(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, passed = asyncio.Event(), 0

    async def long(_ctx: dict[str, Any]) -> None:
        begun.set()
        await asyncio.Event().wait()

    worker = make_engine({"long": long}, max_jobs=1)
    async with running(worker):
        await idle(worker)
        pass_on = worker._broker.pass_on

        async def counted() -> None:
            nonlocal passed
            passed += 1
            await pass_on()

        monkeypatch.setattr(worker._broker, "pass_on", counted)
        await producer.enqueue_job("long")
        await asyncio.wait_for(begun.wait(), 10)
        await ring(producer)
        for _ in range(200):
            await producer.ping()
        assert passed <= 1
