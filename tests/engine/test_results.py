"""What a job returns or raises is its result: `Job.result`, `info` and `status` are as in arq."""

import asyncio
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, JobStatus, ResultNotFound, SerializationError

from tests.engine.conftest import Kind, Make, function, is_settled, running
from tests.waiting import until


async def add(_ctx: dict[str, Any], one: int, *, other: int = 0) -> int:
    return one + other


async def fail(_ctx: dict[str, Any]) -> None:
    raise ValueError("no")


async def unspeakable(_ctx: dict[str, Any]) -> object:
    return lambda: None


async def put(producer: ArqRedis, name: str, *args: Any, **kwargs: Any) -> Job:
    job = await producer.enqueue_job(name, *args, **kwargs)
    assert job is not None
    return job


async def test_what_a_job_returns_is_its_result(either: Kind, make: Make, producer: ArqRedis) -> None:
    job = await put(producer, "add", 1, other=2)
    await make(either, {"add": add}, burst=True).async_run()
    assert await job.result(timeout=5) == 3
    assert await is_settled(producer, job.job_id)


async def test_the_result_tells_of_the_job(
    either: Kind, make: Make, producer: ArqRedis, queue_name: str
) -> None:
    job = await put(producer, "add", 1, other=2)
    queued = await job.info()
    await make(either, {"add": add}, burst=True).async_run()
    told = await job.result_info()
    assert queued is not None
    assert told is not None
    assert (told.function, told.args, told.kwargs) == ("add", (1,), {"other": 2})
    assert (told.success, told.result, told.job_try) == (True, 3, 1)
    assert (told.queue_name, told.job_id) == (queue_name, job.job_id)
    assert told.enqueue_time == queued.enqueue_time
    assert told.enqueue_time <= told.start_time <= told.finish_time


async def test_what_a_job_raises_is_raised_by_its_result(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    job = await put(producer, "fail")
    worker = make(either, {"fail": fail}, burst=True)
    await worker.async_run()
    with pytest.raises(ValueError, match="no"):
        await job.result(timeout=5)
    assert (worker.jobs_complete, worker.jobs_failed, worker.jobs_retried) == (0, 1, 0)
    assert await is_settled(producer, job.job_id)


async def test_a_result_that_cannot_be_serialized_is_told_as_such(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    job = await put(producer, "unspeakable")
    await make(either, {"unspeakable": unspeakable}, burst=True).async_run()
    with pytest.raises(SerializationError, match="unable to serialize result"):
        await job.result(timeout=5)


async def test_a_job_goes_through_the_states_that_arq_names(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_ctx: dict[str, Any]) -> None:
        begun.set()
        await go_on.wait()

    assert await Job("nobody", producer).status() is JobStatus.not_found
    deferred = await put(producer, "wait", _defer_by=3600)
    assert await deferred.status() is JobStatus.deferred
    job = await put(producer, "wait")
    assert await job.status() is JobStatus.queued
    async with running(make(either, {"wait": wait})):
        await asyncio.wait_for(begun.wait(), 10)
        assert await job.status() is JobStatus.in_progress
        go_on.set()
        await job.result(timeout=5, poll_delay=0.01)
    assert await job.status() is JobStatus.complete
    assert await deferred.status() is JobStatus.deferred


async def test_a_producer_may_wait_for_the_result_of_a_job_that_runs(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_ctx: dict[str, Any]) -> str:
        begun.set()
        await go_on.wait()
        return "here"

    async with running(make(either, {"wait": wait})):
        job = await put(producer, "wait")
        await asyncio.wait_for(begun.wait(), 10)
        with pytest.raises(TimeoutError):
            await job.result(timeout=0.05, poll_delay=0.01)
        go_on.set()
        assert await job.result(timeout=5, poll_delay=0.01) == "here"


async def test_a_result_that_is_not_to_be_kept_is_not(either: Kind, make: Make, producer: ArqRedis) -> None:
    job = await put(producer, "add", 1)
    await make(either, {"add": add}, burst=True, keep_result=0).async_run()
    assert await is_settled(producer, job.job_id)
    with pytest.raises(ResultNotFound):
        await job.result(timeout=5)


@pytest.mark.parametrize(
    ("settings", "lives"),
    [({"keep_result": 100}, range(1, 101)), ({"keep_result_forever": True}, range(-1, 0))],
    ids=["for a time", "for ever"],
)
async def test_a_result_lives_as_long_as_it_is_to_be_kept(
    either: Kind, make: Make, producer: ArqRedis, settings: dict[str, Any], lives: range
) -> None:
    job = await put(producer, "add", 1)
    await make(either, {"add": add}, burst=True, **settings).async_run()
    assert await producer.ttl(f"arq:result:{job.job_id}") in lives


async def test_what_a_function_says_of_its_results_comes_first(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    kept, lost = await put(producer, "kept", 1), await put(producer, "lost", 1)
    functions = {"kept": function(add, keep_result_forever=True), "lost": function(add, keep_result=0)}
    await make(either, functions, burst=True, keep_result=100).async_run()
    assert await producer.ttl(f"arq:result:{kept.job_id}") == -1
    assert not await producer.exists(f"arq:result:{lost.job_id}")


async def test_an_id_is_taken_while_its_result_is_kept(either: Kind, make: Make, producer: ArqRedis) -> None:
    await put(producer, "add", 1, _job_id="mine")
    assert await producer.enqueue_job("add", 1, _job_id="mine") is None
    await make(either, {"add": add}, burst=True).async_run()
    assert await producer.enqueue_job("add", 1, _job_id="mine") is None
    await producer.delete("arq:result:mine")
    assert await producer.enqueue_job("add", 1, _job_id="mine") is not None


async def test_results_of_a_worker_are_listed(either: Kind, make: Make, producer: ArqRedis) -> None:
    jobs = [await put(producer, "add", number) for number in range(25)]
    async with running(make(either, {"add": add}, max_jobs=3)):
        for job in jobs:
            await until(lambda job=job: _is_complete(job))  # type: ignore[misc]
    assert sorted(each.result for each in await producer.all_job_results()) == [*range(25)]


async def _is_complete(job: Job) -> bool:
    return await job.status() is JobStatus.complete
