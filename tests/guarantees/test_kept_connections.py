"""The promise: a worker that keeps its connections between commands shares nothing but them.

Each command has a session and a transaction of its own; a connection goes on only if its transaction has
ended well; and whoever needs one out of the pool finds one.
"""

import asyncio
from typing import Any

import pytest
from sqlalchemy import QueuePool, event, orm, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from producers.commands import CreateUser, GetUser
from producers.errors import CommandRejected
from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.deliveries import answer_of, envelope_of, outcome_of
from tests.waiting import until
from worker.app import App
from worker.database import create_engine, create_sessions
from worker.delivery import Later
from worker.handlers import HANDLERS
from worker.models import User
from worker.transaction import attempt
from worker.upserts import dialect_of

WHO = {
    "postgresql": "SELECT pg_backend_pid()",
    "mariadb": "SELECT connection_id()",
    "sqlite": "SELECT 1",
}
ALSO = text("INSERT INTO counters VALUES ('also', 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + 1")


def pool_of(app: App) -> QueuePool:
    pool = app.engine.pool
    assert isinstance(pool, QueuePool)
    return pool


@pytest.mark.databases
async def test_commands_share_a_connection_and_no_session(make_app: MakeApp, counters: Counters) -> None:
    seen: list[tuple[AsyncSession, int]] = []

    async def look(session: AsyncSession, command: Bump) -> int:
        seen.append((session, (await session.execute(text(WHO[dialect_of(session)]))).scalar_one()))
        return await bump(session, command)

    app = make_app({Bump: look}, concurrency=1)
    checkouts: list[Any] = []
    event.listen(app.engine.sync_engine, "checkout", lambda *told: checkouts.append(told))
    app.keep_connections()
    for name in "abc":
        assert (await answer_of(app, envelope_of(Bump(name=name)), first=True)).ending is Ending.APPLIED

    assert len({id(session) for session, _ in seen}) == 3
    assert (len({who for _, who in seen}), len(checkouts)) == (1, 1)
    assert await counters() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.databases
@pytest.mark.usefixtures("counters")
async def test_they_go_back_to_the_pool_after_a_while_and_at_the_end(make_app: MakeApp) -> None:
    app = make_app({Bump: bump}, concurrency=1)
    app.keep_connections()
    await answer_of(app, envelope_of(Bump(name="a")), first=True)
    assert pool_of(app).checkedout() == 1

    async def is_back() -> bool:
        return pool_of(app).checkedout() == 0

    await until(is_back, seconds=5)
    await answer_of(app, envelope_of(Bump(name="b")), first=True)
    pool = pool_of(app)
    await app.close()
    assert (pool.checkedout(), app.kept) == (0, None)


@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.usefixtures("counters")
async def test_none_is_left_out_where_the_going_back_is_cancelled(make_app: MakeApp) -> None:
    together = asyncio.Barrier(3)

    async def meet(session: AsyncSession, command: Bump) -> int:
        await together.wait()
        return await bump(session, command)

    app = make_app({Bump: meet}, concurrency=3)
    app.keep_connections()
    kept, pool = app.kept, pool_of(app)
    assert kept is not None
    envelopes = [envelope_of(Bump(name=f"{n}")) for n in range(3)]
    await asyncio.gather(*(answer_of(app, envelope, first=True) for envelope in envelopes))
    going_back = asyncio.create_task(kept.empty())
    await asyncio.sleep(0)
    going_back.cancel()
    await asyncio.wait({going_back})
    await kept.close()
    assert pool.checkedout() == 0


