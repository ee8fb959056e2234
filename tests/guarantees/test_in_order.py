"""Commands of one row are carried out in the order of their acceptance, through retries and deaths."""

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Atomic, CommandDead, CommandParked, CommandRejected, Producer, QueueFull, QueueSettings
from producers.commands import CreatePost, CreateUser, GetUser, UpdateUser
from producers.connection import connect
from tests.guarantees import journal
from tests.guarantees.books import Books, Unsteady, books, handlers, no_trace, parked
from tests.guarantees.conftest import Drain, MakeApp, Rows, Running, on_engine
from tests.guarantees.journal import Cite, Read, Scribble, Write
from tests.waiting import until
from worker.deposits import Deposits
from worker.replay import drop, replay
from worker.sweep import Sweeper
from worker.transport import Transport

__all__ = ["books"]

STUBBORN: dict[str, Any] = {"max_attempts": 100, "backoff": 0.01, "backoff_cap": 0.02}
"""Settings of a worker that tries again and again, soon."""


async def test_lines_of_each_book_are_in_order_however_often_they_fail(
    make_app: MakeApp, producer: Producer, books: Books, drain: Drain
) -> None:
    lines = [Write(book=f"b{n % 7}", line=n // 7) for n in range(210)]
    await producer.send_many(lines)

    app = make_app(handlers(Unsteady(rate=0.2)), **STUBBORN)
    await drain(app)

    assert await books() == {f"b{n}": list(range(30)) for n in range(7)}
    assert await no_trace(producer)


async def test_a_command_about_several_rows_stands_in_all_their_lanes(
    make_app: MakeApp, producer: Producer, books: Books, drain: Drain
) -> None:
    names = ["a", "b", "c", "d"]
    sent: dict[str, list[int]] = {name: [] for name in names}
    commands = []
    for line in range(60):
        chosen = random.sample(names, random.choice([1, 2, 4]))  # noqa: S311
        commands.append(Atomic([Write(book=book, line=line) for book in chosen]))
        for book in chosen:
            sent[book].append(line)
    await producer.send_many(commands)

    await drain(make_app(handlers(Unsteady(rate=0.1)), **STUBBORN))

    assert await books() == sent
    assert await no_trace(producer)


async def test_a_dead_command_holds_what_stands_behind_it_until_it_is_replayed(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    handler = Unsteady(deadly={2})
    app = make_app(handlers(handler))
    receipts = await producer.send_many([Write(book="a", line=n) for n in range(1, 5)])
    other = await producer.send(Write(book="b", line=1))
    async with running(app):
        with pytest.raises(CommandDead):
            await receipts[1].result(10)
        await other.result(10)
        await until(lambda: parked(producer))
        await asyncio.sleep(0.2)
        assert await books() == {"a": [1], "b": [1]}

        handler.deadly.clear()
        await replay(app, producer.redis, receipts[1].command_id)
        await receipts[3].result(10)
    assert await books() == {"a": [1, 2, 3, 4], "b": [1]}
    assert await no_trace(producer)


async def test_a_dead_command_that_is_edited_keeps_its_place_and_takes_no_other(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    handler = Unsteady(deadly={2})
    app = make_app(handlers(handler))
    receipts = await producer.send_many([Write(book="a", line=2), Write(book="a", line=3)])
    async with running(app):
        with pytest.raises(CommandDead):
            await receipts[0].result(10)
        await replay(app, producer.redis, receipts[0].command_id, changes={"line": 7, "book": "c"})
        await receipts[1].result(10)
    assert await books() == {"c": [7], "a": [3]}
    assert await no_trace(producer)


async def test_a_dead_command_that_is_dropped_lets_go(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    app = make_app(handlers(Unsteady(deadly={1})))
    receipts = await producer.send_many([Write(book="a", line=1), Write(book="a", line=2)])
    async with running(app):
        with pytest.raises(CommandDead):
            await receipts[0].result(10)
        await until(lambda: parked(producer))
        await drop(app, producer.redis, receipts[0].command_id)
        await receipts[1].result(10)
    assert await books() == {"a": [2]}
    assert await no_trace(producer)


async def test_a_dead_command_of_no_account_holds_up_nobody(
    make_app: MakeApp, producer: Producer, books: Books, drain: Drain
) -> None:
    await producer.send_many([Scribble(book="a", line=1), Write(book="a", line=2)])
    await drain(make_app(handlers(Unsteady(deadly={1}))))
    assert await books() == {"a": [2]}
    assert await no_trace(producer)


async def test_a_rejected_an_expired_and_an_unreadable_read_let_go(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    async def refuse(session: AsyncSession, command: Write) -> None:
        if command.line == 1:
            raise CommandRejected("no")
        await journal.write(session, command)

    rejected = await producer.send(Write(book="a", line=1))
    expired = await producer.send(Write(book="a", line=2), deadline=0)
    reading = await producer.send(Read(book="a"))
    last = await producer.send(Write(book="a", line=3))

    async def fail(_session: AsyncSession, _command: Read) -> int:
        raise ValueError

    async with running(make_app({Write: refuse, Read: fail}, max_attempts=1)):
        for receipt in (rejected, expired):
            with pytest.raises(CommandRejected):
                await receipt.result(10)
        with pytest.raises(CommandDead):
            await reading.result(10)
        await last.result(10)
    assert await books() == {"a": [3]}
    assert await no_trace(producer)


async def test_a_command_that_nobody_can_read_holds_its_lanes(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    unknown = await producer.send(Write(book="a", line=1))
    behind = await producer.send(Scribble(book="a", line=2))
    app = make_app({Scribble: journal.write}, unreadable_timeout=0.2)
    async with running(app):
        with pytest.raises(CommandDead):
            await unknown.result(10)
        await until(lambda: parked(producer))
        assert await books() == {}
        await drop(app, producer.redis, unknown.command_id)
        await behind.result(10)
    assert await books() == {"a": [2]}


@pytest.mark.usefixtures("books")
async def test_a_read_sees_what_was_sent_before_it(
    make_app: MakeApp, producer: Producer, drain: Drain
) -> None:
    commands: list[Any] = []
    for line in range(10):
        commands += [Write(book="a", line=line), Read(book="a")]
    receipts = await producer.send_many(commands)
    await drain(make_app(handlers(Unsteady(rate=0.1)), **STUBBORN))
    assert [await receipt.result(1) for receipt in receipts[1::2]] == list(range(1, 11))


async def test_an_ordering_key_is_a_lane_more(make_app: MakeApp, producer: Producer, drain: Drain) -> None:
    order: list[str] = []

    async def note(_session: AsyncSession, command: Write) -> None:
        await asyncio.sleep(random.uniform(0, 0.01))  # noqa: S311
        order.append(command.book)

    names = [f"b{n}" for n in range(30)]
    for name in names:
        await producer.send(Write(book=name, line=1), ordering_key="all")
    await drain(make_app({Write: note}))
    assert order == names
    assert await no_trace(producer)


async def test_a_delayed_command_joins_its_lane_when_it_is_due(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    handler = Unsteady(deadly={1})
    app = make_app(handlers(handler))
    delayed = await producer.send(Write(book="a", line=3), delay=timedelta(seconds=0.3))
    first = await producer.send(Write(book="a", line=1))
    second = await producer.send(Write(book="a", line=2))
    async with running(app):
        with pytest.raises(CommandDead):
            await first.result(10)
        waiting = producer.keys.waiting
        await until(lambda: _is(producer.redis.zcard(waiting), 2))
        assert await books() == {}
        handler.deadly.clear()
        await replay(app, producer.redis, first.command_id)
        await delayed.result(10)
        await second.result(1)
    assert await books() == {"a": [1, 2, 3]}
    assert await no_trace(producer)


async def test_a_delayed_command_that_is_set_free_as_it_goes_to_wait_is_found_by_the_sweep(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    app = make_app(handlers(Unsteady()))
    transport = Transport(app, producer.redis)
    first = await producer.send(Write(book="a", line=1))
    late = await producer.send(Write(book="a", line=2), delay=0.01)
    await asyncio.sleep(0.05)
    job_id = producer.keys.job_id(late.command_id)
    stamp = {"accepted": 0, "due": 1000, "lanes": ["book:a"]}
    assert not await transport.lanes.may_run(late.command_id, job_id, stamp)
    await producer.redis.zadd(producer.keys.queue, {job_id: 250_000_000_000_000})
    async with running(app):
        await first.result(10)
        # What its worker says last comes after it was set free.
        await producer.redis.zadd(producer.keys.queue, {job_id: 250_000_000_000_000})
        await producer.redis.zadd(producer.keys.waiting, {str(late.command_id): 0})
        await Sweeper(app, transport).turn()
        await late.result(10)
    assert await books() == {"a": [1, 2]}
    assert await no_trace(producer)


async def test_a_row_waits_for_the_one_that_it_refers_to(
    make_app: MakeApp, producer: Producer, endings: Rows, drain: Drain
) -> None:
    users = [CreateUser(username=f"u{n}") for n in range(20)]
    await producer.send_many([command for user in users for command in (user, _post_of(user))])
    await producer.send_many([_post_of(user) for user in users])
    await drain(make_app(max_attempts=1))
    assert {row.ending for row in await endings()} == {"applied"}
    assert len(await endings()) == 60


def _post_of(user: CreateUser) -> CreatePost:
    return CreatePost(title="t", user_id=user.id)


async def test_children_of_a_dead_parent_wait_for_it_side_by_side(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    handler = Unsteady(deadly={1})
    app = make_app(handlers(handler))
    parent = await producer.send(Write(book="a", line=1))
    children = await producer.send_many([Cite(book=f"c{n}", of="a", line=2) for n in range(5)])
    async with running(app):
        with pytest.raises(CommandDead):
            await parent.result(10)
        await until(lambda: parked(producer))
        assert await books() == {}
        handler.deadly.clear()
        await replay(app, producer.redis, parent.command_id)
        for child in children:
            await child.result(10)
    assert await no_trace(producer)


async def test_one_that_is_aborted_while_it_waits_ends_as_cancelled_and_is_out_of_the_way(
    make_app: MakeApp, producer: Producer, books: Books, running: Running, endings: Rows
) -> None:
    first, second, third = await producer.send_many([Write(book="a", line=n) for n in (1, 2, 3)])
    job_id = producer.keys.job_id(second.command_id)
    async with connect(producer.settings, ArqRedis) as pool:
        job = Job(job_id, pool, producer.keys.queue, _deserializer=json.loads)
        aborting = asyncio.create_task(job.abort(poll_delay=0.02))
        await until(lambda: _is(producer.redis.zscore(producer.keys.queue, job_id), 1))
        async with running(make_app(handlers(Unsteady()))):
            with pytest.raises(CommandRejected) as caught:
                await second.result(10)
            await third.result(10)
            await first.result(1)
        await aborting
    assert caught.value.code == "cancelled"
    assert await books() == {"a": [1, 3]}
    assert sorted(row.ending for row in await endings()) == ["applied", "applied", "cancelled"]
    assert await no_trace(producer)


async def test_who_waits_for_a_command_behind_a_dead_one_is_told(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    app = make_app(handlers(Unsteady(deadly={1})))
    dead = await producer.send(Write(book="a", line=1))
    between = await producer.send(Atomic([Write(book="a", line=2), Write(book="b", line=2)]))
    child = await producer.send(Cite(book="c", of="b", line=3))
    async with running(app):
        with pytest.raises(CommandDead):
            await dead.result(10)
        await until(lambda: parked(producer))
        for receipt in (between, child):
            with pytest.raises(CommandParked, match=str(dead.command_id)) as caught:
                await receipt.result(0.2)
            assert caught.value.command_id == receipt.command_id
        with pytest.raises(CommandParked):
            await between.result()  # for ever, but a person has to do something
    assert await books() == {}


async def test_a_lane_has_a_limit(queue: QueueSettings, producer: Producer) -> None:
    async with Producer(settings=queue.model_copy(update={"lane_max": 3})) as limited:
        await limited.send_many([Write(book="a", line=n) for n in range(3)])
        with pytest.raises(QueueFull, match="QUEUE_LANE_MAX") as raised:
            await limited.send(Write(book="a", line=4))
        assert raised.value.code == "lane_full"
        await limited.send(Write(book="b", line=1))
        with pytest.raises(QueueFull):
            await limited.send_many([Write(book="b", line=n) for n in range(3)])
    lane: Any = producer.redis.llen(producer.keys.lane("book:b"))
    assert await lane == 1


async def test_a_head_whose_job_was_deleted_is_found_by_the_sweep(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    app = make_app(handlers(Unsteady()))
    first, second = await producer.send_many([Write(book="a", line=1), Write(book="a", line=2)])
    await producer.redis.zrem(producer.keys.queue, producer.keys.job_id(first.command_id))
    await producer.redis.zadd(producer.keys.waiting, {str(second.command_id): 0})
    async with running(app):
        await Sweeper(app, Transport(app, producer.redis)).turn()
        await second.result(10)
    assert await books() == {"a": [2]}
    assert await no_trace(producer)


async def test_a_worker_that_knows_of_no_lanes_is_repaired_by_what_the_database_says(
    make_app: MakeApp, producer: Producer, books: Books, running: Running
) -> None:
    class Forgetful(Deposits):
        """As of a worker before there were lanes: it leaves the answer, and nothing else."""

        def words(self, ended: Any, *, ring: bool) -> Any:
            return super().words([told._replace(lanes=(), then="") for told in ended], ring=ring)

    handler = Unsteady(deadly={5})
    app = make_app(handlers(handler), max_attempts=1)
    *_, five, six = await producer.send_many(
        [Write(book="a", line=n) for n in range(1, 4)] + [Write(book="b", line=n) for n in range(4, 7)]
    )
    async with running(app) as worker:
        worker.ctx["transport"].deposits = Forgetful(producer.redis, app.queue)
        sweeper = Sweeper(app, Transport(app, producer.redis))

        async def swept() -> bool:
            waiting = await producer.redis.zrange(producer.keys.waiting, 0, -1)
            for name in waiting:
                await producer.redis.zadd(producer.keys.waiting, {name: 0})
            await sweeper.turn()
            return await books() == {"a": [1, 2, 3], "b": [4]} and await parked(producer)

        await until(swept)
        with pytest.raises(CommandDead):
            await five.result(1)
        await drop(app, producer.redis, five.command_id)
        await six.result(10)
    assert (await books())["b"] == [4, 6]


async def _is(counting: Any, expected: int) -> bool:
    return bool(await counting == expected)


@on_engine
async def test_updates_of_one_user_by_many_workers_are_in_order(
    make_app: MakeApp, producer: Producer, drain: Drain, endings: Rows
) -> None:
    user = CreateUser(username="ada")
    updates = [UpdateUser(id=user.id, name=f"n{n}") for n in range(50)]
    *_, last = await producer.send_many([user, *updates, GetUser(id=user.id)])
    await asyncio.gather(*(drain(make_app()) for _ in range(3)))
    view: Any = await last.result(1)
    assert (view.name, view.version) == ("n49", 51)
    assert {row.ending for row in await endings()} == {"applied"}
