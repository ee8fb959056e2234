"""The engine is made as arq's Worker is: with the same arguments, and from the same settings."""

import inspect
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis, RedisSettings
from arq.cron import cron
from redis.asyncio import ConnectionPool

from tests.engine.conftest import Kind, closing, running
from worker import engine


async def work(_ctx: dict[str, Any]) -> str:
    return "done"


WORKED: Any = work  # what arq takes is narrower than what it calls


@pytest.fixture
def settings(redis_url: str, queue_name: str) -> type:
    class WorkerSettings:
        functions = (WORKED,)
        redis_settings = RedisSettings.from_dsn(redis_url)
        max_jobs = 3
        burst = True
        handle_signals = False
        poll_delay = 0.02

    WorkerSettings.queue_name = queue_name  # type: ignore[attr-defined]
    return WorkerSettings


async def test_a_worker_is_made_from_a_class_of_settings(
    either: Kind, settings: type, producer: ArqRedis
) -> None:
    job = await producer.enqueue_job("work")
    assert job is not None
    worker = either(**arq.get_kwargs(settings))  # type: ignore[arg-type]
    async with closing(worker):
        assert worker.max_jobs == 3
        assert await worker.run_check() == 1
    assert await job.result(timeout=5) == "done"


def test_the_engine_is_a_worker_of_arq_and_its_own_arguments_are_no_others() -> None:
    own = inspect.signature(engine.Worker).parameters.keys() - {"args", "kwargs"}
    assert issubclass(engine.Worker, arq.Worker)
    assert own.isdisjoint(inspect.signature(arq.Worker).parameters)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"functions": [WORKED], "queue_name": None}, {"cron_jobs": ["work"]}],
    ids=["nothing", "no queue", "no cron job"],
)
async def test_what_arq_refuses_is_refused(either: Kind, wrong: dict[str, Any]) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        either(**{"handle_signals": False, **wrong})


async def test_a_pool_may_be_given_and_names_the_queue(
    either: Kind, redis_url: str, producer: ArqRedis, queue_name: str
) -> None:
    pool: Any = ArqRedis(ConnectionPool.from_url(redis_url), default_queue_name=queue_name)
    job = await producer.enqueue_job("work")
    assert job is not None
    worker = either(
        [WORKED], redis_pool=pool, queue_name=None, burst=True, handle_signals=False, poll_delay=0.02
    )
    async with closing(worker):
        await worker.async_run()
        assert worker.pool is pool
    assert await job.result(timeout=5) == "done"


async def test_cron_jobs_alone_are_enough(either: Kind, redis_url: str, queue_name: str) -> None:
    worker = either(
        cron_jobs=[cron(WORKED, hour=3)],
        redis_settings=RedisSettings.from_dsn(redis_url),
        queue_name=queue_name,
        handle_signals=False,
    )
    async with closing(worker), running(worker):
        assert [*worker.functions] == ["cron:work"]
