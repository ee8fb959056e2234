"""`Job.abort` stops a job that runs, waits or is deferred, as in arq."""

import asyncio
from signal import Signals
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis
from arq.jobs import Job, JobDef

from tests.engine.conftest import Kind, Make, MakeEngine, is_settled, running
from tests.waiting import until


class Held:
    """A job that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def run(self, _ctx: dict[str, Any]) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def put(producer: ArqRedis, name: str = "run", **options: Any) -> Job:
    job = await producer.enqueue_job(name, **options)
    assert job is not None
    return job


ABORTS: dict[str, Any] = {"allow_abort_jobs": True}


async def test_a_running_job_is_aborted(either: Kind, make: Make, producer: ArqRedis) -> None:
    held, job = Held(), await put(producer)
    worker = make(either, {"run": held.run}, **ABORTS)
    async with running(worker):
        await asyncio.wait_for(held.begun.wait(), 10)
        assert await job.abort(timeout=10, poll_delay=0.01)
    assert held.cancelled.is_set()
    assert (worker.jobs_failed, worker.jobs_retried) == (1, 0)
    assert await is_settled(producer, job.job_id)
    assert await producer.zcard("arq:abort") == 0


@pytest.mark.parametrize("options", [{}, {"_defer_by": 3600}], ids=["queued", "deferred"])
async def test_a_job_that_has_not_begun_is_aborted(
    either: Kind, make: Make, producer: ArqRedis, options: dict[str, Any]
) -> None:
    held, job = Held(), await put(producer, **options)
    aborting = asyncio.create_task(job.abort(timeout=10, poll_delay=0.01))
    await until(lambda: _is_to_be_aborted(producer, job))
    async with running(make(either, {"run": held.run}, **ABORTS)):
        assert await aborting
    assert not held.begun.is_set()
    assert await is_settled(producer, job.job_id)


async def test_a_job_deferred_while_the_worker_runs_is_aborted(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    held = Held()
    async with running(make(either, {"run": held.run}, **ABORTS)):
        job = await put(producer, _defer_by=3600)
        assert await job.abort(timeout=10, poll_delay=0.01)
    assert not held.begun.is_set()


async def test_one_of_two_workers_is_told(either: Kind, make: Make, producer: ArqRedis) -> None:
    held = Held()
    async with (
        running(make(either, {"run": held.run}, **ABORTS)),
        running(make(either, {"run": held.run}, **ABORTS)),
    ):
        job = await put(producer)
        await asyncio.wait_for(held.begun.wait(), 10)
        assert await job.abort(timeout=10, poll_delay=0.01)


async def test_a_worker_that_may_not_abort_does_not(either: Kind, make: Make, producer: ArqRedis) -> None:
    held, job = Held(), await put(producer)
    async with running(make(either, {"run": held.run})):
        await asyncio.wait_for(held.begun.wait(), 10)
        with pytest.raises(TimeoutError):
            await job.abort(timeout=0.3, poll_delay=0.01)
        assert not held.cancelled.is_set()


async def _is_to_be_aborted(producer: ArqRedis, job: Job) -> bool:
    return await producer.zscore("arq:abort", job.job_id) is not None


async def quick(_ctx: dict[str, Any]) -> str:
    return "done"


async def test_an_abort_from_long_ago_does_not_meet_the_next_job_of_its_id(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    # | a late abort meets the next job of that id | it is forgotten after a minute |
    seconds, _ = await producer.time()
    async with running(make_engine({"quick": quick}, **ABORTS)):
        await producer.zadd("arq:abort", {"mine": (seconds - 61) * 1000, "recent": (seconds + 30) * 1000})
        await until(lambda: _forgotten(producer))
        job = await put(producer, "quick", _job_id="mine")
        assert await job.result(timeout=10, poll_delay=0.01) == "done"
    assert await producer.zscore("arq:abort", "recent") is not None


async def _forgotten(producer: ArqRedis) -> bool:
    return await producer.zscore("arq:abort", "mine") is None


async def test_in_arq_it_does(make: Make, producer: ArqRedis) -> None:
    seconds, _ = await producer.time()
    await producer.zadd("arq:abort", {"mine": (seconds - 3600) * 1000})
    async with running(make(arq.Worker, {"quick": quick}, **ABORTS)):
        job = await put(producer, "quick", _job_id="mine")
        with pytest.raises(asyncio.CancelledError):
            await job.result(timeout=10, poll_delay=0.01)


class LateJob(Job):
    """One whose `abort` has looked at the job before it ended, and goes on after."""

    async def info(self) -> JobDef | None:
        info = await super().info()
        self.go_on.set()
        await self.ended.wait()
        return info

    go_on: asyncio.Event
    ended: asyncio.Event


async def test_an_abort_that_comes_as_the_job_ends_leaves_its_result_alone(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    go_on, ended, unread = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(_ctx: dict[str, Any]) -> str:
        await go_on.wait()
        return "done"

    async with running(make(either, {"run": run}, **ABORTS)):
        job = await put(producer, _job_id="mine")
        await until(lambda: _in_progress(producer))
        late = LateJob("mine", producer, producer.default_queue_name)
        late.go_on, late.ended = go_on, ended
        aborting = asyncio.create_task(late.abort(timeout=5, poll_delay=0.01))
        assert await job.result(timeout=10, poll_delay=0.01) == "done"
        await until(lambda: is_settled(producer, "mine"))
        ended.set()
        assert not await aborting
        await until(lambda: is_settled(producer, "mine"))
        assert await job.result(timeout=1) == "done"
    assert not unread.is_set()


async def _in_progress(producer: ArqRedis) -> bool:
    return bool(await producer.exists("arq:in-progress:mine"))


async def test_an_abort_that_a_job_survived_does_not_doom_the_next_of_its_id(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    held, told = Held(), asyncio.Event()

    async def stubborn(ctx: dict[str, Any]) -> str:
        if told.is_set():
            await held.run(ctx)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.set()
        return "done all the same"

    worker = make_engine({"run": stubborn}, keep_result=0, **ABORTS)
    async with running(worker):
        job = await put(producer, _job_id="mine")
        await until(lambda: "mine" in worker.tasks)
        aborting = asyncio.create_task(job.abort(timeout=10, poll_delay=0.01))
        await asyncio.wait_for(told.wait(), 10)
        await until(lambda: is_settled(producer, "mine"))
        assert not await aborting
        await put(producer, _job_id="mine")
        await asyncio.wait_for(held.begun.wait(), 10)
        worker.handle_sig(Signals.SIGTERM)
        assert worker.main_task is not None
        await asyncio.wait({worker.main_task}, timeout=10)
    assert await producer.exists("arq:job:mine")
    assert await producer.zscore(producer.default_queue_name, "mine") is not None
