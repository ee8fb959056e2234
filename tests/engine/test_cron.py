"""Cron jobs are enqueued and run as in arq; a unique one not twice within the hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis
from arq.cron import cron
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.engine.conftest import Kind, Make, MakeEngine, is_settled, running
from tests.waiting import until


class Counted:
    """A job that notes the ids it ran by."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def run(self, ctx: dict[str, Any]) -> None:
        self.ran.append(ctx["job_id"])


async def test_a_cron_job_may_run_at_startup(either: Kind, make: Make) -> None:
    counted = Counted()
    async with running(make(either, cron_jobs=[cron(counted.run, name="mine", run_at_startup=True)])):
        await until(lambda: len(counted.ran) == 1)
    assert counted.ran[0].startswith("mine:")


async def test_a_cron_job_runs_when_it_is_time(either: Kind, make: Make) -> None:
    counted = Counted()
    every_second = cron(counted.run, name="mine", second={*range(60)})
    async with running(make(either, cron_jobs=[every_second])):
        await until(lambda: len(counted.ran) >= 2)
    assert len({*counted.ran}) == len(counted.ran)


async def test_a_unique_cron_job_runs_once_however_many_workers_there_are(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    counted = Counted()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    at = {"minute": soon.minute, "second": soon.second}
    jobs = [cron(counted.run, name="mine", hour=soon.hour, **at) for _ in range(3)]  # type: ignore[arg-type]
    workers = [make(either, cron_jobs=[job], timezone=UTC) for job in jobs]
    async with running(workers[0]), running(workers[1]), running(workers[2]):
        await until(lambda: bool(counted.ran))
        await until(lambda: _is_empty(producer))
    assert len(counted.ran) == 1


async def test_a_cron_job_may_have_an_id_of_its_own(either: Kind, make: Make) -> None:
    counted = Counted()
    job = cron(counted.run, name="mine", run_at_startup=True, job_id="named")
    async with running(make(either, cron_jobs=[job])):
        await until(lambda: counted.ran == ["named"])


async def test_the_result_of_a_cron_job_is_not_kept_unless_asked_for(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    counted = Counted()
    async with running(make(either, cron_jobs=[cron(counted.run, name="mine", run_at_startup=True)])):
        await until(lambda: len(counted.ran) == 1)
        await until(lambda: _is_empty(producer))
    assert not await producer.keys("arq:result:*")


async def _is_empty(producer: ArqRedis) -> bool:
    return not await producer.zcard(producer.default_queue_name)


async def test_a_unique_cron_job_that_ran_already_does_not_run_again(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    # | a unique cron job may run again a minute later | not within an hour |
    counted = Counted()
    worker = make_engine(cron_jobs=[cron(counted.run, name="mine", run_at_startup=True)])
    async with running(worker):
        await until(lambda: len(counted.ran) == 1)
        job_id = counted.ran[0]
        await until(lambda: _is_empty(producer))
        assert 3_000_000 < await producer.pttl(f"arq:in-progress:{job_id}") <= 3_600_000
        await producer.enqueue_job("mine", _job_id=job_id)  # as a worker whose clock is late does
        await until(lambda: _is_empty(producer))
    assert counted.ran == [job_id]
    assert not await producer.exists(f"arq:job:{job_id}")


async def test_in_arq_a_unique_cron_job_runs_again_after_a_while(
    make: Make, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arq.worker.keep_cronjob_progress", 0.1)  # a minute
    counted = Counted()
    worker = make(arq.Worker, cron_jobs=[cron(counted.run, name="mine", run_at_startup=True)])
    async with running(worker):
        await until(lambda: len(counted.ran) == 1)
        await until(lambda: is_settled(producer, counted.ran[0]))
        await producer.enqueue_job("mine", _job_id=counted.ran[0])
        await until(lambda: len(counted.ran) == 2)
    assert counted.ran[0] == counted.ran[1]


@pytest.mark.parametrize("at", ["startup", "its time"])
async def test_a_cron_job_is_not_lost_where_redis_was_away_at_its_time(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    counted = Counted()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    job = cron(
        counted.run,
        name="mine",
        run_at_startup=at == "startup",
        hour=soon.hour,
        minute=soon.minute if at == "its time" else (soon.minute + 30) % 60,
        second=soon.second,
    )
    worker = make_engine(cron_jobs=[job], timezone=UTC)
    refused: list[str] = []

    async def startup(ctx: dict[str, Any]) -> None:
        redis: ArqRedis = ctx["redis"]
        enqueue = redis.enqueue_job

        async def refuse_once(name: str, *args: Any, **kwargs: Any) -> Any:
            if not refused:
                refused.append(name)
                raise RedisConnectionError("away")
            return await enqueue(name, *args, **kwargs)

        monkeypatch.setattr(redis, "enqueue_job", refuse_once)

    worker.on_startup = startup
    async with running(worker):
        await until(lambda: bool(refused))
        await until(lambda: len(counted.ran) == 1, seconds=5)
