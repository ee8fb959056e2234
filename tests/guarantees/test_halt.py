"""A paused queue claims nothing new, a draining one lets nothing new in; neither loses anything."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from structlog.testing import CapturingLogger

from producers import Producer, QueueFull
from producers.commands import CreateUser
from producers.outbox import Outbox, send
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import broken
from tests.waiting import until
from worker import gate, halt
from worker.app import App
from worker.gate import Gate
from worker.relay import Relay
from worker.replay import replay
from worker.tables import worker_tables

pytestmark = on_engine
OUTBOX = worker_tables(None).outbox

More = Callable[[int], Awaitable[None]]


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> More:
    """Count how often something is done; the fixture's result waits until it was done so often again."""
    done = 0
    original = getattr(owner, name)

    def step(*arguments: Any) -> Any:
        nonlocal done
        done += 1
        return original(*arguments)

    monkeypatch.setattr(owner, name, step)

    async def more(times: int) -> None:
        until_then = done + times
        await until(lambda: done >= until_then)

    return more


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> More:
    """Waits until a worker has looked into the queue so often again."""
    return counted(monkeypatch, Gate, "look")


@pytest.fixture
def publishings(monkeypatch: pytest.MonkeyPatch) -> More:
    """Waits until a relay has tried to publish so often again."""
    return counted(monkeypatch, Relay, "publish")


async def test_a_paused_queue_claims_nothing_new_until_it_is_resumed(
    app: App, producer: Producer, running: Running, endings: Rows, looks: More
) -> None:
    await halt.pause(producer.redis, producer.keys)
    async with running(app):
        receipt = await producer.send(CreateUser(username="ada"))
        assert receipt.status == "accepted"
        await looks(3)
        assert await endings() == []

        await halt.resume(producer.redis, producer.keys)
        assert (await receipt.result(20)).username == "ada"


