"""With the least rights of deploy/, each side does all that is its own, and is refused the rest."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandDead, Producer, QueueSettings
from producers.commands import CreateUser, UpdateUser
from producers.outbox import Outbox, send
from tests.guarantees.conftest import Counters, MakeApp, Running
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import broken
from tests.guarded_redis import RedisWithUsers
from tests.processes import command_line, environment_of
from tests.rights import USERS, engine_as, password_of, roles_on
from tests.waiting import until
from worker.app import App
from worker.handlers import HANDLERS
from worker.models.migrations import EXAMPLE
from worker.replay import replay
from worker.settings import WorkerOptions


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisWithUsers]:
    """A Redis with the users of deploy/redis/users.acl."""
    with RedisWithUsers(USERS) as server:
        yield server


def url_of(server: RedisWithUsers, user: str) -> str:
    return server.url_of(user, password_of(user))


@pytest.fixture
async def admin(guarded: RedisWithUsers) -> AsyncIterator[Redis]:
    """Who may do everything, and finds nothing there."""
    async with Redis.from_url(guarded.url_of("admin", "admin")) as admin:
        await admin.flushall()
        await admin.acl_log_reset()
        yield admin


@pytest.fixture
def queue(guarded: RedisWithUsers, admin: Redis) -> QueueSettings:  # noqa: ARG001  # it empties it
    """The queue that the file is written for, as a worker sees it."""
    return QueueSettings(redis_url=url_of(guarded, "worker"), name="crud", redis_retries=0)


@pytest.fixture
async def producer(guarded: RedisWithUsers, queue: QueueSettings) -> AsyncIterator[Producer]:
    """A producer, as one."""
    settings = QueueSettings(redis_url=url_of(guarded, "producer"), name=queue.name, redis_retries=0)
    async with Producer(settings=settings) as producer:
        yield producer


async def refusals(admin: Redis) -> list[tuple[str, str, str]]:
    """What was refused, and to whom."""
    return [(entry["username"], entry["reason"], entry["object"]) for entry in await admin.acl_log()]


async def test_with_its_rights_a_worker_does_all_that_it_does(
    make_app: MakeApp,
    producer: Producer,
    admin: Redis,
    queue: QueueSettings,
    database: AsyncEngine,
    running: Running,
) -> None:
    ada = CreateUser(username="ada")
    app = make_app(feed=True)
    async with running(app):
        sent = await producer.send_many([ada, *(UpdateUser(id=ada.id, age=age) for age in range(20, 30))])
        later = await producer.send(UpdateUser(id=ada.id, name="Ada"), delay=0.05, deadline=60)
        async with AsyncSession(database) as session, session.begin():
            written = await send(session, CreateUser(username="grace"), outbox=Outbox(queue=queue.name))
        assert [await receipt.result(20) for receipt in [*sent, later]]
        assert (await written.receipt(producer).result(20)).username == "grace"
        await until(lambda: _exists(admin, producer.keys.feed))
        await admin.set("arq:job:crud:forged", "{}")
        await admin.zadd("crud", {"crud:forged": 1})
        await until(lambda: _is_gone(admin, "arq:job:crud:forged"))
    assert await refusals(admin) == []


async def _exists(admin: Redis, key: str) -> bool:
    return bool(await admin.exists(key))


async def _is_gone(admin: Redis, key: str) -> bool:
    return not await admin.exists(key)


async def test_with_its_rights_a_worker_replays_what_is_dead(
    make_app: MakeApp,
    producer: Producer,
    admin: Redis,
    running: Running,
    queue: QueueSettings,
    counters: Counters,
) -> None:
    receipt = await producer.send(Bump(name="n"))
    behind = await producer.send(Bump(name="n"), ordering_key="k")
    async with running(make_app({Bump: broken}, max_attempts=1)):
        with pytest.raises(CommandDead):
            await receipt.result(20)
        with pytest.raises(CommandDead):
            await behind.result(20)
    app = make_app({Bump: bump})
    async with Redis.from_url(queue.redis_url) as redis, running(app):
        await replay(app, redis, receipt.command_id)
        assert await receipt.result(20) == 1
        assert await counters() == {"n": 1}
    assert await refusals(admin) == []


FORBIDDEN = {
    "producer": [
        ("GET", "arq:job:crud:x"),
        ("MGET", "arq:job:crud:x"),
        ("DEL", "arq:job:crud:x"),
        ("ZRANGE", "crud", "0", "-1"),
        ("ZREM", "crud", "x"),
        ("BLPOP", "arq:bell:crud", "1"),
        ("SET", "arq:in-progress:crud:x", "mine"),
        ("ZADD", "arq:leases:crud", "1", "x"),
        ("SET", "crud:crud:epoch", "x"),
        ("SET", "arq:job:other:x", "{}"),
        ("GET", "crud:other:result:x"),
        ("EVAL", "return redis.call('GET', 'arq:job:crud:x')", "0"),
        ("SUBSCRIBE", "crud:other:result:x"),
        ("PUBLISH", "crud:crud:result:x", "mine"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("MONITOR",),
    ],
    "worker": [
        ("GET", "arq:job:other:x"),
        ("SET", "crud:other:epoch", "x"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("ACL", "LIST"),
        ("MONITOR",),
        ("SHUTDOWN",),
        ("REPLICAOF", "NO", "ONE"),
    ],
    "operator": [
        ("SET", "arq:job:crud:x", "{}"),
        ("ZADD", "crud", "1", "x"),
        ("ZREM", "crud", "x"),
        ("DEL", "crud:crud:refused"),
        ("PUBLISH", "crud:crud:result:x", "mine"),
        ("EVAL", "return 1", "0"),
        ("GET", "arq:job:other:x"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
    ],
}


@pytest.mark.parametrize("user", FORBIDDEN)
async def test_each_side_is_refused_what_is_not_its_own(
    user: str, guarded: RedisWithUsers, admin: Redis
) -> None:
    async with Redis.from_url(url_of(guarded, user)) as redis:
        for words in FORBIDDEN[user]:
            with pytest.raises(NoPermissionError):
                await redis.execute_command(*words)
    told = {entry["username"] for entry in await admin.acl_log()}
    assert told == {user}


async def test_nobody_comes_in_without_a_name(guarded: RedisWithUsers) -> None:
    async with Redis.from_url(guarded.url) as nobody:
        with pytest.raises(AuthenticationError):
            await nobody.ping()


async def test_an_operator_who_may_only_read_sees_how_things_are(
    guarded: RedisWithUsers, producer: Producer, admin: Redis, database_url: str
) -> None:
    ada = CreateUser(username="ada")
    await producer.send(ada)
    environment = environment_of(database_url, url_of(guarded, "operator"), "crud")

    for words in (("status",), ("check",), ("why", "user", str(ada.id)), ("refused", "list"), ("verify",)):
        ran = await command_line(*words, environment=environment)
        assert ran.returncode == 0, ran.stderr + ran.stdout
    assert (await command_line("refused", "clear", environment=environment)).returncode == 1
    assert {entry["object"] for entry in await admin.acl_log()} == {"del"}


@pytest.fixture
async def roles(empty_database_url: str) -> AsyncIterator[dict[str, str]]:
    """The URLs of the roles of deploy/postgres/roles.sql, which are there for one test."""
    async with roles_on(empty_database_url) as roles:
        yield roles


async def test_a_role_that_makes_no_tables_carries_commands_out(
    roles: dict[str, str], producer: Producer, queue: QueueSettings, running: Running, admin: Redis
) -> None:
    migrate = await command_line(
        "migrate", environment=environment_of(roles["migrate"], queue.redis_url, "crud")
    )
    assert migrate.returncode == 0, migrate.stderr
    async with engine_as(roles["migrate"]) as engine, engine.begin() as connection:
        sender = make_url(roles["sender"]).username
        await connection.execute(text(f"GRANT INSERT ON outbox TO {sender}"))

    options = WorkerOptions(database_url=roles["worker"], concurrency=3, max_attempts=1, feed=True)
    app = App(HANDLERS, settings=options, queue=queue, migrations=[EXAMPLE])
    async with running(app):
        ada = await (await producer.send(CreateUser(username="ada"))).result(20)
        async with engine_as(roles["sender"]) as engine, AsyncSession(engine) as session, session.begin():
            written = await send(session, UpdateUser(id=ada.id, age=36), outbox=Outbox(queue="crud"))
        assert await written.receipt(producer).result(20) is not None
    await app.close()
    assert await refusals(admin) == []


async def test_each_role_is_refused_what_is_not_its_own(roles: dict[str, str], queue: QueueSettings) -> None:
    environment = environment_of(roles["migrate"], queue.redis_url, "crud")
    assert (await command_line("migrate", environment=environment)).returncode == 0
    refused = {
        "worker": (
            "CREATE TABLE t (n int)",
            "DROP TABLE users",
            "ALTER TABLE users ADD n int",
            "TRUNCATE users",
        ),
        "reader": ("UPDATE users SET age = 1", "DELETE FROM dead_letters", "CREATE TABLE t (n int)"),
        "sender": ("SELECT 1 FROM users", "SELECT 1 FROM outbox", "DELETE FROM processed_commands"),
    }
    for role, statements in refused.items():
        async with engine_as(roles[role]) as engine:
            for statement in statements:
                with pytest.raises(ProgrammingError, match=r"must be owner|permission denied"):
                    async with engine.begin() as connection:
                        await connection.execute(text(statement))
