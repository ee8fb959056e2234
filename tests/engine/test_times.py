"""When a job starts and how long it may take, as in arq."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job

from tests.engine.conftest import Kind, Make, function, is_settled, running


async def for_ever(_ctx: dict[str, Any]) -> None:
    await asyncio.Event().wait()


async def put(producer: ArqRedis, name: str, **options: Any) -> Job:
    job = await producer.enqueue_job(name, **options)
    assert job is not None
    return job


async def test_a_job_that_takes_too_long_has_failed(either: Kind, make: Make, producer: ArqRedis) -> None:
    job = await put(producer, "for_ever")
    await make(either, {"for_ever": for_ever}, burst=True, job_timeout=0.05).async_run()
    with pytest.raises(TimeoutError):
        await job.result(timeout=5)
    assert await is_settled(producer, job.job_id)


async def test_a_function_may_have_a_time_of_its_own(either: Kind, make: Make, producer: ArqRedis) -> None:
    job = await put(producer, "for_ever")
    await make(either, {"for_ever": function(for_ever, timeout=0.05)}, burst=True).async_run()
    with pytest.raises(TimeoutError):
        await job.result(timeout=5)


@pytest.mark.parametrize("by", ["_defer_by", "_defer_until"])
async def test_a_deferred_job_waits_for_its_time_and_lets_others_pass(
    either: Kind, make: Make, producer: ArqRedis, by: str
) -> None:
    order: list[str] = []

    async def note(ctx: dict[str, Any]) -> None:
        order.append(ctx["job_id"])

    later = timedelta(seconds=0.4)
    await put(
        producer,
        "note",
        _job_id="deferred",
        **({by: later} if by == "_defer_by" else {by: datetime.now(UTC) + later}),
    )
    await put(producer, "note", _job_id="at once")
    await make(either, {"note": note}, burst=True).async_run()
    assert order == ["at once", "deferred"]


async def test_a_job_that_is_not_due_is_not_started(either: Kind, make: Make, producer: ArqRedis) -> None:
    ran = asyncio.Event()

    async def run(_ctx: dict[str, Any]) -> None:
        ran.set()

    async def sooner(_ctx: dict[str, Any]) -> None: ...

    await put(producer, "run", _defer_by=3600, _job_id="later")
    async with running(make(either, {"run": run, "sooner": sooner})):
        for _ in range(3):
            await (await put(producer, "sooner")).result(timeout=10, poll_delay=0.01)
    assert not ran.is_set()
    assert await producer.zscore(producer.default_queue_name, "later")
    assert not await producer.exists("arq:in-progress:later")


async def test_jobs_that_are_due_start_in_the_order_of_their_times(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    order: list[str] = []

    async def note(ctx: dict[str, Any]) -> None:
        order.append(ctx["job_id"])

    for seconds in (30, 10, 20, 40):
        await put(
            producer,
            "note",
            _job_id=str(seconds),
            _defer_until=datetime.now(UTC) - timedelta(seconds=seconds),
        )
    await make(either, {"note": note}, burst=True, max_jobs=1).async_run()
    assert order == ["40", "30", "20", "10"]


async def test_no_more_jobs_run_at_once_than_there_are_slots(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    now, most = 0, 0

    async def count(_ctx: dict[str, Any]) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1

    for _ in range(30):
        await put(producer, "count")
    worker = make(either, {"count": count}, burst=True, max_jobs=3)
    await worker.async_run()
    assert worker.jobs_complete == 30
    assert 1 <= most <= 3
