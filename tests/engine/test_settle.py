"""Only the owner settles a job, and only once: settling may be repeated, and may come too late."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.connections import ArqRedis

from worker.engine import Claim, Settlement
from worker.engine.broker import _SETTLE, Broker


@pytest.fixture
async def broker(producer: ArqRedis, queue_name: str) -> AsyncIterator[Broker]:
    """The queue, as one worker process sees it."""
    broker = Broker(producer, queue_name, lease=10, aborts=False)
    yield broker
    await broker.close()


@pytest.fixture
async def claim(broker: Broker, producer: ArqRedis) -> Claim:
    """A job that is claimed."""
    await producer.enqueue_job("work", _job_id="mine")
    look = await broker.exchange([], 1)
    assert look is not None
    return look.claims[0]


def settlement(claim: Claim, verb: str) -> Settlement:
    return {
        "finish": Settlement(claim, "finish", result=b"result", keep_result=60_000),
        "finish for ever": Settlement(claim, "finish", result=b"result"),
        "cron": Settlement(claim, "finish", keep_progress=60_000, ran_already=True),
        "later": Settlement(claim, "later", delay=60_000),
        "again": Settlement(claim, "again"),
        "back": Settlement(claim, "back"),
    }[verb]


VERBS = ["finish", "finish for ever", "cron", "later", "again", "back"]


async def settle(redis: ArqRedis, queue: str, *ended: Settlement) -> list[int]:
    words = [word for one in ended for word in one.arguments()]
    keys = [queue, "arq:abort", f"arq:bell:{queue}", f"arq:leases:{queue}"]
    replies: list[int] = await redis.eval(_SETTLE.text, 4, *keys, *words)  # type: ignore[misc, arg-type]
    return replies


async def known(redis: ArqRedis) -> dict[bytes, bytes]:
    """What is known of the job, beside which job it is."""
    held: dict[bytes, bytes] = await redis.hgetall("arq:engine:mine")  # type: ignore[misc]
    return {name: value for name, value in held.items() if name != b"job"}


async def everything(redis: ArqRedis) -> dict[bytes, Any]:
    """Read all that Redis holds."""
    held: dict[bytes, Any] = {}
    for key in sorted(await redis.keys()):
        kind = await redis.type(key)
        if kind == b"zset":
            held[key] = await redis.zrange(key, 0, -1, withscores=True)
        elif kind == b"hash":
            held[key] = await redis.hgetall(key)  # type: ignore[misc]
        elif kind == b"list":
            held[key] = await redis.lrange(key, 0, -1)  # type: ignore[misc]
        else:
            held[key] = await redis.get(key)
    return held


@pytest.mark.parametrize("verb", VERBS)
async def test_whoever_has_another_token_changes_nothing(
    claim: Claim, producer: ArqRedis, queue_name: str, verb: str
) -> None:
    foreign = settlement(claim, verb)
    before = await everything(producer)
    claim.token = "somebody:1"
    assert await settle(producer, queue_name, foreign) == [0]
    assert await everything(producer) == before


@pytest.mark.parametrize("verb", VERBS)
async def test_settling_again_changes_nothing(
    claim: Claim, producer: ArqRedis, queue_name: str, verb: str
) -> None:
    mine = settlement(claim, verb)
    assert await settle(producer, queue_name, mine) == [1]
    before = await everything(producer)
    assert await settle(producer, queue_name, mine) == [0]
    assert await everything(producer) == before


@pytest.mark.parametrize("verb", VERBS)
async def test_settling_after_the_next_claim_changes_nothing(
    broker: Broker, claim: Claim, producer: ArqRedis, queue_name: str, verb: str
) -> None:
    await producer.delete("arq:in-progress:mine")
    await producer.zadd(queue_name, {"mine": 1})
    await broker.exchange([], 1)
    before = await everything(producer)
    assert await settle(producer, queue_name, settlement(claim, verb)) == [0]
    assert await everything(producer) == before


async def test_what_is_finished_leaves_its_result_only(
    claim: Claim, producer: ArqRedis, queue_name: str
) -> None:
    await producer.zadd("arq:abort", {"mine": 1})
    await settle(producer, queue_name, settlement(claim, "finish"))
    assert await everything(producer) == {b"arq:result:mine": b"result"}
    assert 0 < await producer.pttl("arq:result:mine") <= 60_000


async def test_what_is_put_off_has_a_score_by_the_clock_of_the_server(
    claim: Claim, producer: ArqRedis, queue_name: str
) -> None:
    await settle(producer, queue_name, settlement(claim, "later"))
    seconds, _ = await producer.time()
    assert await producer.zscore(queue_name, "mine") == pytest.approx((seconds + 60) * 1000, abs=30_000)
    assert await known(producer) == {b"tries": b"1"}
    assert not await producer.exists("arq:in-progress:mine")


@pytest.mark.parametrize(("verb", "tries"), [("again", b"1"), ("back", b"0")])
async def test_what_is_to_run_again_has_its_old_place(
    claim: Claim, producer: ArqRedis, queue_name: str, verb: str, tries: bytes
) -> None:
    await settle(producer, queue_name, settlement(claim, verb))
    assert await producer.zscore(queue_name, "mine") == claim.score
    assert await known(producer) == {b"tries": tries} | ({b"open": b"0"} if verb == "back" else {})
    assert not await producer.exists("arq:in-progress:mine")


async def test_each_of_a_batch_is_settled_by_itself(
    broker: Broker, producer: ArqRedis, queue_name: str
) -> None:
    for number in range(4):
        await producer.enqueue_job("work", _job_id=str(number))
    look = await broker.exchange([], 4)
    assert look is not None
    one, two, three, four = look.claims
    await producer.set("arq:in-progress:1", "somebody:1")
    ended = [
        settlement(claim, verb)
        for claim, verb in [(one, "finish"), (two, "finish"), (three, "later"), (four, "back")]
    ]
    assert await settle(producer, queue_name, *ended) == [1, 0, 1, 1]
    assert await producer.zrange(queue_name, 0, -1) == [b"3", b"1", b"2"]


async def test_a_job_taken_out_of_the_queue_does_not_come_back(
    claim: Claim, producer: ArqRedis, queue_name: str
) -> None:
    await producer.zrem(queue_name, "mine")
    await settle(producer, queue_name, settlement(claim, "again"))
    assert await producer.zcard(queue_name) == 0


async def test_scripts_that_redis_has_forgotten_are_told_again(broker: Broker, producer: ArqRedis) -> None:
    await producer.enqueue_job("work", _job_id="mine")
    look = await broker.exchange([], 1)
    assert look is not None
    await producer.script_flush()
    await producer.enqueue_job("work", _job_id="next")
    look = await broker.exchange([settlement(look.claims[0], "finish")], 1)
    assert look is not None
    assert [claim.job_id for claim in look.claims] == ["next"]
    assert await producer.get("arq:result:mine") == b"result"
