"""Endings are kept for a while; what comes again after that is refused into the dead letters, not applied."""

import json
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandDead, CommandRejected, Producer, QueueSettings, ResultExpired
from producers.commands import Atomic, CreateUser, GetUser
from producers.outbox import Outbox, send
from tests.guarantees.books import (
    Books,
    Unsteady,
    books,
    handler,
    journal_app,
    no_trace,
    parked,
)
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.journal import Read, Write
from tests.guarantees.losses import bring_back, kept, lose_redis
from worker import window
from worker.app import App
from worker.leader import Leader
from worker.pruner import Pruner
from worker.replay import drop, replay
from worker.tables import worker_tables
from worker.types import utcnow
from worker.verify import verify

__all__ = ["books", "handler", "journal_app"]

pytestmark = pytest.mark.databases("postgresql", "mariadb", "sqlite")
ENDINGS, RELAYS = worker_tables(None).processed_commands, worker_tables(None).relays
DAY = 86_400_000


async def grow_old(database: AsyncEngine, endings: Rows, ids: Collection[UUID], *, days: float) -> None:
    """Have commands end so long ago."""
    rows = await endings()
    async with database.begin() as connection:
        for row in rows:
            if row.command_id in ids:
                mine = update(ENDINGS).where(ENDINGS.c.command_id == row.command_id)
                await connection.execute(mine.values(ended_at=row.ended_at - timedelta(days=days)))


async def delay(
    producer: Producer, ids: Collection[UUID], *, days: float, due: float | None = None, generation: int = 0
) -> None:
    """Have commands be accepted so long ago that wait in Redis, and due with that, or at another time."""
    for command_id in ids:
        key = producer.keys.job(command_id, generation)
        job = json.loads(await producer.redis.get(key))
        stamp = job["a"][1]
        stamp["due"] -= round((days if due is None else due) * DAY)
        stamp["accepted"] -= round(days * DAY)
        await producer.redis.set(key, json.dumps(job, separators=(",", ":")))


async def prune(app: App) -> None:
    """Have a process that leads prune: it says what it will delete, then deletes it."""
    leader = Leader(app)
    assert await leader.leads()
    pruner = Pruner(app, leader)
    for _ in range(2):
        await pruner.turn()
    await leader.resign()


@pytest.fixture
async def weeks_later(app: App, database: AsyncEngine) -> None:
    """Endings were pruned until a week ago."""
    leader = Leader(app)
    assert await leader.leads()
    await leader.resign()
    async with database.begin() as connection:
        now = (await connection.execute(select(utcnow()))).scalar_one()
        await connection.execute(update(RELAYS).values(pruned_until=now - timedelta(days=7)))


async def left(endings: Rows) -> set[UUID]:
    return {row.command_id for row in await endings()}


@on_engine
async def test_results_go_before_their_endings(
    app: App, producer: Producer, database: AsyncEngine, endings: Rows, drain: Drain
) -> None:
    users = [CreateUser(username=name) for name in ("old", "older", "new")]
    old, older, new = await producer.send_many(users, command_ids=["old", "older", "new"])
    await drain(app)
    await grow_old(database, endings, {old.command_id}, days=2)
    await grow_old(database, endings, {older.command_id}, days=7.1)
    await prune(app)
    assert await left(endings) == {old.command_id, new.command_id}
    await lose_redis(producer)
    again = await producer.send_many([users[0], users[2]], command_ids=["old", "new"])
    await drain(app)
    with pytest.raises(ResultExpired, match="RESULT_RETENTION"):
        await again[0].result(10)
    assert (await again[1].result(10)).username == "new"


