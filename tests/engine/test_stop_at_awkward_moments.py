"""A signal may come at any moment: also while a claim is on its way, and before a job's first step."""

import asyncio
from collections.abc import Sequence
from signal import Signals
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings

from tests.engine.behind_proxy import proxied
from tests.engine.conftest import MakeEngine, outcome, running
from tests.engine.short import look_seldom
from tests.proxy import Way
from tests.waiting import until
from worker import engine
from worker.engine import broker


class Started:
    """A job that notes that it was started, and goes on until it is cancelled."""

    def __init__(self) -> None:
        self.times = 0

    async def run(self, _ctx: dict[str, Any]) -> None:
        self.times += 1
        await asyncio.Event().wait()


async def tries(producer: ArqRedis, job_id: str) -> int:
    return int(await producer.hget(f"arq:engine:{job_id}", "tries") or 0)  # type: ignore[misc]


@pytest.mark.parametrize("handler", ["handle_sig", "handle_sig_wait_for_completion"])
async def test_what_is_claimed_when_the_signal_comes_is_not_started(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str, handler: str
) -> None:
    started = Started()
    async with proxied(redis_url) as (proxy, url):
        worker = make_engine(
            {"run": started.run}, redis_settings=RedisSettings.from_dsn(url), job_completion_wait=60
        )
        async with running(worker):
            signalled = proxy.on_bytes(
                lambda way, data: way is Way.REPLY and b"mine" in data,
                lambda: getattr(worker, handler)(Signals.SIGTERM),
            )
            await producer.enqueue_job("run", _job_id="mine")
            await asyncio.wait_for(signalled.wait(), 10)
            assert worker.main_task is not None
            ended, _ = await asyncio.wait({worker.main_task}, timeout=5)
            assert started.times == 0
            assert ended
    assert not await producer.exists("arq:in-progress:mine")
    assert await producer.zscore(producer.default_queue_name, "mine")
    assert await tries(producer, "mine") == 0


async def test_a_job_that_is_handed_back_before_its_first_step_does_not_hold_up_the_end(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started()
    worker = make_engine({"run": started.run})
    start = worker._start

    def start_and_stop(claim: engine.Claim) -> None:
        start(claim)
        worker.handle_sig(Signals.SIGTERM)  # as where both wait in one turn of the loop

    monkeypatch.setattr(worker, "_start", start_and_stop)
    await producer.enqueue_job("run", _job_id="mine")
    async with running(worker):
        assert worker.main_task is not None
        ended, _ = await asyncio.wait({worker.main_task}, timeout=5)
        assert ended
    assert started.times == 0
    assert not await producer.exists("arq:in-progress:mine")
    assert await producer.zscore(producer.default_queue_name, "mine")


async def test_what_has_ended_is_settled_also_where_the_worker_is_cancelled_while_it_says_so(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str
) -> None:
    async def work(_ctx: dict[str, Any]) -> str:
        return "done"

    async with proxied(redis_url) as (proxy, url):
        worker = make_engine({"work": work}, redis_settings=RedisSettings.from_dsn(url))
        async with running(worker) as at_work:
            await producer.script_load(broker._SETTLE.text)

            def cut_and_cancel() -> None:
                proxy.cut()
                at_work.cancel()

            proxy.on_bytes(
                lambda way, data: way is Way.REQUEST and broker._SETTLE.sha.encode() in data, cut_and_cancel
            )
            job = await producer.enqueue_job("work")
            assert job is not None
            assert isinstance(await outcome(worker), asyncio.CancelledError)
    assert await job.result(timeout=1, poll_delay=0.01) == "done"


async def test_a_signal_that_comes_while_the_last_job_is_settled_is_not_slept_over(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_seldom(monkeypatch)

    async def work(_ctx: dict[str, Any]) -> None: ...

    def signal(_say: engine.Say, _ended: Sequence[engine.Settlement]) -> None:
        worker.handle_sig(Signals.SIGTERM)

    worker = make_engine({"work": work}, on_settle=signal)
    await producer.enqueue_job("work")
    async with running(worker):
        await until(lambda: worker._stopping is not None)
        assert worker.main_task is not None
        ended, _ = await asyncio.wait({worker.main_task}, timeout=5)
        assert ended


async def test_a_worker_that_stops_leaves_hints_to_others(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_seldom(monkeypatch)
    started, ran = Started(), asyncio.Event()

    async def work(_ctx: dict[str, Any]) -> None:
        ran.set()

    functions = {"run": started.run, "work": work}
    ending = make_engine(functions, job_completion_wait=60)
    await producer.enqueue_job("run")
    async with running(ending):
        await until(lambda: started.times == 1)
        await until(ending._hungry.is_set)
        ending.handle_sig_wait_for_completion(Signals.SIGTERM)
        other = make_engine(functions, poll_delay=60)
        async with running(other):
            await until(other._hungry.is_set)
            for _ in range(3):  # whoever has waited longest hears it
                ran.clear()
                await producer.enqueue_job("work")
                await producer.lpush(f"arq:bell:{queue_name}", "1")  # type: ignore[misc]
                await asyncio.wait_for(ran.wait(), 3)


async def test_a_worker_that_is_told_to_stop_while_redis_is_out_of_reach_ends(
    make_engine: MakeEngine, producer: ArqRedis, redis_url: str
) -> None:
    started = Started()
    await producer.enqueue_job("run", _job_id="mine")
    async with proxied(redis_url) as (proxy, url):
        worker = make_engine({"run": started.run}, redis_settings=RedisSettings.from_dsn(url))
        async with running(worker):
            await until(lambda: started.times == 1)
            proxy.refuse()
            proxy.cut()
            worker.handle_sig(Signals.SIGTERM)
            assert worker.main_task is not None
            ended, _ = await asyncio.wait({worker.main_task}, timeout=15)
            proxy.accept()
            assert ended
