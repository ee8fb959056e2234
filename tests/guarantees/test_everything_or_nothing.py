"""The promise: a command takes effect as a whole, together with the row that says so, or not at all.

Wherever an attempt breaks off (in the handler, in a flush, in the middle of an Atomic, by a cancellation, by
its time limit, in the insert of its ending, at COMMIT) nothing of it is left, and no row says `applied`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from producers import CommandRejected
from producers.commands import Atomic, CreateLike, CreatePost, CreateUser, CreateUsers, NewPost, NewUser
from producers.wire import Answer, Ending
from tests.databases import engine_on
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import answer_of, envelope_of
from tests.guarantees.triggers import refuse
from worker.app import App
from worker.database import transaction_options
from worker.delivery import Later
from worker.handlers import HANDLERS
from worker.models import User
from worker.testing import deliver, execute
from worker.upserts import dialect_of

pytestmark = pytest.mark.databases

SLEEP = {
    "postgresql": "SELECT pg_sleep(3600)",
    "mariadb": "SELECT sleep(3600)",
    "sqlite": "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n",
}
Pause = Callable[[AsyncSession], Awaitable[object]]


async def sleep_here(_session: AsyncSession) -> None:
    await asyncio.Event().wait()


async def sleep_in_the_database(session: AsyncSession) -> None:
    await session.execute(text(SLEEP[dialect_of(session)]))


async def users_and_posts(database: AsyncEngine) -> tuple[int, ...]:
    look = text("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts)")
    async with database.connect() as connection:
        return tuple((await connection.execute(look)).one())


@pytest.mark.parametrize("error", [RuntimeError("no"), TimeoutError(), CommandRejected("no")], ids=repr)
async def test_a_handler_that_fails_midway_leaves_nothing(
    error: Exception, make_app: MakeApp, counters: Counters, endings: Rows
) -> None:
    async def fail_midway(session: AsyncSession, command: Bump) -> int:
        await bump(session, command)
        raise error

    await deliver(make_app({Bump: fail_midway}), envelope_of(Bump(name="n")))

    assert await counters() == {}
    rejected = isinstance(error, CommandRejected)
    assert [row.ending for row in await endings()] == ([Ending.REJECTED] if rejected else [])


async def test_a_flush_that_fails_after_the_handler_leaves_nothing(
    make_app: MakeApp, database: AsyncEngine, endings: Rows
) -> None:
    async def add_two_of_one_name(session: AsyncSession, command: CreateUser) -> None:
        await session.execute(insert(User).values(id=uuid4(), name="before"))
        session.add_all([User(id=uuid4(), username=command.username) for _ in range(2)])

    app = make_app({**HANDLERS, CreateUser: add_two_of_one_name})
    answer = await answer_of(app, envelope_of(CreateUser(username="ada")))

    assert answer.error is not None
    assert (answer.ending, answer.error["field"]) == (Ending.REJECTED, "username")
    assert await users_and_posts(database) == (0, 0)
    assert [row.ending for row in await endings()] == [Ending.REJECTED]


@pytest.mark.parametrize("broken", [0, 1, 2])
async def test_an_atomic_that_fails_at_any_part_leaves_nothing_and_names_the_part(
    broken: int, app: App, database: AsyncEngine, endings: Rows
) -> None:
    await execute(app, CreateUser(username="taken"))
    ada = uuid4()
    parts: list[Any] = [CreateUser(id=ada, username="ada"), CreatePost(title="one", user_id=ada)]
    parts.insert(broken, CreateUser(username="taken"))

    answer = await answer_of(app, envelope_of(Atomic(parts)))

    assert answer.error is not None
    assert (answer.ending, answer.error["field"]) == (Ending.REJECTED, f"commands.{broken}.username")
    assert f"commands.{broken} (user.create)" in answer.error["message"]
    assert await users_and_posts(database) == (1, 0)
    assert sorted(row.ending for row in await endings()) == [Ending.APPLIED, Ending.REJECTED]


async def test_a_rule_broken_in_an_atomic_names_the_part_and_its_field(
    app: App, database: AsyncEngine
) -> None:
    ada, post = uuid4(), uuid4()
    author, theirs = CreateUser(id=ada, username="ada"), CreatePost(id=post, title="one", user_id=ada)

    with pytest.raises(CommandRejected) as caught:
        await execute(app, Atomic([author, theirs, CreateLike(user_id=ada, post_id=post)]))

    assert (caught.value.code, caught.value.field) == ("own_post", "commands.2.post_id")
    assert await users_and_posts(database) == (0, 0)


async def test_a_user_with_posts_of_which_one_is_refused_is_not_created(
    app: App, database: AsyncEngine
) -> None:
    hers = NewPost(id=uuid4(), title="hers")
    await execute(app, CreateUser(username="ada", posts=[hers]))

    with pytest.raises(CommandRejected):
        await execute(app, CreateUser(username="bob", posts=[NewPost(title="his"), hers]))

    assert await users_and_posts(database) == (1, 1)


async def test_a_bulk_of_which_one_row_is_refused_creates_none(app: App, database: AsyncEngine) -> None:
    names = [*(f"user-{number}" for number in range(500)), "user-250"]

    with pytest.raises(CommandRejected):
        await execute(app, CreateUsers(rows=[NewUser(username=name) for name in names]))

    assert await users_and_posts(database) == (0, 0)


@pytest.mark.parametrize("pause", [sleep_here, sleep_in_the_database])
@pytest.mark.parametrize("cause", ["cancel", "timeout"])
async def test_a_cancel_or_a_timeout_in_the_middle_leaves_nothing(
    cause: str, pause: Pause, make_app: MakeApp, counters: Counters, endings: Rows
) -> None:
    midway = asyncio.Event()

    async def stop_midway(session: AsyncSession, command: Bump) -> None:
        await bump(session, command)
        midway.set()
        await pause(session)

    app = make_app({Bump: stop_midway}, job_timeout=5 if cause == "cancel" else 0.3)
    envelope = envelope_of(Bump(name="n"))
    delivering = asyncio.create_task(deliver(app, envelope))
    await midway.wait()
    if cause == "cancel":
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
    else:
        assert isinstance(await delivering, Later)

    assert (await counters(), await endings()) == ({}, [])
    await Courier(make_app({Bump: bump}), envelope).until_answered()
    assert await counters() == {"n": 1}


async def test_an_ending_that_cannot_be_written_takes_its_effect_along(
    make_app: MakeApp, database: AsyncEngine, counters: Counters, endings: Rows
) -> None:
    await refuse(database, Ending.APPLIED, "23514")

    await answer_of(make_app({Bump: bump}), envelope_of(Bump(name="n")))

    assert await counters() == {}
    assert [row.ending for row in await endings()] == [Ending.REJECTED]


async def test_effect_and_ending_appear_together(
    make_app: MakeApp, database: AsyncEngine, database_kind: str, counters: Counters
) -> None:
    many = 20 if database_kind == "sqlite" else 100  # one writes at a time, and waits for the disk
    app = make_app({Bump: bump}, job_timeout=60.0)
    # All wait for one row and a few connections; a slow disk may have some of them come again.
    couriers = [Courier(app, envelope_of(Bump(name="n"))) for _ in range(many)]
    commands = asyncio.gather(*(courier.until_answered() for courier in couriers))
    look = text(
        "SELECT (SELECT coalesce(max(n), 0) FROM counters), (SELECT count(*) FROM processed_commands)"
    )
    seen = []
    async with database.connect() as watching:
        await watching.execution_options(**transaction_options(database, read_only=True))
        while not commands.done():
            async with watching.begin():
                seen.append(tuple((await watching.execute(look)).one()))
    await commands

    assert [effects for effects, _ in seen] == [rows for _, rows in seen]
    assert len(set(seen)) > 2, "the watcher was to see them come"
    assert await counters() == {"n": many}


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_a_handler_cannot_part_its_effect_from_its_ending(
    end: str, make_app: MakeApp, counters: Counters, endings: Rows
) -> None:
    async def ends_it(session: AsyncSession, command: Bump) -> int:
        count = await bump(session, command)
        await getattr(session, end)()
        return count

    app = make_app({Bump: ends_it}, max_attempts=1)
    answer = await deliver(app, envelope_of(Bump(name="n")))

    assert isinstance(answer, Answer)
    assert (answer.ending, await counters()) == (Ending.DEAD, {})
    assert [row.ending for row in await endings()] == ["dead"]


async def test_an_engine_that_commits_each_statement_is_not_let_to(
    database_url: str, make_app: MakeApp, counters: Counters
) -> None:
    engine = engine_on(database_url, isolation_level="AUTOCOMMIT")
    sessions = async_sessionmaker(engine)
    app = App({Bump: failing_after}, sessions=sessions, settings=make_app({Bump: bump}).options)
    await deliver(app, envelope_of(Bump(name="n")))
    await engine.dispose()

    assert await counters() == {}


async def failing_after(session: AsyncSession, command: Bump) -> int:
    await bump(session, command)
    raise CommandRejected("after its effect")
