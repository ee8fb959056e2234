"""What a job returns, raises or has for hooks may be awkward: it is settled, and the worker goes on."""

import asyncio
import logging
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import Worker

from tests.engine.conftest import Kind, Make, MakeEngine, is_settled, outcome, running
from tests.waiting import until


class Shy:
    """Something that cannot be shown."""

    def __repr__(self) -> str:
        raise ValueError("not to be shown")


class Talkative(Exception):
    """Has `extra`, as arq asks for it, and that raises."""

    def extra(self) -> None:
        raise ValueError("nothing to say")


async def work(_ctx: dict[str, Any]) -> str:
    return "done"


async def shy(_ctx: dict[str, Any]) -> Shy:
    return Shy()


async def talkative(_ctx: dict[str, Any]) -> None:
    raise Talkative


@pytest.mark.parametrize("name", ["shy", "talkative"])
async def test_a_job_whose_result_or_error_cannot_be_shown_has_failed_once(
    either: Kind, make: Make, producer: ArqRedis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "arq.worker")
    job = await producer.enqueue_job(name)
    assert job is not None
    async with running(make(either, {"shy": shy, "talkative": talkative})):
        await until(lambda: is_settled(producer, job.job_id), seconds=5)
    with pytest.raises(ValueError, match=r"not to be shown|nothing to say"):
        await job.result(timeout=5)


async def test_after_job_end_holds_up_no_other_job(either: Kind, make: Make, producer: ArqRedis) -> None:
    second_ran = asyncio.Event()

    async def second(_ctx: dict[str, Any]) -> None:
        second_ran.set()

    async def wait(ctx: dict[str, Any]) -> None:
        if ctx["job_id"] == "first":
            await asyncio.wait_for(second_ran.wait(), 5)

    await producer.enqueue_job("work", _job_id="first")
    async with running(make(either, {"work": work, "second": second}, after_job_end=wait)):
        await Job("first", producer, producer.default_queue_name).result(timeout=5, poll_delay=0.01)
        await producer.enqueue_job("second")
        await asyncio.wait_for(second_ran.wait(), 3)


@pytest.mark.parametrize("hook", ["on_job_start", "on_job_end", "after_job_end"])
@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()], ids=repr)
async def test_a_hook_that_raises_ends_its_job_and_not_the_worker(
    make_engine: MakeEngine, producer: ArqRedis, hook: str, error: BaseException
) -> None:
    errors = [error]

    async def once(_ctx: dict[str, Any]) -> None:
        if errors:
            raise errors.pop()

    await producer.enqueue_job("work", _job_id="first")
    async with running(make_engine({"work": work}, **{hook: once})) as at_work:
        await until(lambda: not errors)
        await until(lambda: is_settled(producer, "first"))
        job = await producer.enqueue_job("work", _job_id="second")
        assert job is not None
        assert await job.result(timeout=10, poll_delay=0.01) == "done"
        assert not at_work.done()


@pytest.mark.parametrize("hook", ["on_job_start", "on_job_end", "after_job_end"])
async def test_in_arq_a_hook_that_raises_ends_the_worker(make: Make, producer: ArqRedis, hook: str) -> None:
    async def fail(_ctx: dict[str, Any]) -> None:
        raise ValueError("no")

    await producer.enqueue_job("work")
    worker = make(Worker, {"work": work}, **{hook: fail})
    async with running(worker):
        assert isinstance(await outcome(worker), ValueError)
