"""What the tests of the engine share: workers of either kind on a real Redis, and a producer that is arq's.

`either` is arq's Worker and then the engine's: what passes for both shows that the one stands in for the
other. `make` makes workers, and closes them; `running` keeps one at work while a block goes on.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from signal import Signals
from typing import Any, Protocol

import pytest
from arq import worker as arq
from arq.connections import ArqRedis, RedisSettings, create_pool

from tests.waiting import arq_has_ended, until
from worker import engine

type_of = {"arq": arq.Worker, "engine": engine.Worker}

Job = Any
"""What arq calls; what it says it takes is narrower."""
Kind = type[arq.Worker]


def function(job: Job, **options: Any) -> arq.Function:
    """Give a job options of its own."""
    return arq.func(job, **options)


class Make(Protocol):
    """Makes a worker of a kind, with functions by their names; `settings` are the worker's arguments."""

    def __call__(self, kind: Kind, functions: Mapping[str, Job] = ..., **settings: Any) -> arq.Worker: ...


class MakeEngine(Protocol):
    """Makes an engine, with functions by their names; `settings` are its arguments."""

    def __call__(self, functions: Mapping[str, Job] = ..., **settings: Any) -> engine.Worker: ...


@pytest.fixture(params=[*type_of])
def either(request: pytest.FixtureRequest) -> Kind:
    """Arq's Worker, and the engine."""
    return type_of[request.param]


@pytest.fixture
async def producer(redis_url: str, queue_name: str) -> AsyncIterator[ArqRedis]:
    """A producer that is arq's, and a look at Redis."""
    pool = await create_pool(RedisSettings.from_dsn(redis_url), default_queue_name=queue_name)
    yield pool
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
async def make(redis_url: str, queue_name: str) -> AsyncIterator[Make]:
    """Makes workers that look often and hear no signals; closes them."""
    made: list[arq.Worker] = []

    def make(kind: Kind, functions: Mapping[str, Job] = {}, **settings: Any) -> arq.Worker:
        ours = {
            "queue_name": queue_name,
            "redis_settings": RedisSettings.from_dsn(redis_url),
            "poll_delay": 0.02,
            "handle_signals": False,
            "ctx": {},
        }
        named: list[Any] = [
            replace(job, name=name) if isinstance(job, arq.Function) else arq.func(job, name=name)
            for name, job in functions.items()
        ]
        made.append(kind(named, **{**ours, **settings}))
        return made[-1]

    yield make
    for worker in made:
        await _closed(worker)


@pytest.fixture
def make_engine(make: Make) -> MakeEngine:
    """Makes engines."""

    def make_engine(functions: Mapping[str, Job] = {}, **settings: Any) -> engine.Worker:
        worker = make(engine.Worker, functions, **settings)
        assert isinstance(worker, engine.Worker)
        return worker

    return make_engine


@asynccontextmanager
async def running(worker: arq.Worker) -> AsyncIterator[asyncio.Task[None]]:
    """Keep a worker at work while the block goes on; what does not end then is handed back."""
    task = asyncio.create_task(worker.async_run())
    try:
        await until(lambda: "redis" in worker.ctx or task.done())
        if task.done():
            await task  # it could not start
        yield task
    finally:
        await stopped(worker)


async def stopped(worker: arq.Worker) -> None:
    """Stop a worker, unless it has ended; fail where it does not end."""
    task = worker.main_task
    if task is None or task.done():
        return
    worker.handle_sig(Signals.SIGTERM)
    ending = {task, *worker.tasks.values()}
    for _ in range(100):
        _, ending = await asyncio.wait(ending, timeout=0.1)
        if not ending:
            return
        if isinstance(worker, engine.Worker):
            worker._wake.set()  # of its long waits test_stop_at_awkward_moments tells
    if not task.done():
        if isinstance(worker, engine.Worker):
            worker.tasks.clear()  # so that the test ends
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        pytest.fail("the worker does not end")


async def _closed(worker: arq.Worker) -> None:
    await stopped(worker)
    await arq_has_ended()
    pool = worker._pool
    with warnings.catch_warnings(), suppress(Exception, asyncio.CancelledError):
        warnings.filterwarnings("ignore", "Call to deprecated close")  # arq's
        await worker.close()
    if worker._pool is not None and pool is not None:  # arq gives up where a task of a job was cancelled
        await pool.aclose(close_connection_pool=True)


@asynccontextmanager
async def closing(worker: arq.Worker) -> AsyncIterator[None]:
    """Close a worker that `make` has not made."""
    try:
        yield
    finally:
        await _closed(worker)


async def outcome(worker: arq.Worker) -> BaseException | None:
    """Wait until a worker that was started ends; return what it ended by, None for a good end."""
    assert worker.main_task is not None
    await asyncio.wait({worker.main_task}, timeout=30)
    if worker.main_task.cancelled():
        return asyncio.CancelledError()
    return worker.main_task.exception()


async def is_settled(redis: ArqRedis, job_id: str) -> bool:
    """Whether a job is neither queued nor in progress."""
    held = await redis.exists(f"arq:in-progress:{job_id}", f"arq:job:{job_id}")
    return not held and await redis.zscore(redis.default_queue_name, job_id) is None
