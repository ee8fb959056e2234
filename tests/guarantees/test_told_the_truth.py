"""A producer is never told "duplicate" of what was not accepted, nor "accepted" for another's command."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from producers import CommandConflict, Producer, QueueFull, QueueUnavailable, ResultTimeout
from producers.commands import CreateUser
from producers.settings import QueueSettings
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.redis_proxy import proxied
from tests.proxy import Proxy, Way
from tests.waiting import until

SENDERS = 50
LOSSES = {"the request is lost": (Way.REQUEST, b"EVALSHA"), "the reply is lost": (Way.REPLY, b"accepted")}


@asynccontextmanager
async def cut_off(queue: QueueSettings, loss: str) -> AsyncIterator[Producer]:
    """A producer whose first send gets lost on the way, and which does not repeat it by itself."""
    way, word = LOSSES[loss]
    async with proxied(queue) as (proxy, behind):
        lost = proxy.on_bytes(lambda passing, data: passing is way and word in data, proxy.cut)
        async with Producer(settings=behind.model_copy(update={"redis_retries": 0})) as producer:
            yield producer
        assert lost.is_set()


@pytest.mark.parametrize("seed", range(3))
async def test_of_fifty_senders_of_one_id_those_with_what_is_queued_are_told_so_and_the_others_too(
    seed: int, queue: QueueSettings, producer: Producer
) -> None:
    chance = random.Random(seed)  # noqa: S311  # not a secret

    async def told(behind: QueueSettings, name: str) -> tuple[str, str | None]:
        async with Producer(settings=behind) as sender:
            while True:
                try:
                    return name, (await sender.send(Bump(name=name), command_id="one id")).status
                except CommandConflict:
                    return name, "conflict"
                except QueueUnavailable:
                    continue  # as it says: send it again

    names = [chance.choice(["left", "right"]) for _ in range(SENDERS)]
    async with proxied(queue) as (proxy, behind):
        cuts = _cut_at_random(proxy, chance)
        answers = await asyncio.gather(*(told(behind, name) for name in names))

    assert len(cuts) > 1
    [queued] = [payload["name"] for payload in await _queued(producer)]
    assert {answer for name, answer in answers if name == queued} <= {"accepted", "duplicate"}
    assert {answer for name, answer in answers if name != queued} == {"conflict"}
    assert [answer for _, answer in answers].count("accepted") <= 1  # its sender may have been cut off


@pytest.mark.parametrize("loss", LOSSES)
async def test_what_may_have_been_lost_is_sent_again_under_its_id(
    loss: str, make_app: MakeApp, queue: QueueSettings, counters: Counters, drain: Drain
) -> None:
    async with cut_off(queue, loss) as producer:
        with pytest.raises(QueueUnavailable):
            await producer.send(Bump(name="n"), command_id="one id")
        again = await producer.send(Bump(name="n"), command_id="one id")

    assert again.status == ("accepted" if loss == "the request is lost" else "duplicate")
    await drain(make_app({Bump: bump}))
    assert await counters() == {"n": 1}


@pytest.mark.parametrize("loss", LOSSES)
async def test_what_was_sent_without_an_id_is_sent_again_under_that_of_the_error(
    loss: str, queue: QueueSettings, producer: Producer
) -> None:
    async with cut_off(queue, loss) as lossy:
        with pytest.raises(QueueUnavailable) as caught:
            await lossy.send(CreateUser(username="ada"))
        again = await lossy.send(caught.value.command, command_id=caught.value.command_id)

    assert again.status == ("accepted" if loss == "the request is lost" else "duplicate")
    assert [payload["username"] for payload in await _queued(producer)] == ["ada"]


async def test_once_it_has_ended_an_id_is_still_that_command(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    await producer.send(Bump(name="n"), command_id="one id")
    await drain(make_app({Bump: bump}))

    again = await producer.send(Bump(name="n"), command_id="one id")
    assert (again.status, await again.result(1)) == ("duplicate", 1)
    with pytest.raises(CommandConflict):
        await producer.send(Bump(name="other"), command_id="one id")
    assert await counters() == {"n": 1}


async def test_when_redis_has_forgotten_an_id_the_database_has_not(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    app = make_app({Bump: bump})
    app.queue = app.queue.model_copy(update={"mark_ttl": 0.05, "result_ttl": 0.05})
    receipt = await producer.send(Bump(name="n"), command_id="one id")
    await drain(app)

    async def is_forgotten() -> bool:
        return not await producer.redis.exists(producer.keys.mark(receipt.command_id))

    await until(is_forgotten)
    app.queue = producer.settings
    again = await producer.send(Bump(name="n"), command_id="one id")
    await drain(app)
    assert await again.result(1) == 1

    await producer.redis.delete(producer.keys.mark(receipt.command_id))
    other = await producer.send(Bump(name="other"), command_id="one id")
    await drain(app)
    with pytest.raises(CommandConflict):
        await other.result(1)
    assert await counters() == {"n": 1}


async def test_a_full_queue_accepts_nothing_and_still_knows_what_it_has(queue: QueueSettings) -> None:
    async with Producer(settings=queue.model_copy(update={"max": 3})) as producer:
        with pytest.raises(QueueFull):
            await producer.send_many([Bump(name=f"n{number}") for number in range(4)])
        assert [key async for key in producer.redis.scan_iter(f"*{queue.name}*")] == []

        await producer.send_many([Bump(name=name) for name in "abc"], command_ids="abc")
        with pytest.raises(QueueFull):
            await producer.send(Bump(name="d"), command_id="d")
        assert (await producer.send(Bump(name="a"), command_id="a")).status == "duplicate"
        assert sorted(payload["name"] for payload in await _queued(producer)) == ["a", "b", "c"]


@pytest.mark.parametrize("noticed", ["beforehand", "by the script"])
async def test_a_redis_out_of_memory_accepts_nothing_and_keeps_no_half_of_it(
    noticed: str, own_redis_url: str, queue_name: str
) -> None:
    settings = QueueSettings(redis_url=own_redis_url, name=queue_name)
    async with Producer(settings=settings) as producer:
        await producer.send(Bump(name="before"), command_id="before")
        before = await producer.redis.dbsize()
        await producer.redis.config_set("maxmemory", 1)
        try:
            producer._enqueue.headroom.checked = float("-inf" if noticed == "beforehand" else "inf")
            with pytest.raises(QueueFull) as caught:
                await producer.send_many([Bump(name=f"n{number}") for number in range(100)])
        finally:
            await producer.redis.config_set("maxmemory", 0)

        assert caught.value.code == "redis_full"
        assert await producer.redis.dbsize() == before
        assert [payload["name"] for payload in await _queued(producer)] == ["before"]


def _cut_at_random(proxy: Proxy, chance: random.Random) -> list[None]:
    """Cut all connections at one reply in ten, at most once for each sender; return the list of cuts."""
    cuts: list[None] = []

    def cut() -> None:
        proxy.cut()
        cuts.append(None)
        if len(cuts) < SENDERS:
            proxy.on_bytes(lambda way, _: way is Way.REPLY and chance.random() < 1 / 10, cut)

    proxy.on_bytes(lambda way, data: way is Way.REPLY and b"accepted" in data, cut)
    return cuts


async def _queued(producer: Producer) -> list[dict[str, Any]]:
    """Read the payloads of what is in the queue, in its order."""
    jobs = await producer.redis.zrange(producer.keys.queue, 0, -1)
    bodies = [await producer.redis.get(b"arq:job:" + job) for job in jobs]
    return [json.loads(body)["a"][0]["payload"] for body in bodies]


async def test_another_command_under_a_used_id_is_on_record_however_late(
    make_app: MakeApp, producer: Producer, counters: Counters, endings: Rows, letters: Rows, drain: Drain
) -> None:
    app = make_app({Bump: bump})
    first = await producer.send(Bump(name="first"), command_id="one id")
    await drain(app)
    await producer.redis.delete(producer.keys.mark(first.command_id), producer.keys.result(first.command_id))

    for _ in range(2):  # however often
        late = await producer.send(Bump(name="late"), command_id="one id")  # Redis knows nothing any more
        await drain(app)
        with pytest.raises(CommandConflict):
            await late.result(1)
        await producer.redis.delete(producer.keys.mark(late.command_id))

    assert await counters() == {"first": 1}
    assert sorted(row.ending for row in await endings()) == ["applied", "rejected"]
    [letter] = await letters()
    assert (letter.state, letter.code, b"late" in letter.body) == ("rejected", "conflict", True)


async def test_a_result_is_waited_for_no_longer_than_was_said_also_where_redis_says_nothing(
    queue: QueueSettings,
) -> None:
    async with proxied(queue) as (proxy, behind), Producer(settings=behind) as producer:
        receipt = await producer.send(Bump(name="n"))
        proxy.blackhole()
        with pytest.raises(ResultTimeout):
            await receipt.result(0.3)
