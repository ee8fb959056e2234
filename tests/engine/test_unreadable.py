"""A job that cannot be run has failed, and its result says why, as in arq."""

import pickle
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis
from arq.jobs import DeserializationError, Job
from arq.worker import JobExecutionFailed
from redis.exceptions import ResponseError

from tests.engine.conftest import Kind, Make, MakeEngine, is_settled, running
from tests.waiting import until


async def work(_ctx: dict[str, Any]) -> str:
    return "done"


async def expired(producer: ArqRedis) -> None:
    await producer.enqueue_job("work", _job_id="mine")
    await producer.delete("arq:job:mine")


async def unknown(producer: ArqRedis) -> None:
    await producer.enqueue_job("nobody", _job_id="mine")


async def undecodable(producer: ArqRedis) -> None:
    await producer.enqueue_job("work", _job_id="mine")
    await producer.set("arq:job:mine", b"nothing that can be read")


WAYS = {
    expired: (JobExecutionFailed, "job expired"),
    unknown: (JobExecutionFailed, "function 'nobody' not found"),
    undecodable: (DeserializationError, "unable to deserialize job"),
}
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@each_way
async def test_what_cannot_be_run_has_failed(either: Kind, make: Make, producer: ArqRedis, way: Any) -> None:
    await way(producer)
    worker = make(either, {"work": work}, burst=True)
    await worker.async_run()
    kind, text = WAYS[way]
    with pytest.raises(kind, match=text):
        await Job("mine", producer, producer.default_queue_name).result(timeout=5)
    assert (worker.jobs_failed, worker.jobs_complete) == (1, 0)
    assert await is_settled(producer, "mine")


@each_way
async def test_what_cannot_be_run_is_told_to_no_hook_of_a_job(
    either: Kind, make: Make, producer: ArqRedis, way: Any
) -> None:
    told: list[Any] = []

    async def hook(ctx: dict[str, Any]) -> None:
        told.append(ctx)

    await way(producer)
    hooks = dict.fromkeys(("on_job_start", "on_job_end", "after_job_end"), hook)
    await make(either, {"work": work}, burst=True, **hooks).async_run()
    assert told == []


async def test_a_payload_expires(either: Kind, make: Make, producer: ArqRedis) -> None:
    job = await producer.enqueue_job("work", _expires=0.01)
    assert job is not None

    async def gone() -> bool:
        return not await producer.exists(f"arq:job:{job.job_id}")

    await until(gone)
    await make(either, {"work": work}, burst=True).async_run()
    with pytest.raises(JobExecutionFailed, match="job expired"):
        await job.result(timeout=5)


@each_way
async def test_the_result_may_be_kept_for_ever(make_engine: MakeEngine, producer: ArqRedis, way: Any) -> None:
    await way(producer)
    await make_engine({"work": work}, burst=True, keep_result_forever=True).async_run()
    assert await producer.ttl("arq:result:mine") == -1


async def test_in_arq_that_ends_the_worker(make: Make, producer: ArqRedis) -> None:
    await expired(producer)
    with pytest.raises(ResponseError, match="invalid expire time"):
        await make(arq.Worker, {"work": work}, keep_result_forever=True).async_run()


@pytest.mark.parametrize(
    "payload",
    [
        {"t": None, "f": ["no name"], "a": (), "k": {}, "et": 1},
        {"t": "no number", "f": "work", "a": (), "k": {}, "et": 1},
        {"t": None, "f": "work", "a": 5, "k": {}, "et": 1},
        {"t": None, "f": "work", "a": (), "k": [], "et": 1},
        {"t": None, "f": "work", "a": (), "k": {}, "et": "no time"},
    ],
    ids=str,
)
async def test_a_payload_of_the_wrong_kind_ends_its_job_and_not_the_worker(
    make_engine: MakeEngine, producer: ArqRedis, payload: dict[str, Any]
) -> None:
    await producer.enqueue_job("work", _job_id="mine")
    await producer.set("arq:job:mine", pickle.dumps(payload))
    worker = make_engine({"work": work}, burst=True)
    await worker.async_run()
    assert worker.jobs_failed == 1
    assert await is_settled(producer, "mine")
    assert await producer.exists("arq:result:mine")


async def test_an_id_that_is_not_text_stays_in_the_queue_and_is_logged(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    # | an id that is not text ends the worker | it stays in the queue, and is logged |
    await producer.zadd(queue_name, {b"\xff\xfe": 1})
    async with running(make_engine({"work": work})):
        job = await producer.enqueue_job("work")
        assert job is not None
        assert await job.result(timeout=10, poll_delay=0.01) == "done"
    assert await producer.zscore(queue_name, b"\xff\xfe") is not None
    assert "its id is not text" in caplog.text


async def test_in_arq_it_ends_the_worker(make: Make, producer: ArqRedis, queue_name: str) -> None:
    await producer.zadd(queue_name, {b"\xff\xfe": 1})
    with pytest.raises(UnicodeDecodeError):
        await make(arq.Worker, {"work": work}).async_run()
