"""A worker in a burst ends when nothing is left, as in arq; `run_check` tells what failed."""

from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.worker import FailedJobs, Retry

from tests.engine.conftest import Kind, Make, MakeEngine


async def work(_ctx: dict[str, Any]) -> None: ...


async def fail(_ctx: dict[str, Any], text: str) -> None:
    raise ValueError(text)


FUNCTIONS: dict[str, Any] = {"work": work, "fail": fail}


async def test_a_burst_with_nothing_to_do_ends(either: Kind, make: Make) -> None:
    worker = make(either, FUNCTIONS, burst=True)
    assert await worker.run_check() == 0


async def test_a_burst_ends_when_all_is_done_and_says_how_much_that_was(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    for _ in range(25):
        await producer.enqueue_job("work")
    worker = make(either, FUNCTIONS, burst=True, max_jobs=4)
    assert await worker.run_check() == 25
    assert await producer.zcard(producer.default_queue_name) == 0


@pytest.mark.parametrize("most", [1, 3, 7])
async def test_a_burst_does_no_more_jobs_than_it_may(
    either: Kind, make: Make, producer: ArqRedis, most: int
) -> None:
    for _ in range(9):
        await producer.enqueue_job("work")
    worker = make(either, FUNCTIONS, burst=True, max_jobs=4)
    assert await worker.run_check(max_burst_jobs=most) == most
    assert await producer.zcard(producer.default_queue_name) == 9 - most
    assert not await producer.keys("arq:in-progress:*")


async def test_a_check_raises_what_one_job_raised(either: Kind, make: Make, producer: ArqRedis) -> None:
    await producer.enqueue_job("fail", "no")
    await producer.enqueue_job("work")
    with pytest.raises(FailedJobs) as failed:
        await make(either, FUNCTIONS, burst=True).run_check()
    assert failed.value.count == 1
    assert str(failed.value) == "1 job failed ValueError('no')"


async def test_a_check_lists_the_failed_jobs(either: Kind, make: Make, producer: ArqRedis) -> None:
    for text in ("one", "two"):
        await producer.enqueue_job("fail", text)
    with pytest.raises(FailedJobs) as failed:
        await make(either, FUNCTIONS, burst=True).run_check()
    assert sorted(str(each.result) for each in failed.value.job_results) == ["one", "two"]


async def test_a_check_may_say_that_a_retry_is_a_failure(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    async def again(_ctx: dict[str, Any]) -> None:
        raise Retry

    await producer.enqueue_job("again")
    with pytest.raises(FailedJobs, match="1 job failed"):
        await make(either, {"again": again}, burst=True).run_check(retry_jobs=False)


async def test_a_worker_that_has_ended_may_be_run_again(either: Kind, make: Make, producer: ArqRedis) -> None:
    worker = make(either, FUNCTIONS, burst=True)
    for done in (1, 2):
        await producer.enqueue_job("work")
        assert await worker.run_check() == done
    assert await producer.zcard(producer.default_queue_name) == 0


async def test_a_burst_leaves_what_waits_for_somebody_else(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    # | a burst ends when the queue is empty | when nothing is due before the year 5138 |
    held = await producer.enqueue_job("work")
    assert held is not None
    await producer.enqueue_job("work")
    await producer.zadd(producer.default_queue_name or "", {held.job_id: 253_402_300_799_999})
    worker = make_engine(FUNCTIONS, burst=True)
    assert await worker.run_check() == 1
    assert await producer.zcard(producer.default_queue_name or "") == 1