@pytest.mark.databases
async def test_the_only_connection_serves_what_fails_what_looks_and_what_reads(
    make_app: MakeApp, counters: Counters, endings: Rows
) -> None:
    async def refuse(session: AsyncSession, command: Bump) -> int:
        await bump(session, command)
        if command.name == "refused":
            raise CommandRejected("no")
        return 1

    app = make_app({**HANDLERS, Bump: refuse}, concurrency=1)
    app.keep_connections()
    async with asyncio.timeout(10):
        for number in range(3):
            refused = await answer_of(app, envelope_of(Bump(name="refused")), first=True)
            applied = await answer_of(app, envelope_of(Bump(name=f"{number}")), first=True)
            assert (refused.ending, applied.ending) == (Ending.REJECTED, Ending.APPLIED)
            again = envelope_of(CreateUser(username=f"u{number}"))
            assert (await answer_of(app, again, first=True)).ending is Ending.APPLIED
            assert (await answer_of(app, again)).ending is Ending.APPLIED  # it looks, and finds it
            read = await answer_of(app, envelope_of(GetUser(username=f"u{number}")), first=True)
            assert read.result["username"] == f"u{number}"
    assert await counters() == {"0": 1, "1": 1, "2": 1}
    assert len(await endings()) == 9


CUT = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}
THERE = {
    "postgresql": "SELECT pid FROM pg_stat_activity",
    "mariadb": "SELECT id FROM information_schema.processlist",
}


@pytest.mark.databases("postgresql", "mariadb")
async def test_when_they_are_cut_the_first_command_finds_it_out_for_all(
    make_app: MakeApp, counters: Counters, database: AsyncEngine, database_kind: str
) -> None:
    meeting, theirs = asyncio.Barrier(3), set[int]()

    async def meet(session: AsyncSession, command: Bump) -> int:
        theirs.add((await session.execute(text(WHO[database_kind]))).scalar_one())
        if command.name.startswith("before"):
            await meeting.wait()
        return await bump(session, command)

    app = make_app({Bump: meet}, concurrency=3)
    app.keep_connections()
    before = [envelope_of(Bump(name=f"before {n}")) for n in range(3)]
    await asyncio.gather(*(answer_of(app, envelope, first=True) for envelope in before))
    assert len(theirs) == 3
    async with database.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for one in theirs:
            await connection.execute(text(CUT[database_kind].format(one)))

        async def are_gone() -> bool:
            return not theirs & {*(await connection.execute(text(THERE[database_kind]))).scalars()}

        await until(are_gone, seconds=5)

    after = [await outcome_of(app, envelope_of(Bump(name=f"after {n}")), first=True) for n in range(4)]
    assert isinstance(after[0], Later)
    assert after[1:] == [Answer(Ending.APPLIED, 1)] * 3
    assert await counters() == {
        **{f"before {n}": 1 for n in range(3)},
        **{f"after {n}": 1 for n in (1, 2, 3)},
    }


@pytest.mark.databases
async def test_a_handler_that_closes_the_connection_spoils_it_for_nobody_else(
    make_app: MakeApp, counters: Counters
) -> None:
    async def close(session: AsyncSession, command: Bump) -> int:
        n = await bump(session, command)
        if command.name == "closed":
            await (await session.connection()).close()
        return n

    app = make_app({Bump: close}, concurrency=1)
    app.keep_connections()
    async with asyncio.timeout(10):
        await outcome_of(app, envelope_of(Bump(name="closed")), first=True)
        for name in "ab":
            assert (await answer_of(app, envelope_of(Bump(name=name)), first=True)).ending is Ending.APPLIED
    assert {"a", "b"} <= {*await counters()}


@pytest.mark.parametrize("when", ["after_begin", "after_commit"])
async def test_listeners_of_all_sessions_may_speak_to_the_database(
    make_app: MakeApp, counters: Counters, request: pytest.FixtureRequest, when: str
) -> None:
    heard: list[object] = []

    def speak(session: orm.Session, *given: Any) -> None:
        heard.append(session)
        if when == "after_begin":
            given[1].execute(ALSO)  # the connection
        else:
            with session.get_bind().engine.begin() as another:
                another.execute(ALSO)

    app = make_app({Bump: bump}, concurrency=2)
    app.keep_connections()
    event.listen(orm.Session, when, speak)
    request.addfinalizer(lambda: event.remove(orm.Session, when, speak))
    for name in "ab":
        assert (await answer_of(app, envelope_of(Bump(name=name)), first=True)).ending is Ending.APPLIED
    assert await counters() == {"a": 1, "b": 1, "also": 2}
    assert len(heard) == 2