@on_engine
async def test_what_somebody_may_still_ask_for_stays(
    make_app: MakeApp,
    producer: Producer,
    database: AsyncEngine,
    endings: Rows,
    drain: Drain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.relay._LOOKED_EVERY", 1e9)  # the row stays in the outbox
    app = make_app(max_attempts=1)
    users = [CreateUser(username="ada"), CreateUser(username="ada"), CreateUser(username="grace")]
    applied, rejected, replayed = await producer.send_many(users)
    async with AsyncSession(database) as session, session.begin():
        written = await send(session, CreateUser(username="w"), outbox=Outbox(queue=producer.settings.name))
    await drain(app)
    ids = {one.command_id for one in (applied, rejected, replayed, written)}
    assert await left(endings) == ids
    await grow_old(database, endings, ids, days=8)
    await prune(app)
    assert await left(endings) == {rejected.command_id, written.command_id}


@on_engine
async def test_many_are_pruned_a_few_at_a_time_by_the_process_that_leads(
    app: App,
    producer: Producer,
    database: AsyncEngine,
    endings: Rows,
    drain: Drain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.pruner._SLICE", 3)
    sent = await producer.send_many([CreateUser(username=f"u{number}") for number in range(20)])
    await drain(app)
    ids = [one.command_id for one in sent]
    await grow_old(database, endings, ids[:13], days=8)
    [same] = [row.ended_at for row in await endings() if row.command_id == ids[12]]
    async with database.begin() as connection:  # of one moment, more than go into a slice
        await connection.execute(
            update(ENDINGS).where(ENDINGS.c.command_id.in_(ids[8:13])).values(ended_at=same)
        )
    first, second = Leader(app), Leader(app)
    assert (await first.leads(), await second.leads()) == (True, False)
    idle, pruner = Pruner(app, second), Pruner(app, first)
    for turn in (idle.turn, idle.turn, pruner.turn):
        await turn()
        assert await left(endings) == {*ids}
    await pruner.turn()
    assert await left(endings) == {*ids[13:]}
    await grow_old(database, endings, ids[13:15], days=9)  # before what was pruned last
    for _ in range(60):
        await pruner.turn()
    assert await left(endings) == {*ids[15:]}


async def test_what_an_old_backup_brings_back_is_kept_for_a_person(
    make_app: MakeApp,
    producer: Producer,
    database: AsyncEngine,
    endings: Rows,
    letters: Rows,
    counters: Counters,
    drain: Drain,
) -> None:
    app = make_app({Bump: bump})
    sent = await producer.send(Bump(name="n"))
    await delay(producer, {sent.command_id}, days=8)
    backup = await kept(producer)
    await drain_as_if_new(app, drain)
    assert await counters() == {"n": 1}
    await bring_back(producer, backup)
    await drain(app)  # its ending is there
    assert (await counters(), await letters()) == ({"n": 1}, [])
    await grow_old(database, endings, {sent.command_id}, days=8)
    await prune(app)
    await bring_back(producer, backup)
    await drain(app)
    with pytest.raises(CommandRejected, match="endings of that time are pruned"):
        await sent.result(10)
    [letter] = await letters()
    assert (letter.code, letter.state, letter.attempts) == ("too_old", "rejected", 0)
    assert await counters() == {"n": 1}
    await replay(app, producer.redis, sent.command_id)
    await drain(app)
    assert await counters() == {"n": 2}


async def drain_as_if_new(app: App, drain: Drain) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(window, "may_be_past", lambda *_: False)
        await drain(app)


def lines(*numbers: int) -> list[Any]:
    return [Write(book="a", line=number) for number in numbers]


@on_engine
@pytest.mark.usefixtures("weeks_later")
async def test_a_lane_of_an_old_backup_is_refused_to_its_end(
    journal_app: App, producer: Producer, letters: Rows, drain: Drain, books: Books
) -> None:
    ids = {one.command_id for one in await producer.send_many(lines(1, 2, 3))}
    await delay(producer, ids, days=8)
    late = await producer.send(Write(book="a", line=4))
    await drain(journal_app)
    await late.result(10)
    assert {letter.command_id for letter in await letters()} == ids
    assert await books() == {"a": [4]}
    assert await no_trace(producer)


@pytest.mark.parametrize("by", ["replay", "drop"])
@on_engine
@pytest.mark.usefixtures("weeks_later")
async def test_what_waited_for_a_person_is_not_too_old(
    by: str, journal_app: App, handler: Unsteady, producer: Producer, drain: Drain, books: Books
) -> None:
    handler.deadly = {1}
    dead, *behind = await producer.send_many([*lines(1, 2, 3), Atomic([*lines(4, 5)])])
    await drain(journal_app)
    with pytest.raises(CommandDead):
        await dead.result(10)
    assert await parked(producer)
    await delay(producer, {one.command_id for one in behind}, days=8)
    handler.deadly.clear()
    if by == "replay":
        await replay(journal_app, producer.redis, dead.command_id)
    else:
        await drop(journal_app, producer.redis, dead.command_id)
    await drain(journal_app)
    assert await books() == {"a": [*([1] if by == "replay" else []), 2, 3, 4, 5]}


@pytest.mark.parametrize("by", ["replay", "drop"])
@on_engine
async def test_an_old_backup_in_which_a_person_sets_it_free_does_not_bring_it_back(
    by: str,
    journal_app: App,
    handler: Unsteady,
    producer: Producer,
    database: AsyncEngine,
    endings: Rows,
    letters: Rows,
    drain: Drain,
    books: Books,
) -> None:
    handler.deadly = {1}
    dead, behind = await producer.send_many(lines(1, 2))
    await drain(journal_app)
    handler.deadly.clear()
    backup = {}
    if by == "replay":
        await replay(journal_app, producer.redis, dead.command_id)
        await delay(producer, {dead.command_id}, generation=1, days=8)
    else:
        backup = await kept(producer)
        await drop(journal_app, producer.redis, dead.command_id)
    await delay(producer, {behind.command_id}, days=8)
    mark = producer.keys.mark(dead.command_id)
    if by == "replay":
        long_ago = int(await of_hash(producer, mark, "released")) - 8 * DAY
        await set_of_hash(producer, mark, "released", long_ago)
        backup = await kept(producer)
    else:  # what waited is as old in the backup
        backup[producer.keys.job(behind.command_id).encode()] = await producer.redis.dump(
            producer.keys.job(behind.command_id)
        )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(window, "may_be_past", lambda *_: False)
        await drain(journal_app)
    once = await books()
    await grow_old(database, endings, {dead.command_id, behind.command_id}, days=8)
    await prune(journal_app)
    assert await left(endings) == {dead.command_id}
    await bring_back(producer, backup)
    if by == "drop":
        await drop(journal_app, producer.redis, dead.command_id)  # once more
    await drain(journal_app)
    assert await books() == once
    assert "too_old" in [letter.code for letter in await letters()]


async def of_hash(producer: Producer, key: str, field: str) -> str:
    reading: Any = producer.redis.hget(key, field)
    return str((await reading).decode())


async def set_of_hash(producer: Producer, key: str, field: str, value: int) -> None:
    writing: Any = producer.redis.hset(key, field, str(value))
    await writing


@pytest.mark.usefixtures("weeks_later")
async def test_one_that_came_too_late_besides_is_looked_at_by_a_person_all_the_same(
    journal_app: App, producer: Producer, letters: Rows, drain: Drain
) -> None:
    sent = await producer.send(Write(book="a", line=1), deadline=0.01)
    await delay(producer, {sent.command_id}, days=8)
    await drain(journal_app)
    assert [letter.code for letter in await letters()] == ["too_old"]


@pytest.mark.usefixtures("weeks_later")
async def test_a_delayed_command_counts_from_when_it_was_due(
    journal_app: App, producer: Producer, drain: Drain, books: Books
) -> None:
    [sent] = await producer.send_many(lines(1))
    await delay(producer, {sent.command_id}, days=30, due=0)
    await drain(journal_app)
    assert await books() == {"a": [1]}


@pytest.mark.usefixtures("weeks_later")
async def test_a_read_is_answered_however_old(
    journal_app: App, producer: Producer, letters: Rows, drain: Drain
) -> None:
    sent = await producer.send(Read(book="a"))
    await delay(producer, {sent.command_id}, days=8)
    await drain(journal_app)
    assert (await sent.result(10), await letters()) == (0, [])


@on_engine
@pytest.mark.usefixtures("weeks_later")
async def test_one_that_could_not_be_looked_at_is_looked_at_again(
    journal_app: App,
    producer: Producer,
    letters: Rows,
    drain: Drain,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[Any] = []
    refusal = window.refusal

    async def look(*about: Any) -> Any:
        looked.append(about)
        if len(looked) == 1:
            raise ConnectionRefusedError
        return await refusal(*about)

    monkeypatch.setattr(window, "refusal", look)
    [sent] = await producer.send_many(lines(1))
    await delay(producer, {sent.command_id}, days=8)
    await drain(journal_app)
    assert ([letter.code for letter in await letters()], await books()) == (["too_old"], {})
    assert len(looked) == 2


async def test_verify_names_nothing_as_lost_whose_ending_may_be_pruned(
    app: App, queue: QueueSettings, tmp_path: Path
) -> None:
    ledger = tmp_path / "sent.ledger"
    async with Producer(settings=queue, ledger=ledger) as producer:
        await producer.send(CreateUser(username="ada"))
        await producer.send(GetUser(username="ada"))
        await lose_redis(producer)
        found = await verify(app, producer.redis, [ledger])
        assert found.accepted == {"lost": 1}
        at, *lines = ledger.read_text().splitlines(keepends=True)
        long_ago = int(at.removeprefix("at ")) - 8 * 86_400
        ledger.write_text("".join([f"at {long_ago}\n", *lines]))
        found = await verify(app, producer.redis, [ledger])
    assert (found.accepted, found.lost) == ({"pruned": 1}, 0)
