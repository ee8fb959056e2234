"""A command written in a transaction goes to the queue with its COMMIT; what Redis loses is made good."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandDead, CommandRejected, PayloadTooLarge, Producer, QueueSettings
from producers.commands import CreateUser, GetUser
from producers.outbox import Outbox, send, send_many
from tests.guarantees.conftest import Drain, MakeApp, Rows, Running, on_engine
from tests.guarantees.journal import JOURNAL, Write
from tests.guarantees.test_in_order import Books, Unsteady, books, handlers, no_trace, parked
from tests.waiting import until
from worker.app import App
from worker.outbox import Outbox as Table
from worker.relay import Relay
from worker.replay import replay
from worker.tables import worker_tables
from worker.types import utcnow

__all__ = ["books"]

pytestmark = pytest.mark.databases("postgresql", "mariadb", "sqlite")
OUTBOX = worker_tables(None).outbox

Left = Callable[[], Awaitable[int]]


@pytest.fixture
def handler() -> Unsteady:
    return Unsteady()


@pytest.fixture
def journal_app(make_app: MakeApp, handler: Unsteady, books: Books) -> App:  # noqa: ARG001
    return make_app(handlers(handler), max_attempts=1)


@pytest.fixture
def outbox(queue: QueueSettings) -> Outbox:
    return Outbox(queue=queue.name)


@pytest.fixture
def left(database: AsyncEngine) -> Left:
    """Counts the rows of the outbox."""

    async def left() -> int:
        async with database.connect() as connection:
            return len((await connection.execute(select(OUTBOX.c.id))).all())

    return left


async def is_empty(left: Left) -> bool:
    return await left() == 0


async def lose_redis(producer: Producer) -> None:
    """Delete all of this queue that Redis has: it is shared with other tests."""
    name = producer.settings.name
    found = [key async for key in producer.redis.scan_iter(f"*{name}*", count=1000)]
    await producer.redis.delete(name, *found)


class OfARow:
    """The sender's own effect, in the sender's own transaction."""

    def __init__(self, database: AsyncEngine, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    async def __call__(self, number: int, *, fails: bool) -> None:
        async with AsyncSession(self._database) as session, session.begin():
            await session.execute(insert(JOURNAL).values(book="own", line=number))
            await self._outbox.send(session, Write(book="a", line=number))
            if fails:
                raise LookupError


async def test_both_are_there_or_neither(
    journal_app: App, database: AsyncEngine, outbox: Outbox, running: Running, books: Books, left: Left
) -> None:
    write = OfARow(database, outbox)
    async with running(journal_app):
        for number in range(10):
            if number % 2:
                with pytest.raises(LookupError):
                    await write(number, fails=True)
            else:
                await write(number, fails=False)
        await until(lambda: is_empty(left))
    assert await books() == {"own": [0, 2, 4, 6, 8], "a": [0, 2, 4, 6, 8]}


async def test_it_costs_one_insert(database: AsyncEngine, outbox: Outbox) -> None:
    said: list[str] = []
    event.listen(database.sync_engine, "before_cursor_execute", lambda *about: said.append(about[2]))
    async with AsyncSession(database) as session, session.begin():
        await outbox.send(session, Write(book="a", line=1))
    assert [statement.partition(" (")[0] for statement in said if "outbox" in statement] == [
        "INSERT INTO outbox"
    ]
    assert not [word for word in ("UPDATE", "SELECT") if any(word in statement for statement in said)]


async def test_what_waited_for_a_worker_is_drained_and_its_results_are_told(
    app: App, database: AsyncEngine, outbox: Outbox, producer: Producer, drain: Drain, left: Left
) -> None:
    users = [CreateUser(username=f"u{number}") for number in range(3)]
    async with AsyncSession(database) as session, session.begin():
        written = await outbox.send_many(session, users, command_ids=["a", "b", "c"])
    await drain(app)
    for number, one in enumerate(written):
        user = await one.receipt(producer).result(5)
        assert user.username == f"u{number}"
    assert await left() == 3  # the next look would delete them
    relay = Relay(app, producer.redis)
    await relay.turn()
    assert await left() == 0


async def test_a_handler_causes_the_next_command(
    make_app: MakeApp, outbox: Outbox, producer: Producer, running: Running, books: Books, left: Left
) -> None:
    async def write(session: AsyncSession, command: Write) -> None:
        await session.execute(insert(JOURNAL).values(book=command.book, line=command.line))
        if command.line < 5:
            await outbox.send(session, Write(book=command.book, line=command.line + 1))
        if command.line == 3 and not failed:
            failed.append(1)
            raise RuntimeError("the first time")

    failed: list[int] = []
    async with running(make_app({Write: write})):
        await producer.send(Write(book="a", line=1))
        await until(lambda: _has(books, "a", 5))
        await until(lambda: is_empty(left))
    assert await books() == {"a": [1, 2, 3, 4, 5]}


async def _has(books: Books, book: str, count: int) -> bool:
    return len((await books()).get(book, [])) >= count


async def test_times_count_from_the_insert(
    journal_app: App,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    running: Running,
    books: Books,
) -> None:
    async with AsyncSession(database) as session, session.begin():
        late = await outbox.send(session, Write(book="a", line=1), deadline=0.1)
        delayed = await outbox.send(session, Write(book="a", line=2), delay=timedelta(seconds=1))
        await outbox.send(session, Write(book="a", line=3), ordering_key="k")
    await until(lambda: _has_waited(database))
    async with running(journal_app):
        await until(lambda: _has(books, "a", 2))
    assert await books() == {"a": [3, 2]}
    with pytest.raises(CommandRejected, match="deadline"):
        await late.receipt(producer).result(5)
    await delayed.receipt(producer).result(5)


async def _has_waited(database: AsyncEngine) -> bool:
    async with database.connect() as connection:
        now, first = (await connection.execute(select(utcnow(), func.min(OUTBOX.c.written_at)))).one()
    return bool((now - first).total_seconds() > 0.2)


async def test_a_redis_that_has_lost_everything_is_given_it_again_in_order(
    journal_app: App,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    running: Running,
    books: Books,
    left: Left,
) -> None:
    async with AsyncSession(database) as session, session.begin():
        for line in range(40):
            await outbox.send(session, Write(book="ab"[line % 2], line=line))
    relay = Relay(journal_app, producer.redis)
    await relay.turn()
    async with running(journal_app):
        await until(lambda: _has(books, "a", 3))
        await lose_redis(producer)
        async with AsyncSession(database) as session, session.begin():
            for line in range(40, 60):
                await outbox.send(session, Write(book="ab"[line % 2], line=line))
        await until(lambda: is_empty(left))
    assert await books() == {"a": [*range(0, 60, 2)], "b": [*range(1, 60, 2)]}
    assert await no_trace(producer)


async def test_the_dead_hold_their_lanes_after_a_loss(
    journal_app: App,
    handler: Unsteady,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    running: Running,
    books: Books,
    left: Left,
) -> None:
    handler.deadly = {1}
    async with AsyncSession(database) as session, session.begin():
        dead = await outbox.send(session, Write(book="a", line=1))
        for line in (2, 3):
            await outbox.send(session, Write(book="a", line=line))
    async with running(journal_app):
        with pytest.raises(CommandDead):
            await dead.receipt(producer).result(10)
        await until(lambda: parked(producer))
        await lose_redis(producer)
        assert not await parked(producer)
        async with AsyncSession(database) as session, session.begin():
            await outbox.send(session, Write(book="b", line=7))
        await until(lambda: _has(books, "b", 1))
        assert await parked(producer)
        assert await books() == {"b": [7]}
        handler.deadly.clear()
        await replay(journal_app, producer.redis, dead.command_id)
        await until(lambda: is_empty(left))
    assert await books() == {"a": [1, 2, 3], "b": [7]}
    assert await no_trace(producer)


async def test_a_row_of_which_redis_knows_nothing_is_published_again(
    journal_app: App,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.relay._OLD", 0.0)
    monkeypatch.setattr("worker.relay._LOOKED_EVERY", 0.0)
    async with AsyncSession(database) as session, session.begin():
        await outbox.send(session, Write(book="a", line=1))
    relay = Relay(journal_app, producer.redis)
    await relay.publish()
    epoch = await producer.redis.get(producer.keys.epoch)
    await lose_redis(producer)
    await producer.redis.set(producer.keys.epoch, epoch)
    await relay.turn()  # it finds out
    await relay.turn()
    await drain(journal_app)
    assert await books() == {"a": [1]}


async def test_a_relay_that_is_killed_before_it_notes_what_it_has_published_does_no_harm(
    journal_app: App,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AsyncSession(database) as session, session.begin():
        await outbox.send_many(session, [Write(book="a", line=line) for line in range(300)])

    async def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Relay, "_note", killed)
        with pytest.raises(KeyboardInterrupt):
            await Relay(journal_app, producer.redis).publish()
    for _ in range(2):
        await Relay(journal_app, producer.redis).publish()
    await drain(journal_app)
    assert await books() == {"a": [*range(300)]}


async def test_one_process_publishes_until_it_ends(app: App, producer: Producer) -> None:
    relays = [Relay(app, producer.redis) for _ in range(3)]
    assert [await relay._is_leader() for relay in relays] == [True, False, False]
    await relays[0].stop()
    for relay in relays[1:]:
        relay._asked_at = 0.0
    assert [await relay._is_leader() for relay in relays[1:]] == [True, False]


async def test_an_id_that_was_used_for_another_command_ends_as_rejected(
    journal_app: App, database: AsyncEngine, outbox: Outbox, producer: Producer, drain: Drain, letters: Rows
) -> None:
    await producer.send(Write(book="a", line=1), command_id="one")
    async with AsyncSession(database) as session, session.begin():
        await outbox.send(session, Write(book="a", line=2), command_id="one")
        await outbox.send(session, Write(book="a", line=1), command_id="one")  # that is the same
    await drain(journal_app)
    [letter] = await letters()
    assert (letter.code, letter.state) == ("conflict", "rejected")


async def test_a_full_queue_takes_what_is_accepted_already(
    make_app: MakeApp, database: AsyncEngine, outbox: Outbox, producer: Producer
) -> None:
    app = make_app()
    app.queue = app.queue.model_copy(update={"max": 1})
    async with AsyncSession(database) as session, session.begin():
        await outbox.send_many(session, [CreateUser(username=f"u{number}") for number in range(2)])
    await Relay(app, producer.redis).publish()
    assert await producer.redis.zcard(producer.settings.name) == 2


async def test_a_row_that_cannot_be_read_is_left_and_holds_up_nobody(
    journal_app: App, database: AsyncEngine, outbox: Outbox, producer: Producer, drain: Drain, books: Books
) -> None:
    row = {"command_id": uuid4(), "queue": producer.settings.name}
    async with AsyncSession(database) as session, session.begin():
        for sending in ("not JSON", "[1]", '[null, 1, 2, 3, 4, 5, "of newer code"]'):
            await session.execute(insert(OUTBOX).values(**row, sending=sending))
        await outbox.send(session, Write(book="a", line=1))
    relay = Relay(journal_app, producer.redis)
    for _ in range(2):
        await relay.publish()
    await drain(journal_app)
    assert await books() == {"a": [1]}


@on_engine
async def test_a_redis_that_is_lost_again_while_it_is_restored_is_restored_once_more(
    journal_app: App,
    handler: Unsteady,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler.deadly = {1}
    async with AsyncSession(database) as session, session.begin():
        await outbox.send(session, Write(book="a", line=1))
    await drain(journal_app)
    assert await parked(producer)
    await lose_redis(producer)
    marking = Table.mark_unpublished
    lost: list[int] = []

    async def lose(self: Table, *about: Any) -> int | None:
        if not lost:
            lost.append(1)
            await lose_redis(producer)
        return await marking(self, *about)

    monkeypatch.setattr(Table, "mark_unpublished", lose)
    async with AsyncSession(database) as session, session.begin():
        await outbox.send(session, Write(book="a", line=2))
    relay = Relay(journal_app, producer.redis)
    for _ in range(2):
        await relay.publish()
    assert await parked(producer)
    await drain(journal_app)
    assert await books() == {}


async def test_a_replay_that_redis_has_lost_is_replayed_again(
    journal_app: App,
    handler: Unsteady,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    drain: Drain,
    books: Books,
) -> None:
    handler.deadly = {1}
    async with AsyncSession(database) as session, session.begin():
        dead = await outbox.send(session, Write(book="a", line=1))
    await drain(journal_app)
    handler.deadly.clear()
    await replay(journal_app, producer.redis, dead.command_id)
    await lose_redis(producer)
    await Relay(journal_app, producer.redis).publish()
    assert await parked(producer)
    await replay(journal_app, producer.redis, dead.command_id)
    await drain(journal_app)
    assert await books() == {"a": [1]}
    assert await no_trace(producer)


async def test_what_a_lost_redis_said_is_not_noted(
    journal_app: App,
    database: AsyncEngine,
    outbox: Outbox,
    producer: Producer,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AsyncSession(database) as session, session.begin():
        await outbox.send(session, Write(book="a", line=1))
    noting = Relay._note

    async def late(self: Relay, *about: Any) -> None:
        await lose_redis(producer)
        monkeypatch.setattr(Relay, "_note", noting)
        await Relay(journal_app, producer.redis).publish()  # it restores, and publishes
        await lose_redis(producer)
        await noting(self, *about)

    monkeypatch.setattr(Relay, "_note", late)
    relay = Relay(journal_app, producer.redis)
    await relay.publish()
    await relay.publish()
    await drain(journal_app)
    assert await books() == {"a": [1]}


async def test_what_cannot_be_sent_is_refused_at_once(
    database: AsyncEngine, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_PAYLOAD_LIMIT", "1024")
    async with AsyncSession(database) as session, session.begin():
        with pytest.raises(ValueError, match=r"user\.get only reads"):
            await send(session, GetUser(username="ada"))
        with pytest.raises(PayloadTooLarge):
            await send(session, Write(book="a" * 2000, line=1))
        with pytest.raises(ValueError, match="not both"):
            await send(session, Write(book="a", line=1), delay=1, at=timedelta(1))  # type: ignore[arg-type]
        assert await send_many(session, []) == []
    assert await left() == 0