async def test_what_runs_when_a_queue_is_paused_may_finish(
    make_app: MakeApp, producer: Producer, counters: Counters, running: Running, endings: Rows, looks: More
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(session: AsyncSession, command: Bump) -> int:
        begun.set()
        await may_end.wait()
        return await bump(session, command)

    async with running(make_app({Bump: slow}, concurrency=1)):
        first = await producer.send(Bump(name="n"))
        await asyncio.wait_for(begun.wait(), 20)
        second = await producer.send(Bump(name="n"))
        await halt.pause(producer.redis, producer.keys)
        may_end.set()
        assert await first.result(20) == 1
        await looks(3)
        assert len(await endings()) == 1

        await halt.resume(producer.redis, producer.keys)
        assert await second.result(20) == 2
    assert await counters() == {"n": 2}


async def test_a_pause_and_its_end_are_logged_once(
    app: App, producer: Producer, running: Running, looks: More, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = CapturingLogger()
    monkeypatch.setattr(gate, "log", logger)
    await halt.pause(producer.redis, producer.keys)
    async with running(app):
        await looks(3)
        await halt.resume(producer.redis, producer.keys)
        await (await producer.send(CreateUser(username="ada"))).result(20)
    assert [(call.method_name, *call.args) for call in logger.calls] == [
        ("warning", "queue.paused"),
        ("info", "queue.resumed"),
    ]
    assert "worker queue resume" in logger.calls[0].kwargs["mend"]


async def test_a_claim_whose_reply_was_lost_before_a_pause_is_made_anew_after_it(
    app: App, producer: Producer, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = False
    look = Gate.look

    def loses_its_first_claim(self: Gate, reply: Any, token: str, before: float) -> Any:
        nonlocal lost
        if not lost and isinstance(reply, list) and reply[3:]:
            lost = True
            self._claimed, self._in_doubt = self._claimed - 1, True
            raise ConnectionError
        return look(self, reply, token, before)

    monkeypatch.setattr(Gate, "look", loses_its_first_claim)
    exchange = Gate.exchange

    async def paused_after_the_loss(self: Gate, *arguments: Any) -> Any:
        try:
            return await exchange(self, *arguments)
        except ConnectionError:
            await halt.pause(producer.redis, producer.keys)
            raise

    monkeypatch.setattr(Gate, "exchange", paused_after_the_loss)
    async with running(app) as worker:
        receipt = await producer.send(CreateUser(username="ada"))
        await until(lambda: worker._broker._is_paused)  # type: ignore[attr-defined]  # it is the engine's
        assert lost
        await halt.resume(producer.redis, producer.keys)
        assert (await receipt.result(20)).username == "ada"


async def test_a_draining_queue_refuses_what_is_new_and_tells_the_truth_about_what_is_not(
    app: App, producer: Producer, drain: Drain, endings: Rows
) -> None:
    before = await producer.send(CreateUser(username="ada"), command_id="one")
    await halt.drain(producer.redis, producer.keys)

    with pytest.raises(QueueFull, match="send again after `worker queue resume`") as refused:
        await producer.send(CreateUser(username="bob"))
    assert refused.value.code == "queue_draining"
    again = await producer.send(CreateUser(username="ada", id=before.command.id), command_id="one")  # type: ignore[union-attr]
    assert again.status == "duplicate"
    with pytest.raises(QueueFull):
        await producer.send_many([CreateUser(username="eve"), CreateUser(username="carl")])

    await drain(app)
    assert [row.ending for row in await endings()] == ["applied"]
    await halt.resume(producer.redis, producer.keys)
    assert (await producer.send(CreateUser(username="bob"))).status == "accepted"


async def test_a_draining_queue_lets_replays_in(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"))
    await drain(make_app({Bump: broken}, max_attempts=1))
    await halt.drain(producer.redis, producer.keys)

    app = make_app({Bump: bump})
    await replay(app, producer.redis, receipt.command_id)
    await drain(app)
    assert await counters() == {"n": 1}


async def test_the_outbox_keeps_its_rows_while_a_queue_drains_and_publishes_them_after(
    app: App, producer: Producer, database: AsyncEngine, running: Running, publishings: More, endings: Rows
) -> None:
    await halt.drain(producer.redis, producer.keys)
    async with running(app):
        async with AsyncSession(database) as session, session.begin():
            written = await send(session, CreateUser(username="ada"), outbox=Outbox(queue=app.queue.name))
        await publishings(3)
        async with database.connect() as connection:
            rows = (await connection.execute(select(OUTBOX.c.published_at))).scalars().all()
        assert (rows, await endings()) == ([None], [])

        await halt.resume(producer.redis, producer.keys)
        assert (await written.receipt(producer).result(20)).username == "ada"


async def test_a_burst_of_a_draining_queue_ends_and_leaves_the_outbox(
    app: App, producer: Producer, database: AsyncEngine, drain: Drain, endings: Rows
) -> None:
    await producer.send(CreateUser(username="bob"))
    await halt.drain(producer.redis, producer.keys)
    async with AsyncSession(database) as session, session.begin():
        await send(session, CreateUser(username="ada"), outbox=Outbox(queue=app.queue.name))
    await drain(app)
    assert len(await endings()) == 1


async def test_a_burst_of_a_paused_queue_ends_and_leaves_what_is_there(
    app: App, producer: Producer, drain: Drain, endings: Rows
) -> None:
    await producer.send(CreateUser(username="bob"))
    await halt.pause(producer.redis, producer.keys)
    await drain(app)
    assert await endings() == []
    await halt.resume(producer.redis, producer.keys)
    await drain(app)
    assert len(await endings()) == 1


@pytest.mark.usefixtures("carrier")
async def test_draining_ends_a_pause_and_resuming_ends_both_since_when_they_were(producer: Producer) -> None:
    redis, keys = producer.redis, producer.keys
    assert not (await halt.halted(redis, keys)).is_any
    await halt.pause(redis, keys)
    first = (await halt.halted(redis, keys)).paused_at
    await halt.pause(redis, keys)
    paused = await halt.halted(redis, keys)
    assert (paused.paused_at, paused.draining_at) == (first, None)
    assert "workers claim nothing" in paused.sentence

    await halt.drain(redis, keys)
    draining = await halt.halted(redis, keys)
    assert draining.paused_at is None
    assert "producers are refused" in draining.sentence
    await halt.resume(redis, keys)
    assert (await halt.halted(redis, keys)).told() == {"paused_at": None, "draining_at": None}
