"""Lanes where something went wrong on the way: what is replayed, dropped, lost or aborted blocks nobody."""

from typing import Any

import pytest

from producers import (
    Atomic,
    CommandDead,
    CommandParked,
    CommandRejected,
    Producer,
    QueueFull,
    QueueSettings,
    QueueUnavailable,
)
from tests.guarantees.books import Books, Unsteady, books, handlers, journal_app, no_trace, parked
from tests.guarantees.conftest import MakeApp, Rows, Running
from tests.guarantees.journal import Cite, Write
from tests.waiting import until
from worker.app import App
from worker.deposits import Deposits
from worker.replay import CannotReplay, NotSent, drop, replay
from worker.sweep import Sweeper
from worker.transport import Transport

__all__ = ["books", "journal_app"]


async def die(app: App, producer: Producer, running: Running, command: Any) -> Any:
    """Send a command that dies, and wait until it holds its lanes."""
    receipt = await producer.send(command)
    async with running(app):
        with pytest.raises(CommandDead):
            await receipt.result(10)
        await until(lambda: parked(producer))
    return receipt


@pytest.fixture
def handler() -> Unsteady:
    return Unsteady(deadly={1})


async def test_a_replay_waits_for_no_row_that_came_after_it(
    journal_app: App, handler: Unsteady, producer: Producer, running: Running, books: Books
) -> None:
    dead = await die(journal_app, producer, running, Cite(book="c", of="b", line=1))
    both = await producer.send(Atomic([Cite(book="c", of="x", line=2), Write(book="b", line=2)]))
    handler.deadly.clear()
    await replay(journal_app, producer.redis, dead.command_id)
    async with running(journal_app):
        await both.result(10)
    assert await books() == {"c": [1, 2], "b": [2]}
    assert await no_trace(producer)


async def test_a_dead_command_that_is_sent_again_is_a_duplicate_however_late(
    journal_app: App, producer: Producer, running: Running
) -> None:
    dead = await die(journal_app, producer, running, Write(book="a", line=1))
    assert await producer.redis.ttl(producer.keys.mark(dead.command_id)) == -1
    await producer.redis.delete(producer.keys.result(dead.command_id))
    again = await producer.send(dead.command, command_id=dead.command_id)
    assert again.status == "duplicate"
    with pytest.raises(CommandDead):
        await again.result(0.2)
    await drop(journal_app, producer.redis, dead.command_id)
    assert await producer.redis.ttl(producer.keys.mark(dead.command_id)) > 0


async def test_a_drop_of_which_redis_was_not_told_is_found_by_the_sweep_or_said_again(
    journal_app: App, producer: Producer, running: Running, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> None:
        raise ConnectionError

    transport = Transport(journal_app, producer.redis)
    for line, mend in enumerate(("sweep", "drop"), 2):
        dead = await die(journal_app, producer, running, Write(book="a", line=1))
        behind = await producer.send(Write(book="a", line=line))
        with monkeypatch.context() as patched:
            patched.setattr(Deposits, "tell", lost)
            with pytest.raises(QueueUnavailable):
                await drop(journal_app, producer.redis, dead.command_id)
        assert await parked(producer)
        if mend == "sweep":
            await Sweeper(journal_app, transport).turn()
        else:
            await drop(journal_app, producer.redis, dead.command_id)
        async with running(journal_app):
            await behind.result(10)
    assert await books() == {"a": [2, 3]}
    assert await no_trace(producer)


async def test_a_replay_is_let_in_however_full_it_is(
    journal_app: App,
    handler: Unsteady,
    producer: Producer,
    queue: QueueSettings,
    running: Running,
) -> None:
    dead = await die(journal_app, producer, running, Write(book="a", line=1))
    behind = await producer.send_many([Write(book="a", line=n) for n in (2, 3)])
    handler.deadly.clear()
    full = queue.model_copy(update={"lane_max": 2, "max": 2, "headroom": 0.99})
    async with Producer(settings=full) as limited:
        with pytest.raises(QueueFull):
            await limited.send(Write(book="b", line=1))
    journal_app.__dict__["queue"] = full
    await replay(journal_app, producer.redis, dead.command_id)
    async with running(journal_app):
        await behind[-1].result(10)
    assert await no_trace(producer)


async def test_a_replay_that_was_not_sent_can_be_dropped(
    journal_app: App, producer: Producer, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise QueueFull("no")

    dead = await die(journal_app, producer, running, Write(book="a", line=1))
    with monkeypatch.context() as patched:
        patched.setattr(Producer, "_submit", refused)
        with pytest.raises(NotSent):
            await replay(journal_app, producer.redis, dead.command_id)
    await drop(journal_app, producer.redis, dead.command_id)
    assert await no_trace(producer)


async def test_a_replay_that_was_sent_cannot_be_dropped(
    journal_app: App, producer: Producer, running: Running
) -> None:
    dead = await die(journal_app, producer, running, Write(book="a", line=1))
    await replay(journal_app, producer.redis, dead.command_id)
    with pytest.raises(CannotReplay, match="is retrying"):
        await drop(journal_app, producer.redis, dead.command_id)


async def test_children_of_a_parent_whose_job_is_gone_are_set_free(
    journal_app: App, producer: Producer, running: Running
) -> None:
    parent = await producer.send(Write(book="b", line=2))
    child = await producer.send(Cite(book="c", of="b", line=2))
    await producer.redis.zrem(producer.keys.queue, producer.keys.job_id(parent.command_id))
    await producer.redis.zadd(producer.keys.waiting, {str(child.command_id): 0})
    await Sweeper(journal_app, Transport(journal_app, producer.redis)).turn()
    async with running(journal_app):
        await child.result(10)
    assert await no_trace(producer)


async def test_a_dead_command_whose_bytes_nobody_can_read_lets_go_when_it_is_dropped(
    make_app: MakeApp, producer: Producer, running: Running, books: Books
) -> None:
    app = make_app(handlers(Unsteady()), unreadable_timeout=0.1)
    broken = await producer.send(Write(book="a", line=1))
    behind = await producer.send(Write(book="a", line=2))
    await producer.redis.set(producer.keys.job(broken.command_id), b"not json")
    async with running(app):
        with pytest.raises(CommandDead):
            await broken.result(10)
        await producer.redis.zadd(producer.keys.waiting, {str(behind.command_id): 0})
        await Sweeper(app, Transport(app, producer.redis)).turn()
        await until(lambda: parked(producer))
        with pytest.raises(CommandParked):
            await behind.result(0.1)
        await drop(app, producer.redis, broken.command_id)
        await behind.result(10)
    assert await books() == {"a": [2]}
    assert await no_trace(producer)


@pytest.mark.parametrize("delay", [None, 3600], ids=["behind another", "not due"])
async def test_one_that_is_aborted_before_its_time_or_its_turn_is_cancelled(
    delay: int | None,
    make_app: MakeApp,
    producer: Producer,
    running: Running,
    books: Books,
    endings: Rows,
) -> None:
    first = await producer.send(Write(book="a", line=1), delay=3600)
    blocker = await producer.send(Write(book="b", line=1), delay=None)
    aborted = await producer.send(Write(book="b", line=2), delay=delay)
    job_id = producer.keys.job_id(aborted.command_id)
    await producer.redis.zadd(producer.keys.queue, {job_id: 1})
    app = make_app(handlers(Unsteady()))
    async with running(app):
        with pytest.raises(CommandRejected, match="aborted"):
            await aborted.result(10)
        await blocker.result(10)
    assert await books() == {"b": [1]}
    assert {row.ending for row in await endings()} == {"applied", "cancelled"}
    assert first.status == "accepted"
