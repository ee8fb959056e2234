"""Retry, RetryJob, cancellation and the number of tries, as in arq."""

import asyncio
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import JobExecutionFailed, Retry, RetryJob

from tests.engine.conftest import Kind, Make, function, is_settled


class Again:
    """A job that raises `errors` one by one, and then returns the try it was."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]
        self.tries: list[int] = []

    async def run(self, ctx: dict[str, Any]) -> int:
        self.tries.append(ctx["job_try"])
        if self.errors:
            raise self.errors.pop(0)
        number: int = ctx["job_try"]
        return number


async def put(producer: ArqRedis, **options: Any) -> Job:
    job = await producer.enqueue_job("again", **options)
    assert job is not None
    return job


@pytest.mark.parametrize(
    "error", [Retry(), Retry(defer=0.05), RetryJob(), asyncio.CancelledError()], ids=repr
)
async def test_a_job_that_asks_for_it_is_run_again(
    either: Kind, make: Make, producer: ArqRedis, error: BaseException
) -> None:
    again, job = Again(error), await put(producer)
    worker = make(either, {"again": again.run}, burst=True)
    await worker.async_run()
    assert await job.result(timeout=5) == 2
    assert again.tries == [1, 2]
    assert (worker.jobs_complete, worker.jobs_retried, worker.jobs_failed) == (1, 1, 0)
    assert await is_settled(producer, job.job_id)


async def test_a_retry_may_be_put_off(either: Kind, make: Make, producer: ArqRedis) -> None:
    again, job = Again(Retry(defer=3600)), await put(producer)
    await make(either, {"again": again.run}, burst=True, max_burst_jobs=1).async_run()
    info = await job.info()
    assert info is not None
    assert info.score is not None
    seconds, micros = await producer.time()
    assert info.score == pytest.approx((seconds + 3600) * 1000 + micros / 1000, abs=30_000)
    assert again.tries == [1]


async def test_after_the_last_try_the_job_has_failed(either: Kind, make: Make, producer: ArqRedis) -> None:
    again, job = Again(*[RetryJob()] * 9), await put(producer)
    worker = make(either, {"again": again.run}, burst=True, max_tries=3)
    await worker.async_run()
    assert again.tries == [1, 2, 3]
    assert worker.jobs_failed == 1
    with pytest.raises(JobExecutionFailed, match="max 3 retries exceeded"):
        await job.result(timeout=5)
    assert await is_settled(producer, job.job_id)


async def test_a_function_may_have_tries_of_its_own(either: Kind, make: Make, producer: ArqRedis) -> None:
    again, job = Again(*[RetryJob()] * 9), await put(producer)
    await make(either, {"again": function(again.run, max_tries=1)}, burst=True).async_run()
    assert again.tries == [1]
    with pytest.raises(JobExecutionFailed, match="max 1 retries exceeded"):
        await job.result(timeout=5)


async def test_a_worker_that_may_not_retry_takes_the_wish_for_a_failure(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    again, job = Again(Retry(defer=1)), await put(producer)
    await make(either, {"again": again.run}, burst=True, retry_jobs=False).async_run()
    assert again.tries == [1]
    with pytest.raises(Retry):
        await job.result(timeout=5)


async def test_a_producer_may_say_which_try_it_is(either: Kind, make: Make, producer: ArqRedis) -> None:
    again, job = Again(RetryJob(), RetryJob(), RetryJob()), await put(producer, _job_try=3)
    await make(either, {"again": again.run}, burst=True, max_tries=5).async_run()
    assert again.tries == [3, 4, 5]
    with pytest.raises(JobExecutionFailed, match="max 5 retries exceeded"):
        await job.result(timeout=5)


async def test_tries_of_a_job_that_has_ended_are_not_counted_for_the_next_of_its_id(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    again = Again(RetryJob(), RetryJob(), ValueError("no"))
    for _ in range(2):
        await put(producer, _job_id="mine")
        await make(either, {"again": again.run}, burst=True, keep_result=0).async_run()
    assert again.tries == [1, 2, 3, 1]
