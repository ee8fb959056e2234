"""Endings are kept for a while; what comes again after that is refused into the dead letters, not applied."""

import json
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandDead, CommandRejected, Producer, QueueSettings, ResultExpired
from producers.commands import Atomic, CreateUser, GetUser
from producers.outbox import Outbox, send
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.journal import Read, Write
from tests.guarantees.test_in_order import Books, Unsteady, books, handlers, no_trace, parked
from tests.guarantees.test_outbox import kept, lose_redis
from tests.guarantees.test_verify import compared
from worker import window
from worker.app import App
from worker.leader import Leader
from worker.pruner import Pruner
from worker.replay import drop, replay
from worker.tables import worker_tables

__all__ = ["books"]

pytestmark = pytest.mark.databases("postgresql", "mariadb", "sqlite")
ENDINGS = worker_tables(None).processed_commands
DAY = 86_400_000


async def grow_old(database: AsyncEngine, endings: Rows, ids: Collection[UUID], *, days: float) -> None:
    """Have commands end so long ago."""
    rows = await endings()
    async with database.begin() as connection:
        for row in rows:
            if row.command_id in ids:
                mine = update(ENDINGS).where(ENDINGS.c.command_id == row.command_id)
                await connection.execute(mine.values(ended_at=row.ended_at - timedelta(days=days)))


async def delay(producer: Producer, ids: Collection[UUID], *, days: float, due: float | None = None) -> None:
    """Have commands be accepted so long ago that wait in Redis, and due with that, or at another time."""
    for command_id in ids:
        key = producer.keys.job(command_id)
        job = json.loads(await producer.redis.get(key))
        stamp = job["a"][1]
        stamp["due"] -= round((days if due is None else due) * DAY)
        stamp["accepted"] -= round(days * DAY)
        await producer.redis.set(key, json.dumps(job, separators=(",", ":")))


async def bring_back(producer: Producer, backup: dict[bytes, bytes]) -> None:
    """Put an old state of Redis in the place of what it has."""
    await lose_redis(producer)
    for key, value in backup.items():
        await producer.redis.restore(key, 0, value)


def pruner(app: App) -> Pruner:
    return Pruner(app, Leader(app))


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
    await pruner(app).prune()
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
    await pruner(app).prune()
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
    await Pruner(app, second).turn()
    assert await left(endings) == {*ids}
    await Pruner(app, first).turn()
    assert await left(endings) == {*ids[13:]}


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
    await pruner(app).prune()
    await bring_back(producer, backup)
    await drain(app)
    with pytest.raises(CommandRejected, match=r"came after 8\.0 days, and endings are kept for 7"):
        await sent.result(10)
    [letter] = await letters()
    assert (letter.code, letter.state, await counters()) == ("too_old", "rejected", {"n": 1})
    await replay(app, producer.redis, sent.command_id)
    await drain(app)
    assert await counters() == {"n": 2}


async def drain_as_if_new(app: App, drain: Drain) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(window, "may_be_past", lambda *_: False)
        await drain(app)


@pytest.fixture
def handler() -> Unsteady:
    return Unsteady()


@pytest.fixture
def journal_app(make_app: MakeApp, handler: Unsteady, books: Books) -> App:  # noqa: ARG001
    return make_app(handlers(handler), max_attempts=1)


def lines(*numbers: int) -> list[Any]:
    return [Write(book="a", line=number) for number in numbers]


@on_engine
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


async def test_a_delayed_command_counts_from_when_it_was_due(
    journal_app: App, producer: Producer, drain: Drain, books: Books
) -> None:
    [sent] = await producer.send_many(lines(1))
    await delay(producer, {sent.command_id}, days=30, due=0)
    await drain(journal_app)
    assert await books() == {"a": [1]}


async def test_a_read_is_answered_however_old(
    journal_app: App, producer: Producer, letters: Rows, drain: Drain
) -> None:
    sent = await producer.send(Read(book="a"))
    await delay(producer, {sent.command_id}, days=8)
    await drain(journal_app)
    assert (await sent.result(10), await letters()) == (0, [])


@on_engine
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
        found, _ = await compared(app, producer.redis, ledger)
        assert found.accepted == {"lost": 1}
        ledger.write_text(ledger.read_text().replace("at 17", "at 16"))
        found, named = await compared(app, producer.redis, ledger)
    assert (found.accepted, found.lost, named) == ({"pruned": 1}, 0, [])
