"""Who wants to hear of changes hears of each that was committed, at least once, in the order of its row."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import Command, CommandRejected, F, Producer
from producers.commands import (
    Atomic,
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetUser,
    ImportUsers,
    Key,
    UpdateUser,
    UpdateUsersWhere,
)
from producers.feed import Change, changes
from tests.guarantees.conftest import Counters, Drain, MakeApp, Running, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.losses import lose_redis
from tests.guarantees.relays import Leading
from tests.waiting import until
from worker.app import App
from worker.epochs import Epochs
from worker.feeder import Feeder
from worker.tables import worker_tables

pytestmark = pytest.mark.databases("postgresql", "mariadb", "sqlite")
FEED = worker_tables(None).feed


@pytest.fixture
def feeding(make_app: MakeApp) -> App:
    return make_app(feed=True)


class Beside(Feeder):
    """A feeder that has no relay in its process to find out the epoch."""

    async def turn(self) -> None:
        await self._epochs.current(self._leader.leads)
        await super().turn()


@pytest.fixture
async def feeder(feeding: App, producer: Producer, monkeypatch: pytest.MonkeyPatch) -> Feeder:
    """The only feeder: one of a worker that ends before it notes what it published would tell it twice."""
    monkeypatch.setattr(Feeder, "every", 3600.0)
    return Beside(feeding, producer.redis, Leading(feeding), Epochs(feeding, producer.redis))


async def told(producer: Producer, count: int) -> list[Change]:
    """Read so many changes from the beginning."""
    found: list[Change] = []
    async with asyncio.timeout(30):
        async for change in changes(producer, "0"):
            found.append(change)
            if len(found) == count:
                break
    return found


def brief(found: Sequence[Change]) -> list[tuple[str, str, str, int | None]]:
    return [(change.kind, change.entity, change.key, change.version) for change in found]


@on_engine
async def test_what_is_committed_is_told_and_nothing_else(
    feeding: App, feeder: Feeder, producer: Producer, drain: Drain
) -> None:
    ada, grace, _ = await producer.send_many([CreateUser(username=name) for name in ("ada", "grace", "ada")])
    await drain(feeding)
    one, other = (await ada.result()).id, (await grace.result()).id
    commands: list[Command[Any]] = [
        UpdateUser(id=one, name="A"),
        GetUser(id=one),
        UpdateUser(username="grace", name="G"),
        DeleteUser(id=one),
        UpdateUsersWhere(where=F.name == "G", name="H"),
        Atomic([UpdateUser(id=other, name="I"), CreateUser(username="linus")]),
        CreateUsers(rows=[CreateUser(username="mary"), CreateUser(username="jean")]),
    ]
    results = []
    for command in commands:
        receipt = await producer.send(command)
        await drain(feeding)
        results.append(await receipt.result())
    await feeder.turn()
    linus, (mary, jean) = results[5][1].id, [str(user.id) for user in results[6]]
    found = await told(producer, 10)
    assert brief(found) == [
        ("user.create", "user", str(one), 1),
        ("user.create", "user", str(other), 1),
        ("user.update", "user", str(one), 2),
        ("user.update", "user", str(other), 2),
        ("user.delete", "user", str(one), None),
        ("user.update_where", "user", "", None),
        ("user.update", "user", str(other), 4),
        ("user.create", "user", str(linus), 1),
        ("user.create_many", "user", mary, 1),
        ("user.create_many", "user", jean, 1),
    ]
    assert found[0].command_id == ada.command_id
    assert [change.position for change in found] == sorted(change.position for change in found)


@on_engine
async def test_what_came_to_nothing_is_not_told(
    feeding: App, feeder: Feeder, producer: Producer, drain: Drain
) -> None:
    ada = CreateUser(username="ada")
    await producer.send(ada)
    await drain(feeding)
    grace = CreateUser(username="grace")
    commands: list[Command[Any]] = [
        UpdateUser(id=uuid4(), name="nobody"),
        DeleteUser(id=uuid4()),
        UpdateUsersWhere(where=F.name == "nobody", name="H"),
        UpdateUsersWhere(where=F.username == "ada", name="H", dry_run=True),
        Atomic([UpdateUser(id=uuid4(), name="nobody"), DeleteUser(id=uuid4())]),
        ImportUsers(rows=[CreateUser(username="ada")]),
        CreateUsers(rows=[CreateUser(username="ada"), grace], on_duplicate="skip"),
        ImportUsers(rows=[CreateUser(username="ada"), mary := CreateUser(username="mary")]),
    ]
    for command in commands:
        await producer.send(command)
        await drain(feeding)
    await feeder.turn()
    found = await told(producer, 3)
    assert brief(found) == [
        ("user.create", "user", str(ada.id), 1),
        ("user.create_many", "user", found[1].key, 1),
        ("user.import_many", "user", found[2].key, None),
    ]
    assert {found[1].key, found[2].key} == {str(grace.id), str(mary.id)}
    assert await producer.redis.xlen(producer.keys.feed) == 3


async def test_changes_of_a_row_come_in_the_order_of_their_commits(
    feeding: App, producer: Producer, running: Running
) -> None:
    users = await producer.send_many([CreateUser(username=f"u{number}") for number in range(4)])
    async with running(feeding):
        ids = [(await user.result(30)).id for user in users]
        await producer.send_many([UpdateUser(id=ids[turn % 4], name=str(turn)) for turn in range(100)])
        found = await told(producer, 104)
    for user_id in ids:
        assert [one.version for one in found if one.key == str(user_id)] == [*range(1, 27)]


@on_engine
async def test_what_was_published_and_not_noted_comes_twice(
    feeding: App, feeder: Feeder, producer: Producer, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    await producer.send_many([CreateUser(username=f"u{number}") for number in range(3)])
    await drain(feeding)
    with monkeypatch.context() as patched:
        patched.setattr("worker.feed.FeedRows.mark", killed)
        with pytest.raises(KeyboardInterrupt):
            await feeder.turn()
    await feeder.turn()
    await feeder.turn()
    found = await told(producer, 6)
    assert [change.position for change in found[:3]] == [change.position for change in found[3:]]
    assert await producer.redis.xlen(producer.keys.feed) == 6


@on_engine
async def test_a_redis_that_has_lost_it_is_told_again_what_was_told_in_the_last_hour(
    feeding: App,
    feeder: Feeder,
    producer: Producer,
    drain: Drain,
    database: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.feeder._FORGETS_EVERY", 0.0)
    await producer.send_many([CreateUser(username=name) for name in ("ada", "grace")])
    await drain(feeding)
    await feeder.turn()
    assert len(await told(producer, 2)) == 2
    async with database.begin() as connection:
        first = (await connection.execute(select(FEED).order_by(FEED.c.id).limit(1))).one()
        old = update(FEED).where(FEED.c.id == first.id)
        await connection.execute(old.values(published_at=first.published_at - timedelta(hours=2)))
    await feeder.turn()
    await lose_redis(producer)
    await feeder.turn()
    [again] = await told(producer, 1)
    assert again.position > first.id
    assert await producer.redis.xlen(producer.keys.feed) == 1


@on_engine
async def test_it_is_off_by_default(
    app: App, producer: Producer, drain: Drain, database: AsyncEngine
) -> None:
    await producer.send(CreateUser(username="ada"))
    await drain(app)
    async with AsyncSession(database) as session:
        assert (await session.execute(select(func.count()).select_from(FEED))).scalar_one() == 0


@on_engine
async def test_the_stream_does_not_grow_without_end(
    make_app: MakeApp,
    producer: Producer,
    running: Running,
    counters: Counters,  # noqa: ARG001
) -> None:
    app = make_app({Bump: bump}, feed=True, feed_length=100)
    await producer.send_many([Bump(name="n") for _ in range(1000)])

    async def is_told() -> bool:
        newest = await producer.redis.xrevrange(producer.keys.feed, count=1)
        return bool(newest) and int(newest[0][1][b"position"]) >= 1000

    async with running(app):
        await until(is_told)
    assert 100 <= await producer.redis.xlen(producer.keys.feed) < 400  # Redis drops whole nodes


@on_engine
async def test_who_listens_from_now_on_hears_what_comes(
    feeding: App, producer: Producer, running: Running
) -> None:
    heard: list[Change] = []

    async def listen() -> None:
        async for change in changes(producer):
            heard.append(change)  # noqa: PERF401  # one by one

    async with running(feeding), asyncio.TaskGroup() as group:
        await (await producer.send(CreateUser(username="before"))).result(30)
        await until(lambda: _has_told(producer))
        listening = group.create_task(listen())
        await until(lambda: _is_listened_to(producer))
        after = await producer.send(CreateUser(username="after"))
        await until(lambda: bool(heard))
        listening.cancel()
    assert [change.command_id for change in heard] == [after.command_id]


async def _is_listened_to(producer: Producer) -> bool:
    return any(client["cmd"] == "xread" for client in await producer.redis.client_list())


async def _has_told(producer: Producer) -> bool:
    return bool(await producer.redis.xlen(producer.keys.feed))


@on_engine
async def test_a_change_that_is_rolled_back_is_not_told(
    make_app: MakeApp, producer: Producer, drain: Drain, database: AsyncEngine, counters: Counters
) -> None:
    async def fail(session: AsyncSession, command: Bump) -> int:
        raise CommandRejected(f"{await bump(session, command)}", code="no")

    await producer.send(Bump(name="n"))
    await drain(make_app({Bump: fail}, feed=True))
    assert await counters() == {}
    async with AsyncSession(database) as session:
        assert (await session.execute(select(func.count()).select_from(FEED))).scalar_one() == 0


class Ship(Command[dict[str, int]]):
    """A command about one row that returns another."""

    kind: ClassVar[str] = "order.ship"

    number: Annotated[int, Key()]


@on_engine
async def test_the_row_that_a_command_names_is_told_also_where_it_returns_another(
    make_app: MakeApp, producer: Producer, drain: Drain, database: AsyncEngine
) -> None:
    async def ship(_session: AsyncSession, _command: Ship) -> dict[str, int]:
        return {"id": 99, "version": 3}

    await producer.send(Ship(number=7))
    await drain(make_app({Ship: ship}, feed=True))
    async with AsyncSession(database) as session:
        [row] = (await session.execute(select(FEED))).all()
    assert (row.kind, row.entity, row.key, row.version) == ("order.ship", "order", "7", None)
