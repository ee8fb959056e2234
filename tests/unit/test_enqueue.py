import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from arq.jobs import deserialize_job_raw
from fakeredis import FakeAsyncRedis

from producers import CommandConflict, Producer, QueueFull, QueueSettings
from producers.commands import CreateUser
from producers.commands.lanes import Standing
from producers.wire import Answer, Ending, Envelope

ADA = CreateUser(username="ada")
BOB = CreateUser(username="bob")


async def run_script(producer: Producer, *sendings: Any, nonce: str) -> list[bytes]:
    """Run the enqueue script as the producer does, with a nonce of the test's."""
    arguments = ["", nonce, "", *(value for sending in sendings for value in sending.arguments())]
    replies: list[bytes] = await producer._enqueue.script(
        keys=[producer.keys.queue, producer.keys.bell], args=arguments
    )
    return replies


async def waiting(producer: Producer) -> int:
    """Count the jobs in the queue."""
    return int(await producer.redis.zcard(producer.keys.queue))


async def job(producer: Producer, command_id: Any, generation: int = 0) -> Any:
    """Read a job as arq's worker does."""
    raw = await producer.redis.get(producer.keys.job(command_id, generation))
    assert raw is not None
    return deserialize_job_raw(raw, deserializer=json.loads)


async def test_a_plain_arq_worker_reads_what_was_enqueued(producer: Producer) -> None:
    before = int(time.time() * 1000)
    receipt = await producer.send(ADA)
    assert isinstance(receipt.command, CreateUser)
    function, [envelope, stamp], options, tries, enqueued = await job(producer, receipt.command_id)
    assert (function, options, tries) == ("execute", {}, None)
    assert Envelope.decode(envelope).payload == {"username": "ada", "id": str(receipt.command.id)}
    assert before <= enqueued <= time.time() * 1000
    lanes = [f"user:{receipt.command.id}"]
    assert stamp == {"accepted": enqueued, "due": enqueued, "deadline": None, "lanes": lanes}
    [(member, score)] = await producer.redis.zrange(producer.keys.queue, 0, -1, withscores=True)
    assert member.decode() == producer.keys.job_id(receipt.command_id)
    assert score == enqueued


async def test_a_job_has_no_time_to_live(producer: Producer) -> None:
    receipt = await producer.send(ADA)
    assert await producer.redis.ttl(producer.keys.job(receipt.command_id)) == -1
    assert await producer.redis.ttl(producer.keys.mark(receipt.command_id)) == -1


async def test_the_same_command_twice_is_a_duplicate_and_queued_once(producer: Producer) -> None:
    first = await producer.send(ADA, command_id="one")
    second = await producer.send(ADA, command_id="one")
    assert (first.status, second.status) == ("accepted", "duplicate")
    assert first.command_id == second.command_id
    assert await waiting(producer) == 1


async def test_the_same_id_for_another_command_is_a_conflict(producer: Producer) -> None:
    first = await producer.send(ADA, command_id="one")
    with pytest.raises(CommandConflict, match=str(first.command_id)) as raised:
        await producer.send(BOB, command_id="one")
    assert raised.value.command_id == first.command_id
    _, [envelope, _], *_ = await job(producer, first.command_id)
    assert envelope["payload"]["username"] == "ada"


async def test_a_settled_command_is_still_a_duplicate(producer: Producer) -> None:
    receipt = await producer.send(ADA, command_id="one")
    await producer.redis.delete(producer.keys.job(receipt.command_id), producer.keys.queue)
    assert (await producer.send(ADA, command_id="one")).status == "duplicate"
    assert await waiting(producer) == 0


async def test_a_call_whose_reply_was_lost_gets_the_same_answer_again(producer: Producer) -> None:
    sending = producer._sending(ADA, "one")
    assert await run_script(producer, sending, nonce="first") == [b"accepted"]
    assert await run_script(producer, sending, nonce="first") == [b"accepted"]
    assert await waiting(producer) == 1
    assert await run_script(producer, sending, nonce="second") == [b"duplicate"]


async def test_a_lost_reply_does_not_bring_a_settled_command_back(producer: Producer) -> None:
    sending = producer._sending(ADA, "one")
    await run_script(producer, sending, nonce="first")
    await producer.redis.delete(producer.keys.job(sending.command_id), producer.keys.queue)
    assert await run_script(producer, sending, nonce="first") == [b"accepted"]
    assert await waiting(producer) == 0


