"""The dashboard by TLS, with the least rights of deploy/ and where commands are signed."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import Row

from producers import Producer, QueueSettings
from tests.dashboard.conftest import PASSWORD, TOKEN, UNKNOWN, links, rejected
from tests.guarantees.conftest import Rows, Running
from tests.guarded_redis import RedisByTLSWithUsers
from tests.processes import Process, command_line, environment_of
from tests.rights import USERS, password_of, roles_on
from tests.waiting import until
from worker.app import App
from worker.demo.servers import ServerError
from worker.handlers import HANDLERS
from worker.models.migrations import EXAMPLE
from worker.settings import WorkerOptions

KEY = "a key of thirty-two characters at the least"

OpenAs = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisByTLSWithUsers]:
    """A Redis by TLS, with the users of deploy/redis/users.acl."""
    try:
        server = RedisByTLSWithUsers(USERS)
        server.start()
    except ServerError as missing:
        pytest.skip(f"no Redis with TLS to start: {str(missing).splitlines()[0]}")
    yield server
    server.close()


@pytest.fixture
def redis_as(guarded: RedisByTLSWithUsers) -> Callable[[str], str]:
    """Gives the REDIS_URL of a user."""
    return lambda user: guarded.url_by_tls(f"{user}:{password_of(user)}")


@pytest.fixture
async def admin(guarded: RedisByTLSWithUsers) -> AsyncIterator[Redis]:
    """Who may do everything, and finds nothing there."""
    async with Redis.from_url(guarded.url_by_tls("admin:admin")) as admin:
        await admin.flushall()
        await admin.acl_log_reset()
        yield admin


@pytest.fixture
def queue(redis_as: Callable[[str], str], admin: Redis) -> QueueSettings:  # noqa: ARG001  # it empties it
    """The queue that the file is written for, as a worker sees it; its commands are signed."""
    return QueueSettings(redis_url=redis_as("worker"), name="crud", redis_retries=0, signing_keys=KEY)


@pytest.fixture
async def producer(redis_as: Callable[[str], str], queue: QueueSettings) -> AsyncIterator[Producer]:
    """A producer, as one."""
    settings = queue.model_copy(update={"redis_url": redis_as("producer")})
    async with Producer(settings=settings) as producer:
        yield producer


@pytest.fixture
async def roles(empty_database_url: str, queue: QueueSettings) -> AsyncIterator[dict[str, str]]:
    """The URLs of the roles of deploy/postgres/roles.sql, in a database that is migrated."""
    async with roles_on(empty_database_url) as roles:
        environment = environment_of(roles["migrate"], queue.redis_url, queue.name)
        migrated = await command_line("migrate", environment=environment)
        assert migrated.returncode == 0, migrated.stderr
        yield roles


@pytest.fixture
async def app(roles: dict[str, str], queue: QueueSettings) -> AsyncIterator[App]:
    """A worker's App with a worker's rights."""
    options = WorkerOptions(database_url=roles["worker"], concurrency=3, max_attempts=1)
    app = App(HANDLERS, settings=options, queue=queue, migrations=[EXAMPLE])
    yield app
    await app.close()


@pytest.fixture
def own_letters(app: App) -> Rows:
    """Reads the dead letters, in the order of their ids."""
    table = app.tables.dead_letters

    async def read() -> list[Row[Any]]:
        async with app.sessions() as session:
            return list((await session.execute(table.select().order_by(table.c.command_id))).all())

    return read


@pytest.fixture
def open_as(roles: dict[str, str], redis_as: Callable[[str], str], queue: QueueSettings) -> OpenAs:
    """Starts a dashboard that may write, as a user of Redis and a role of PostgreSQL, and signs in."""

    @asynccontextmanager
    async def open_as(user: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
        settings = {
            "WORKER_DASHBOARD_PASSWORD": PASSWORD,
            "WORKER_DASHBOARD_TOKEN": TOKEN,
            "WORKER_LOG_LEVEL": "info",
            "QUEUE_SIGNING_KEYS": KEY,
        }
        environment = environment_of(roles[role], redis_as(user), queue.name, **settings)
        with Process("dashboard", "--port", "0", "--write", environment=environment) as process:
            await process.says("dashboard.started")
            url = process.events("dashboard.started")[0]["url"].rstrip("/")
            async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"Origin": url}) as browser:
                signed_in = await browser.post("/sign-in", data={"secret": PASSWORD})
                assert signed_in.status_code == 303, signed_in.text
                yield browser
            assert process.events("dashboard.failed") == []

    return open_as


async def send(browser: httpx.AsyncClient, path: str, *, letter: str, **form: object) -> httpx.Response:
    """Send a form with the word that the page of a letter bears in this session."""
    page = await browser.get(f"/failures/letters/{letter}")
    found = re.search(r'name="form_word" value="([^"]+)"', page.text)
    assert found, page.text
    return await browser.post(path, data={"form_word": found[1], **form})


async def see_every_page(browser: httpx.AsyncClient, command_id: str) -> None:
    """Look at every page, and hear of no problem there."""
    [group] = links((await browser.get("/failures")).text, "/failures/")
    story = (await browser.get(f"/commands/{command_id}")).text
    [row, *_] = links(story, "/entity?name=")
    pages = ["/", "/commands", f"/commands/{command_id}", row, "/workers", "/failures", group]
    for path in [*pages, f"/failures/letters/{command_id}"]:
        page = await browser.get(path)
        assert page.status_code == 200, path
        assert not re.search(r"does not answer|refused \(", page.text), path
    confirm = await send(browser, "/failures/confirm", letter=command_id, action="drop", id=command_id)
    assert "Write 1 to go on" in confirm.text
    for part in ("overview", "workers"):
        async with browser.stream("GET", f"/events/{part}") as stream:
            async for line in stream.aiter_lines():
                assert "does not answer" not in line
                if line == "":
                    break


async def refusals(admin: Redis) -> set[tuple[str, str]]:
    return {(entry["username"], entry["object"]) for entry in await admin.acl_log()}


async def test_as_a_worker_it_shows_all_and_retries_and_drops(
    open_as: OpenAs, producer: Producer, running: Running, app: App, own_letters: Rows, admin: Redis
) -> None:
    first, second = await rejected(producer, "ada", "grace")
    async with running(app), open_as("worker", "worker") as browser:
        await until(lambda: _are(own_letters, ["rejected", "rejected"]))
        await see_every_page(browser, first)
        mended = await send(
            browser, f"/failures/letters/{first}", letter=first, **{"field.username": "hopper"}
        )
        assert mended.headers.get("Location") == f"/commands/{first}", mended.text
        await until(lambda: _are(own_letters, ["resolved", "rejected"]))
        dropped = await send(browser, "/failures/act", letter=second, action="drop", count="1", id=second)
        assert dropped.headers.get("Location") == f"/commands/{second}", dropped.text
        await until(lambda: _are(own_letters, ["resolved", "dropped"]))
    assert await refusals(admin) == set()


async def test_as_who_only_reads_it_shows_all_and_says_why_it_does_nothing(
    open_as: OpenAs, producer: Producer, running: Running, app: App, own_letters: Rows, admin: Redis
) -> None:
    [command_id] = await rejected(producer, "ada")
    async with running(app), open_as("operator", "reader") as browser:
        await until(lambda: _are(own_letters, ["rejected"]))
        await see_every_page(browser, command_id)
        for action in ("retry", "drop"):
            form = {"letter": command_id, "action": action, "count": "1", "id": command_id}
            told = await send(browser, "/failures/act", **form)
            assert "has this user the rights" in told.text
        assert (await browser.get(f"/commands/{UNKNOWN}")).status_code == 404
    assert await _are(own_letters, ["rejected"])
    assert await refusals(admin) == set()


async def test_where_redis_refuses_its_user_it_says_so(
    open_as: OpenAs, producer: Producer, running: Running, app: App, own_letters: Rows, admin: Redis
) -> None:
    [command_id] = await rejected(producer, "ada")
    async with running(app), open_as("producer", "worker") as browser:
        await until(lambda: _are(own_letters, ["rejected"]))
        assert "Redis refused (NoPermissionError)" in (await browser.get("/workers")).text
    async with open_as("operator", "worker") as browser:
        for action, told in (("retry", "was not sent"), ("drop", "Redis refused (QueueUnavailable)")):
            form = {"letter": command_id, "action": action, "count": "1", "id": command_id}
            done = await send(browser, "/failures/act", **form)
            assert told in done.text
    assert {user for user, _ in await refusals(admin)} == {"producer", "operator"}


async def _are(letters: Rows, states: list[str]) -> bool:
    return [row.state for row in await letters()] == states
