"""Nothing is dropped that nobody can read: it waits for a worker that can, then is kept as it came."""

import pickle
import time

import pytest

from producers import Producer
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running
from tests.guarantees.counters import Bump, bump
from tests.waiting import until

UNREADABLE = {
    "pickle": pickle.dumps({"t": None, "f": "execute", "a": (), "k": {}, "et": 0}),
    "garbage": b"\xff\x00\xfe garbage",
    "nothing": b"\0",
    "truncated JSON": b'{"t":null,"f":"execute","k":{},"a":[{"format":1,"id":"4b',
    "deep JSON": b"[" * 100_000,
    "a number": b"1",
    "a result of arq's": b'{"t":1,"f":"execute","a":[],"k":{},"et":0,"s":true,"r":1,"st":0,"ft":0}',
    "another shape": b'{"t":null,"f":"execute","k":{},"a":[{"id":1},{"accepted":%d,"deadline":null}],"et":1}'
    % (time.time() * 1000),
    "a time that never comes": b'{"t":null,"f":"execute","k":{},"a":[{},{"accepted":1e300,"deadline":null}]}',
    "an unknown function": b'{"t":null,"f":"charge_card","k":{},"a":[42],"et":1}',
}


async def put(producer: Producer, body: bytes) -> str:
    """Put a job of these bytes into the queue, past our own producer."""
    job_id = f"{producer.keys.queue}:from somewhere"
    await producer.redis.set(f"arq:job:{job_id}", body)
    await producer.redis.zadd(producer.keys.queue, {job_id: 1})
    return job_id


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_no_worker_can_read_waits_for_one_that_can(
    body: bytes, make_app: MakeApp, producer: Producer, endings: Rows, running: Running
) -> None:
    job_id = await put(producer, body)

    async with running(make_app(unreadable_timeout=3600)):
        await until(lambda: _is_put_off(producer, job_id))

    assert await producer.redis.get(f"arq:job:{job_id}") == body
    assert await producer.redis.ttl(f"arq:job:{job_id}") == -1
    assert await endings() == []


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_no_worker_has_ever_read_is_kept_as_it_came(
    body: bytes, make_app: MakeApp, producer: Producer, letters: Rows, drain: Drain
) -> None:
    await put(producer, body)

    await drain(make_app(unreadable_timeout=0))

    [letter] = await letters()
    assert (letter.state, letter.code, letter.body) == ("dead", "unreadable", body)


async def test_a_rolling_deploy_loses_no_command_of_the_new_version(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain, running: Running
) -> None:
    receipt = await producer.send(Bump(name="n"))
    async with running(make_app(unreadable_timeout=3600)):  # it has never heard of a Bump
        await until(lambda: _is_put_off(producer, producer.keys.job_id(receipt.command_id)))

    await drain(make_app({Bump: bump}))

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def _is_put_off(producer: Producer, job_id: str) -> bool:
    """Whether a worker has had the job, and has put it off."""
    seconds, _ = await producer.redis.time()
    score = await producer.redis.zscore(producer.keys.queue, job_id)
    counted = await producer.redis.exists(producer.keys.failures(job_id))
    return bool(counted) and score is not None and score > seconds * 1000