async def test_one_call_may_hold_the_same_id_twice(producer: Producer) -> None:
    ada, bob = producer._sending(ADA, "one"), producer._sending(BOB, "one")
    replies = await run_script(producer, ada, ada, bob, nonce="first")
    assert replies == [b"accepted", b"duplicate", b"conflict"]
    assert await waiting(producer) == 1


async def test_a_higher_generation_goes_before_what_was_answered(producer: Producer) -> None:
    receipt = await producer.send(ADA, command_id="one")
    at = receipt.command_id
    answer = Answer(Ending.DEAD, error={"code": "dead", "message": "given up"})
    await producer.redis.delete(producer.keys.job(at), producer.keys.queue)
    await producer.redis.set(producer.keys.result(at), answer.encode())

    await producer.resend(BOB, at, 1, Standing())

    _, [envelope, _], *_ = await job(producer, at, generation=1)
    assert (envelope["generation"], envelope["payload"]["username"]) == (1, "bob")
    assert not await producer.redis.exists(producer.keys.result(at), producer.keys.job(at))
    assert await waiting(producer) == 1


async def test_the_same_generation_is_replayed_once(producer: Producer) -> None:
    await producer.resend(ADA, at := uuid4(), 1, Standing())
    await producer.resend(ADA, at, 1, Standing())
    assert await waiting(producer) == 1


async def test_a_delay_is_counted_by_the_clock_of_redis(producer: Producer) -> None:
    receipt = await producer.send(ADA, delay=timedelta(seconds=90))
    _, [_, stamp], *_ = await job(producer, receipt.command_id)
    assert stamp["due"] == stamp["accepted"] + 90_000
    assert (
        await producer.redis.zscore(producer.keys.queue, producer.keys.job_id(receipt.command_id))
        == stamp["due"]
    )


async def test_at_is_a_moment(producer: Producer) -> None:
    moment = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    receipt = await producer.send(ADA, at=moment)
    _, [_, stamp], *_ = await job(producer, receipt.command_id)
    assert stamp["due"] == moment.timestamp() * 1000


@pytest.mark.parametrize("deadline", [5, timedelta(seconds=5)])
async def test_a_deadline_counts_from_now(producer: Producer, deadline: float | timedelta) -> None:
    receipt = await producer.send(ADA, deadline=deadline)
    _, [_, stamp], *_ = await job(producer, receipt.command_id)
    assert stamp["deadline"] == stamp["accepted"] + 5_000


async def test_a_deadline_may_be_a_moment(producer: Producer) -> None:
    moment = datetime(2040, 1, 2, tzinfo=UTC)
    receipt = await producer.send(ADA, deadline=moment)
    _, [_, stamp], *_ = await job(producer, receipt.command_id)
    assert stamp["deadline"] == moment.timestamp() * 1000


async def test_a_full_queue_takes_a_call_whole_or_not_at_all(fake_redis: FakeAsyncRedis) -> None:
    producer = Producer(redis=fake_redis, settings=QueueSettings(name="test", max=3))
    await producer.send_many([ADA, BOB])
    with pytest.raises(QueueFull, match="QUEUE_MAX") as raised:
        await producer.send_many([ADA, BOB])
    assert raised.value.code == "queue_full"
    assert not raised.value.accepted
    assert await waiting(producer) == 2
    await producer.send(ADA)
    assert await waiting(producer) == 3


async def test_a_full_queue_still_knows_a_duplicate(fake_redis: FakeAsyncRedis) -> None:
    producer = Producer(redis=fake_redis, settings=QueueSettings(name="test", max=1))
    await producer.send(ADA, command_id="one")
    assert (await producer.send(ADA, command_id="one")).status == "duplicate"
    with pytest.raises(CommandConflict):
        await producer.send(BOB, command_id="one")


async def test_queues_do_not_meet(fake_redis: FakeAsyncRedis) -> None:
    one, other = (Producer(redis=fake_redis, settings=QueueSettings(name=name)) for name in ("one", "other"))
    assert (await one.send(ADA, command_id="x")).status == "accepted"
    assert (await other.send(BOB, command_id="x")).status == "accepted"


async def test_a_conflict_within_one_call_stays_one_when_the_call_is_repeated(producer: Producer) -> None:
    sendings = [producer._sending(ADA, "one"), producer._sending(BOB, "one"), producer._sending(ADA, "one")]
    for _ in range(2):  # the second time because the reply was lost: redis-py repeats it by itself
        assert await run_script(producer, *sendings, nonce="of one call") == [
            b"accepted",
            b"conflict",
            b"duplicate",
        ]
    assert await waiting(producer) == 1
