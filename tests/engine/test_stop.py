"""Told to stop, a worker claims no more, lets jobs end, and hands back the rest as if it had not run."""

import asyncio
import signal
import sys
from pathlib import Path
from signal import Signals
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis

from tests.engine.conftest import Make, MakeEngine, outcome, running
from tests.waiting import until


class Slow:
    """A job that goes on until `go_on`; notes its tries."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.tries: list[int] = []

    async def run(self, ctx: dict[str, Any]) -> int:
        number: int = ctx["job_try"]
        self.tries.append(number)
        await self.go_on.wait()
        return number


async def _is_as_if_it_had_not_run(producer: ArqRedis, job_id: str) -> bool:
    tries = await producer.hget(f"arq:engine:{job_id}", "tries")  # type: ignore[misc]
    return (
        not await producer.exists(f"arq:in-progress:{job_id}")
        and bool(await producer.exists(f"arq:job:{job_id}"))
        and tries in {None, b"0"}
        and await producer.zscore(producer.default_queue_name, job_id) is not None
    )


async def test_what_runs_ends_and_nothing_more_is_claimed(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    # | at SIGTERM the batch in hand is still started | nothing is; the rest is handed back, not counted |
    slow = Slow()
    jobs = [await producer.enqueue_job("run", _job_id=str(number)) for number in range(4)]
    worker = make_engine({"run": slow.run}, max_jobs=2, job_completion_wait=60)
    async with running(worker):
        await until(lambda: len(slow.tries) == 2)
        worker.handle_sig_wait_for_completion(Signals.SIGTERM)
        await producer.enqueue_job("run", _job_id="late")
        slow.go_on.set()
        assert await outcome(worker) is None
    assert slow.tries == [1, 1]
    for job in jobs[:2]:
        assert job is not None
        assert await job.result(timeout=1) == 1
    for job_id in ("2", "3", "late"):
        assert await _is_as_if_it_had_not_run(producer, job_id)
        assert not await producer.exists(f"arq:engine:{job_id}")


async def test_in_arq_the_batch_in_hand_is_still_started(make: Make, producer: ArqRedis) -> None:
    started: list[str] = []

    async def run(ctx: dict[str, Any]) -> None:
        if not started:
            worker.handle_sig_wait_for_completion(Signals.SIGTERM)
        started.append(ctx["job_id"])

    for _ in range(10):
        await producer.enqueue_job("run")
    worker = make(arq.Worker, {"run": run}, job_completion_wait=60)
    async with running(worker):
        assert isinstance(await outcome(worker), asyncio.CancelledError)
    assert len(started) > 1


async def test_what_does_not_end_in_time_is_handed_back_and_that_run_does_not_count(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    slow, job = Slow(), await producer.enqueue_job("run", _job_id="mine")
    assert job is not None
    before = await producer.zscore(producer.default_queue_name, "mine")
    worker = make_engine({"run": slow.run}, job_completion_wait=0.2)
    async with running(worker):
        await until(lambda: slow.tries == [1])
        worker.handle_sig_wait_for_completion(Signals.SIGTERM)
        assert await outcome(worker) is None
    assert await _is_as_if_it_had_not_run(producer, "mine")
    assert await producer.zscore(producer.default_queue_name, "mine") == before
    slow.go_on.set()
    await make_engine({"run": slow.run}, burst=True).async_run()
    assert await job.result(timeout=5) == 1
    assert slow.tries == [1, 1]


async def test_a_second_signal_hands_back_at_once(make_engine: MakeEngine, producer: ArqRedis) -> None:
    # | a second SIGTERM changes nothing | it hands back at once |
    slow = Slow()
    await producer.enqueue_job("run", _job_id="mine")
    worker = make_engine({"run": slow.run}, job_completion_wait=3600)
    async with running(worker):
        await until(lambda: slow.tries == [1])
        for _ in range(2):
            worker.handle_sig_wait_for_completion(Signals.SIGTERM)
        assert await outcome(worker) is None
    assert await _is_as_if_it_had_not_run(producer, "mine")


async def test_in_arq_a_second_signal_changes_nothing(make: Make, producer: ArqRedis) -> None:
    slow = Slow()
    await producer.enqueue_job("run", _job_id="mine")
    worker = make(arq.Worker, {"run": slow.run}, job_completion_wait=2)
    async with running(worker):
        await until(lambda: slow.tries == [1])
        for _ in range(2):
            worker.handle_sig_wait_for_completion(Signals.SIGTERM)
        for _ in range(50):
            await producer.ping()
        assert worker.tasks
        assert worker.main_task is not None
        assert not worker.main_task.done()
        slow.go_on.set()
        await outcome(worker)


async def test_without_time_to_end_what_runs_is_handed_back_at_once(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    slow = Slow()
    told: list[Signals] = []
    await producer.enqueue_job("run", _job_id="mine")
    worker = make_engine({"run": slow.run})
    worker.on_stop = told.append
    async with running(worker):
        await until(lambda: slow.tries == [1])
        worker.handle_sig(Signals.SIGTERM)
        assert await outcome(worker) is None
    assert await _is_as_if_it_had_not_run(producer, "mine")
    assert told == [Signals.SIGTERM]


async def test_a_worker_that_is_cancelled_hands_back_too(make_engine: MakeEngine, producer: ArqRedis) -> None:
    slow = Slow()
    await producer.enqueue_job("run", _job_id="mine")
    worker = make_engine({"run": slow.run})
    async with running(worker) as at_work:
        await until(lambda: slow.tries == [1])
        at_work.cancel()
        assert isinstance(await outcome(worker), asyncio.CancelledError)
    assert await _is_as_if_it_had_not_run(producer, "mine")


async def test_closing_a_worker_that_runs_stops_it(make_engine: MakeEngine, producer: ArqRedis) -> None:
    slow, told = Slow(), asyncio.Event()

    async def shutdown(_ctx: dict[str, Any]) -> None:
        assert await _is_as_if_it_had_not_run(producer, "mine")
        told.set()

    await producer.enqueue_job("run", _job_id="mine")
    worker = make_engine({"run": slow.run}, on_shutdown=shutdown)
    async with running(worker):
        await until(lambda: slow.tries == [1])
        await worker.close()
        assert told.is_set()


async def test_an_idle_worker_ends_when_it_is_told_to(make_engine: MakeEngine) -> None:
    worker = make_engine({"run": Slow().run}, poll_delay=60, job_completion_wait=3600)
    async with running(worker):
        worker.handle_sig_wait_for_completion(Signals.SIGTERM)
        assert await outcome(worker) is None


SERVING = """
import asyncio, sys
from arq import func
from arq.connections import RedisSettings
from worker.engine import Worker

async def run(ctx):
    await ctx["redis"].set("begun", "1")
    await asyncio.sleep(float(sys.argv[3]))
    return "done"

settings = RedisSettings.from_dsn(sys.argv[1])
Worker([func(run, name="run")], queue_name=sys.argv[2], redis_settings=settings, job_completion_wait=30).run()
"""


@pytest.mark.parametrize(("takes", "signals"), [("0.5", 1), ("3600", 2)], ids=["in time", "handed back"])
async def test_a_process_that_is_told_to_stop_ends_well(
    producer: ArqRedis, redis_url: str, queue_name: str, takes: str, signals: int
) -> None:
    await producer.enqueue_job("run", _job_id="mine")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVING, redis_url, queue_name, takes), cwd=Path(__file__).parents[2]
    )

    async def begun() -> bool:
        return bool(await producer.exists("begun"))

    try:
        await until(begun)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if signals == 1:
        assert await producer.exists("arq:result:mine")
    else:
        assert await _is_as_if_it_had_not_run(producer, "mine")