async def test_what_a_begin_listener_says_goes_before_the_command(make_app: MakeApp) -> None:
    async def shown(session: AsyncSession, _command: Bump) -> int:
        return int((await session.execute(text("SHOW my.number"))).scalar_one())

    app = make_app({Bump: shown}, concurrency=1)
    app.keep_connections()
    event.listen(
        app.engine.sync_engine,
        "begin",
        lambda connection: connection.exec_driver_sql("SET LOCAL my.number = '7'"),
    )
    for name in "ab":
        assert (await answer_of(app, envelope_of(Bump(name=name)), first=True)).result == 7


@pytest.mark.parametrize("whose", ["the session's", "the engine's"])
async def test_what_a_commit_listener_says_is_committed_as_well(
    make_app: MakeApp, counters: Counters, whose: str
) -> None:
    heard: list[object] = []

    def also(by: Any) -> None:
        heard.append(by)
        by.execute(ALSO)

    async def listened_to(session: AsyncSession, command: Bump) -> int:
        if whose == "the session's":
            event.listen(session.sync_session, "before_commit", also)
        return await bump(session, command)

    app = make_app({Bump: listened_to}, concurrency=1)
    if whose == "the engine's":
        event.listen(app.engine.sync_engine, "commit", also)
    app.keep_connections()
    for name in "ab":
        assert (await answer_of(app, envelope_of(Bump(name=name)), first=True)).ending is Ending.APPLIED
    assert await counters() == {"a": 1, "b": 1, "also": 2}
    assert len(heard) == 2  # once for each, and not once more for a look


@pytest.mark.usefixtures("counters")
@pytest.mark.parametrize("left", ["an object", "a savepoint"])
async def test_what_a_handler_leaves_to_sqlalchemy_is_seen_to(make_app: MakeApp, left: str) -> None:
    app = make_app(concurrency=1)
    app.keep_connections()
    deadline = asyncio.get_running_loop().time() + 10
    for name in ("ada", "grace"):
        writing = attempt(app.sessions, app.options, deadline, read_only=False, kept=app.kept)
        async with writing as session:
            await session.execute(ALSO)
            user = User(id=uuid7(), username=name, name=name)
            session.add(user)
            if left == "a savepoint":
                await session.begin_nested()
                user.name = "changed"
                await session.flush()
    async with app.transaction() as session:
        assert {*(await session.scalars(select(User.username)))} == {"ada", "grace"}
        assert (await session.execute(text("SELECT n FROM counters"))).scalar_one() == 2


async def test_what_a_handler_does_on_another_engine_is_committed_after_it(
    make_app: MakeApp, counters: Counters, database: AsyncEngine
) -> None:
    async def on_both(session: AsyncSession, command: Bump) -> int:
        await session.execute(ALSO, bind_arguments={"bind": database.sync_engine})
        return await bump(session, command)

    app = make_app({Bump: on_both}, concurrency=1)
    app.keep_connections()
    for name in "ab":
        assert (await answer_of(app, envelope_of(Bump(name=name)), first=True)).ending is Ending.APPLIED
    assert await counters() == {"a": 1, "b": 1, "also": 2}


async def test_listeners_hear_of_a_commit_when_it_is_done(make_app: MakeApp, counters: Counters) -> None:
    is_open: list[bool] = []

    async def listened_to(session: AsyncSession, command: Bump) -> int:
        raw: Any = await (await session.connection()).get_raw_connection()
        look = raw.driver_connection.is_in_transaction
        event.listen(session.sync_session, "after_commit", lambda _: is_open.append(look()))
        n = await bump(session, command)
        is_open.append(look())
        return n

    app = make_app({Bump: listened_to}, concurrency=1)
    app.keep_connections()
    assert (await answer_of(app, envelope_of(Bump(name="a")), first=True)).ending is Ending.APPLIED
    assert is_open == [True, False]
    assert await counters() == {"a": 1}


async def test_sessions_that_choose_their_connections_themselves_are_left_to_it(make_app: MakeApp) -> None:
    options = make_app().options
    engine = create_engine(options)
    sessions = create_sessions(engine)
    sessions.configure(binds={})
    app = App({Bump: bump}, sessions=sessions, settings=options)
    app.keep_connections()
    assert app.kept is None
    await engine.dispose()
