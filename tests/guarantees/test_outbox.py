"""A command written in a transaction goes to the queue with its COMMIT; what Redis loses is made good."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from structlog.testing import capture_logs

from producers import Command, CommandDead, CommandParked, CommandRejected, PayloadTooLarge, Producer
from producers.commands import CreateUser, GetUser
from producers.outbox import Outbox, Written, send, send_many
from producers.settings import QueueSettings
from tests.guarantees.books import (
    Books,
    Unsteady,
    books,
    handler,
    handlers,
    journal_app,
    no_trace,
    parked,
)
from tests.guarantees.conftest import Drain, MakeApp, Rows, Running, on_engine
from tests.guarantees.journal import JOURNAL, Write
from tests.guarantees.losses import bring_back, kept, lose_redis
from tests.guarantees.relays import Leading, relay_of
from tests.waiting import until
from worker.app import App
from worker.epochs import Epochs, only_there
from worker.leader import Leader
from worker.outbox import OutboxRows
from worker.process import Process
from worker.relay import Relay
from worker.replay import replay
from worker.tables import worker_tables
from worker.types import utcnow

__all__ = ["books", "handler", "journal_app"]

pytestmark = pytest.mark.databases("postgresql", "mariadb", "sqlite")
OUTBOX = worker_tables(None).outbox


class Desk:
    """A sender with a database of its own; it looks at what Redis and the outbox have of it."""

    def __init__(self, database: AsyncEngine, producer: Producer) -> None:
        self.database, self.producer = database, producer
        self.outbox = Outbox(queue=producer.settings.name)

    async def write(self, *commands: Command[Any], **options: Any) -> list[Written[Any]]:
        """Write commands in one transaction."""
        async with AsyncSession(self.database) as session, session.begin():
            return [await send(session, command, outbox=self.outbox, **options) for command in commands]

    async def left(self) -> int:
        """Count the rows of the outbox."""
        async with self.database.connect() as connection:
            return len((await connection.execute(select(OUTBOX.c.id))).all())

    async def is_empty(self) -> bool:
        return await self.left() == 0

    async def lose_redis(self) -> None:
        await lose_redis(self.producer)


@pytest.fixture
def desk(database: AsyncEngine, producer: Producer) -> Desk:
    return Desk(database, producer)


@pytest.fixture
def relay(journal_app: App, producer: Producer) -> Relay:
    return relay_of(journal_app, producer)


def lines(book: str, *numbers: int) -> list[Write]:
    return [Write(book=book, line=number) for number in numbers]


async def has(books: Books, book: str, count: int) -> bool:
    return len((await books()).get(book, [])) >= count


async def test_both_are_there_or_neither(
    journal_app: App, desk: Desk, running: Running, books: Books
) -> None:
    async def write(number: int, *, fails: bool) -> None:
        async with AsyncSession(desk.database) as session, session.begin():
            await session.execute(insert(JOURNAL).values(book="own", line=number))
            await send(session, Write(book="a", line=number), outbox=desk.outbox)
            if fails:
                raise LookupError

    async with running(journal_app):
        for number in range(10):
            if number % 2:
                with pytest.raises(LookupError):
                    await write(number, fails=True)
            else:
                await write(number, fails=False)
        await until(desk.is_empty)
    assert await books() == {"own": [0, 2, 4, 6, 8], "a": [0, 2, 4, 6, 8]}


async def test_it_costs_one_insert(desk: Desk) -> None:
    said: list[str] = []
    event.listen(desk.database.sync_engine, "before_cursor_execute", lambda *about: said.append(about[2]))
    await desk.write(Write(book="a", line=1))
    words = [statement.partition(" (")[0] for statement in said]
    assert [word for word in words if not word.startswith(("PRAGMA", "BEGIN", "SET", "SELECT"))] == [
        "INSERT INTO outbox"
    ]
    assert not [statement for statement in said if "SELECT" in statement and "outbox" in statement]


async def test_what_waited_for_a_worker_is_drained_and_its_results_are_told(
    app: App, desk: Desk, drain: Drain
) -> None:
    users = [CreateUser(username=f"u{number}") for number in range(3)]
    async with AsyncSession(desk.database) as session, session.begin():
        written = await send_many(session, users, command_ids=["a", "b", "c"], outbox=desk.outbox)
    await drain(app)
    told = [await one.receipt(desk.producer).result(5) for one in written]
    assert [user.username for user in told] == ["u0", "u1", "u2"]
    await relay_of(app, desk.producer).turn()
    assert await desk.left() == 0


@on_engine
async def test_a_handler_causes_the_next_command(
    make_app: MakeApp, desk: Desk, running: Running, books: Books
) -> None:
    async def write(session: AsyncSession, command: Write) -> None:
        await session.execute(insert(JOURNAL).values(book=command.book, line=command.line))
        if command.line < 5:
            await send(session, Write(book=command.book, line=command.line + 1), outbox=desk.outbox)
        if command.line == 3 and not failed:
            failed.append(1)
            raise RuntimeError("the first time")

    failed: list[int] = []
    async with running(make_app({Write: write})):
        await desk.producer.send(Write(book="a", line=1))
        await until(lambda: has(books, "a", 5))
        await until(desk.is_empty)
    assert await books() == {"a": [1, 2, 3, 4, 5]}


@on_engine
async def test_times_count_from_the_insert(
    journal_app: App, desk: Desk, running: Running, books: Books
) -> None:
    async def has_waited() -> bool:
        async with desk.database.connect() as connection:
            now, first = (await connection.execute(select(utcnow(), func.min(OUTBOX.c.written_at)))).one()
        return bool((now - first).total_seconds() > 0.2)

    [late] = await desk.write(*lines("a", 1), deadline=0.1)
    [delayed] = await desk.write(*lines("a", 2), delay=timedelta(seconds=1))
    await desk.write(*lines("a", 3), ordering_key="k")
    await until(has_waited)
    async with running(journal_app):
        await until(lambda: has(books, "a", 2))
        with pytest.raises(CommandRejected, match="deadline"):
            await late.receipt(desk.producer).result(5)
        await delayed.receipt(desk.producer).result(5)
    assert await books() == {"a": [3, 2]}


async def test_a_redis_that_has_lost_everything_is_given_it_again_in_order(
    journal_app: App, relay: Relay, desk: Desk, running: Running, books: Books
) -> None:
    await desk.write(*(Write(book="ab"[line % 2], line=line) for line in range(40)))
    await relay.turn()
    async with running(journal_app):
        await until(lambda: has(books, "a", 3))
        await desk.lose_redis()
        await desk.write(*(Write(book="ab"[line % 2], line=line) for line in range(40, 60)))
        await until(desk.is_empty)
    assert await books() == {"a": [*range(0, 60, 2)], "b": [*range(1, 60, 2)]}
    assert await no_trace(desk.producer)


@on_engine
async def test_the_dead_hold_their_lanes_after_a_loss(
    journal_app: App, handler: Unsteady, desk: Desk, running: Running, books: Books
) -> None:
    handler.deadly = {1}
    dead, *_ = await desk.write(*lines("a", 1, 2, 3))
    async with running(journal_app):
        with pytest.raises(CommandDead):
            await dead.receipt(desk.producer).result(10)
        await until(lambda: parked(desk.producer))
        await desk.lose_redis()
        assert not await parked(desk.producer)
        await desk.write(*lines("b", 7))
        await until(lambda: has(books, "b", 1))
        assert await parked(desk.producer)
        assert await books() == {"b": [7]}
        handler.deadly.clear()
        await replay(journal_app, desk.producer.redis, dead.command_id)
        await until(desk.is_empty)
    assert await books() == {"a": [1, 2, 3], "b": [7]}
    assert await no_trace(desk.producer)


@on_engine
async def test_nothing_is_claimed_from_a_redis_that_has_lost_what_is_parked(
    journal_app: App,
    handler: Unsteady,
    desk: Desk,
    running: Running,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(_: Relay) -> None:
        hung.append(1)

    async def has_hung() -> bool:
        return len(hung) > 3

    hung: list[int] = []
    handler.deadly = {1}
    async with running(journal_app):
        dead = await desk.producer.send(Write(book="a", line=1))
        with pytest.raises(CommandDead):
            await dead.result(10)
        await until(lambda: parked(desk.producer))
        with monkeypatch.context() as patched:
            patched.setattr(Relay, "turn", hangs)
            await desk.lose_redis()
            behind = await desk.producer.send(Write(book="a", line=2))
            beside = await desk.producer.send(Write(book="b", line=3))
            await until(has_hung)
            assert await books() == {}
        await beside.result(10)
        with pytest.raises(CommandParked):
            await behind.result(1)
        assert await books() == {"b": [3]}
        handler.deadly.clear()
        await replay(journal_app, desk.producer.redis, dead.command_id)
        await behind.result(10)
    assert await books() == {"a": [1, 2], "b": [3]}
    assert await no_trace(desk.producer)


@on_engine
async def test_a_dead_command_behind_what_came_back_is_parked_once_it_is_the_first(
    journal_app: App, relay: Relay, handler: Unsteady, desk: Desk, running: Running, drain: Drain
) -> None:
    handler.deadly = {2}
    [first] = await desk.write(*lines("a", 1))
    await relay.publish()
    known = await kept(desk.producer)
    _, third = await desk.write(*lines("a", 2, 3))
    await drain(journal_app)
    await bring_back(desk.producer, known)  # its end is lost, and so is all that came after it
    await desk.producer.redis.delete(desk.producer.keys.epoch)
    async with running(journal_app):
        await first.receipt(desk.producer).result(10)
        await until(lambda: parked(desk.producer))
        with pytest.raises(CommandParked):
            await third.receipt(desk.producer).result(1)


@on_engine
async def test_a_row_of_which_redis_knows_nothing_is_published_again(
    journal_app: App,
    relay: Relay,
    desk: Desk,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.relay._OLD", 0.0)
    monkeypatch.setattr("worker.relay._LOOKED_EVERY", 0.0)
    await desk.write(*lines("a", 1))
    await relay.publish()
    keys, redis = desk.producer.keys, desk.producer.redis
    epoch = await redis.get(keys.epoch)
    await desk.lose_redis()
    await redis.set(keys.epoch, epoch)
    await relay.turn()  # it finds out
    await relay.turn()
    await drain(journal_app)
    assert await books() == {"a": [1]}


@on_engine
async def test_a_relay_that_is_killed_before_it_notes_what_it_has_published_does_no_harm(
    journal_app: App,
    relay: Relay,
    desk: Desk,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    await desk.write(*lines("a", *range(300)))
    with monkeypatch.context() as patched:
        patched.setattr(Relay, "_note", killed)
        with pytest.raises(KeyboardInterrupt):
            await relay_of(journal_app, desk.producer).publish()
    await relay.publish()
    await drain(journal_app)
    assert await books() == {"a": [*range(300)]}


async def test_one_process_leads_until_it_ends(app: App) -> None:
    processes = [Leader(app) for _ in range(3)]
    assert [await process.leads() for process in processes] == [True, False, False]
    await processes[0].resign()
    for process in processes[1:]:
        process._asked_at = 0.0
    assert [await process.leads() for process in processes[1:]] == [True, False]


async def test_one_that_gives_no_sign_of_life_is_followed(app: App, desk: Desk) -> None:
    gone, next_one = Leader(app), Leader(app)
    assert await gone.leads()
    async with desk.database.begin() as connection:
        relays = worker_tables(None).relays
        now = (await connection.execute(select(utcnow()))).scalar_one()
        await connection.execute(relays.update().values(seen_at=now - timedelta(seconds=7)))
    assert await next_one.leads()
    gone._asked_at = 0.0
    assert not await gone.leads()


@on_engine
async def test_an_id_that_was_used_for_another_command_ends_as_rejected(
    journal_app: App, desk: Desk, drain: Drain, letters: Rows
) -> None:
    await desk.producer.send(Write(book="a", line=1), command_id="one")
    await desk.write(*lines("a", 2, 1), command_id="one")  # the second is the same
    await drain(journal_app)
    [letter] = await letters()
    assert (letter.code, letter.state) == ("conflict", "rejected")


async def test_a_full_queue_takes_what_is_accepted_already(make_app: MakeApp, desk: Desk) -> None:
    app = make_app()
    app.queue = app.queue.model_copy(update={"max": 1})
    await desk.write(CreateUser(username="ada"), CreateUser(username="grace"))
    await relay_of(app, desk.producer).publish()
    assert await desk.producer.redis.zcard(desk.producer.settings.name) == 2


@on_engine
async def test_a_row_that_cannot_be_read_is_left_and_holds_up_nobody(
    journal_app: App, relay: Relay, desk: Desk, drain: Drain, books: Books
) -> None:
    row = {"command_id": uuid4(), "queue": desk.producer.settings.name}
    async with desk.database.begin() as connection:
        newer = ('["{}", "f", "+0", "", [], [], 7]', '["{}", "f", "+0", "", [], [], "", "of newer code"]')
        for sending in ("not JSON", "[1]", '[null, 1, 2, 3, 4, 5, "of newer code"]', *newer):
            await connection.execute(insert(OUTBOX).values(**row, sending=sending))
    await desk.write(*lines("a", 1))
    for _ in range(2):
        await relay.publish()
    await drain(journal_app)
    assert await books() == {"a": [1]}


@on_engine
async def test_a_redis_that_is_lost_again_while_it_is_restored_is_restored_once_more(
    journal_app: App,
    relay: Relay,
    handler: Unsteady,
    desk: Desk,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler.deadly = {1}
    await desk.write(*lines("a", 1))
    await drain(journal_app)
    assert await parked(desk.producer)
    await desk.lose_redis()
    marking = OutboxRows.mark_unpublished
    lost: list[int] = []

    async def lose(self: OutboxRows, *about: Any) -> int | None:
        if not lost:
            lost.append(1)
            await desk.lose_redis()
        return await marking(self, *about)

    monkeypatch.setattr(OutboxRows, "mark_unpublished", lose)
    await desk.write(*lines("a", 2))
    for _ in range(2):
        await relay.publish()
    assert await parked(desk.producer)
    await drain(journal_app)
    assert await books() == {}


async def test_a_burst_does_not_wait_for_ever_for_a_redis_that_is_another_one_each_time(
    relay: Relay, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def another(*_: str) -> dict[str, str]:
        return {"run_id": uuid4().hex}

    await desk.write(*lines("a", 1))
    with monkeypatch.context() as unsteady:
        unsteady.setattr(desk.producer.redis, "info", another)
        unsteady.setattr("worker.relay._PATIENCE", 0.2)
        with capture_logs() as told:
            async with asyncio.timeout(20):
                await relay.publish_all()
    assert [line["event"] for line in told] == ["relay.unfinished"]
    assert await desk.left() == 1
    await relay.publish_all()
    assert await desk.producer.redis.zcard(desk.producer.keys.queue) == 1


@on_engine
async def test_where_another_process_found_out_a_loss_the_outbox_goes_on(
    journal_app: App, relay: Relay, desk: Desk, drain: Drain, books: Books
) -> None:
    await relay.publish()
    relays = worker_tables(None).relays
    async with desk.database.begin() as connection:
        await connection.execute(relays.update().values(epoch=""))  # and was killed before it restored it
    await desk.write(*lines("a", *range(250)))
    for _ in range(3):
        await relay.publish()
    async with AsyncSession(desk.database) as session:
        assert await OutboxRows(worker_tables(None), desk.outbox.queue).waiting(session) == (0, None)
    await drain(journal_app)
    assert await books() == {"a": [*range(250)]}


async def test_one_that_leads_no_longer_does_not_write_down_what_it_restored(
    journal_app: App, producer: Producer, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lapsing(Leading):
        left = 2

        async def leads(self) -> bool:
            self.left -= 1
            return self.left >= 0

    leader = Lapsing(journal_app)
    lapsing = Relay(journal_app, producer.redis, leader, Epochs(journal_app, producer.redis))
    await desk.write(*lines("a", 1, 2))
    monkeypatch.setattr("worker.epochs._STEP", 1)
    assert not await lapsing.publish()
    assert await producer.redis.zcard(producer.keys.queue) == 0
    leader.left = 10
    await lapsing.publish()
    assert await producer.redis.zcard(producer.keys.queue) == 2


@pytest.mark.parametrize(
    ("said", "is_there"),
    [(("word", ""), True), (("word", "1234"), False), (("other", ""), False), (("", ""), False)],
)
async def test_a_script_for_one_redis_does_nothing_in_another(
    producer: Producer, said: tuple[str, str], *, is_there: bool
) -> None:
    await producer.redis.set(producer.keys.epoch, "word")
    script = producer.redis.register_script(only_there("return 1"))
    assert (await script(keys=[producer.keys.epoch], args=said) == 1) is is_there
    process = (await producer.redis.info("server"))["run_id"]
    assert await script(keys=[producer.keys.epoch], args=["word", process]) == 1


async def test_a_full_redis_is_restored_and_drained(
    make_app: MakeApp, own_redis_url: str, queue_name: str, books: Books
) -> None:
    settings = QueueSettings(redis_url=own_redis_url, name=queue_name, redis_retries=0, headroom=0)
    app = make_app(handlers(Unsteady()))
    app.queue = settings
    async with Producer(settings=settings) as producer:
        sent = await producer.send_many(lines("a", 1, 2, 3))
        await producer.redis.config_set("maxmemory", 1)
        try:
            worker = Process(app, burst=True, handle_signals=False)
            await worker.async_run()
            await worker.close()
        finally:
            await producer.redis.config_set("maxmemory", 0)
    assert len(sent) == 3
    assert await books() == {"a": [1, 2, 3]}


@on_engine
async def test_a_replay_that_redis_has_lost_is_replayed_again(
    journal_app: App, relay: Relay, handler: Unsteady, desk: Desk, drain: Drain, books: Books
) -> None:
    handler.deadly = {1}
    [dead] = await desk.write(*lines("a", 1))
    await drain(journal_app)
    handler.deadly.clear()
    await replay(journal_app, desk.producer.redis, dead.command_id)
    await desk.lose_redis()
    await relay.publish()
    assert await parked(desk.producer)
    await replay(journal_app, desk.producer.redis, dead.command_id)
    await drain(journal_app)
    assert await books() == {"a": [1]}
    assert await no_trace(desk.producer)


@on_engine
async def test_what_a_lost_redis_said_is_not_noted(
    journal_app: App,
    relay: Relay,
    desk: Desk,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await desk.write(*lines("a", 1))
    noting = Relay._note

    async def late(self: Relay, *about: Any) -> bool:
        await desk.lose_redis()
        monkeypatch.setattr(Relay, "_note", noting)
        await relay_of(journal_app, desk.producer).publish()  # it restores, and publishes
        await desk.lose_redis()
        return await noting(self, *about)

    monkeypatch.setattr(Relay, "_note", late)
    await relay.publish()
    await relay.publish()
    await drain(journal_app)
    assert await books() == {"a": [1]}


async def test_what_cannot_be_sent_is_refused_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PAYLOAD_LIMIT", "1024")
    async with AsyncSession(desk.database) as session, session.begin():
        with pytest.raises(ValueError, match=r"user\.get only reads"):
            await send(session, GetUser(username="ada"))
        with pytest.raises(PayloadTooLarge):
            await send(session, Write(book="a" * 2000, line=1))
        with pytest.raises(ValueError, match="not both"):
            await send(session, Write(book="a", line=1), delay=1, at=timedelta(1))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="NUL"):
            await send(session, Write(book="a", line=1), ordering_key="\0")
        assert await send_many(session, []) == []
    assert await desk.left() == 0
