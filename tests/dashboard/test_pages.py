"""Every screen, on real data: what a person finds there, and that it holds nothing personal."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Producer
from producers.commands import CountUsers, CreateLike, CreateUser, UpdateUser
from tests.dashboard.conftest import UNKNOWN, Browser, Open, board_of, links, rejected, signed_in
from tests.guarantees.conftest import Drain, Running
from tests.provoked import misnamed
from tests.waiting import until
from worker.app import App
from worker.body import Body
from worker.dashboard.search import WINDOW
from worker.demo.servers import PostgresServer, RedisServer
from worker.tables import worker_tables

SCREENS = ("/", "/commands", "/workers", "/failures")


async def test_a_command_that_ended_well_tells_its_story(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    sent = await producer.send(CreateUser(username="ada", email="ada@example.com"))
    await drain(app)
    listed = (await browser.get("/commands")).text
    assert links(listed, "/commands/") == [f"/commands/{sent.command_id}"]
    page = (await browser.get(f"/commands/{sent.command_id}")).text
    for word in ("user.create", "accepted", "begun", "applied", "waited", "ran"):
        assert word in page
    [lane] = links(page, "/entity?name=")
    history = (await browser.get(lane)).text
    assert f"/commands/{sent.command_id}" in history
    assert "Nothing stands before it" in history
    assert "ada@example.com" not in listed + page + history


async def test_each_attempt_that_failed_is_in_the_story(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    sent = await producer.send(CreateLike(user_id=uuid4(), post_id=uuid4()))
    await drain(app)
    page = (await browser.get(f"/commands/{sent.command_id}")).text
    assert page.count("attempt failed: parent_missing") >= 2
    assert "foreign_key_violation, waited" in page
    assert "SQLSTATE 23503" in page
    assert "again after" in page
    assert page.index("accepted") < page.index("attempt failed") < page.index("foreign_key_violation, waited")


@pytest.mark.parametrize("carrier", ["arq"], indirect=True)
async def test_so_it_is_where_plain_arq_carries_them(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    sent = await producer.send(CreateLike(user_id=uuid4(), post_id=uuid4()))
    await drain(app)
    assert "attempt failed: parent_missing" in (await browser.get(f"/commands/{sent.command_id}")).text


async def test_a_command_that_waits_is_found_by_its_id_and_so_is_what_stands_before_it(
    browser: Browser, producer: Producer
) -> None:
    first = await producer.send(CreateUser(username="ada", email="ada@example.com"), command_id="import/ada")
    user_id = UUID(str((await read_payload(browser, first.command_id))["id"]))
    second = await producer.send(UpdateUser(id=user_id, age=36))
    found = await browser.get("/commands", params={"id": "import/ada"})
    assert found.headers["Location"] == f"/commands/{first.command_id}"
    page = (await browser.get(f"/commands/{first.command_id}")).text
    assert "it waits for a worker" in page
    assert "ada@example.com" not in page
    behind = (await browser.get(f"/commands/{second.command_id}")).text
    assert "It waits behind" in behind
    assert f"/commands/{first.command_id}" in behind
    lane = (await browser.get(f"/entity?name=user:{user_id}")).text
    assert lane.index(str(first.command_id)) < lane.index(str(second.command_id))


async def read_payload(browser: Browser, command_id: UUID) -> dict[str, object]:
    board = board_of(browser)
    payload: dict[str, object] = Body.known(await board.redis.get(board.keys.job(command_id))).payload
    return payload


async def test_a_read_is_known_as_long_as_its_answer(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    sent = await producer.send(CountUsers())
    await drain(app)
    assert "answered" in (await browser.get(f"/commands/{sent.command_id}")).text


@pytest.mark.parametrize(
    "page", [f"/commands/{UNKNOWN}", f"/failures/letters/{UNKNOWN}", "/failures/0", "/no"]
)
async def test_what_nobody_knows_is_said_to_be_unknown(browser: Browser, page: str) -> None:
    assert (await browser.get(page)).status_code == 404


async def test_a_search_by_kind_and_ending_finds_those_and_only_those(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    [refused] = await rejected(producer, "ada")
    await drain(app)
    for words in ({"ending": "rejected"}, {"kind": "user.create", "ending": "rejected"}):
        found = (await browser.get("/commands", params=words)).text
        assert links(found, "/commands/") == [f"/commands/{refused}"]
    for words in ({"kind": "post.create"}, {"entity": "user:nobody"}, {"ending": "dead"}):
        assert links((await browser.get("/commands", params=words)).text, "/commands/") == []
    assert (await browser.get("/commands", params={"before": "nonsense"})).status_code == 200


async def test_pages_follow_each_other_without_a_gap_or_a_command_twice(
    browser: Browser, database: AsyncEngine
) -> None:
    await fill(database, 120, ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    seen: list[str] = []
    at = "/commands"
    while at:
        page = (await browser.get(at)).text.replace("&amp;", "&")
        seen += links(page, "/commands/")
        at = next(iter(links(page, "/commands?")), "")
    assert len(seen) == len(set(seen)) == 120


async def test_a_search_looks_at_so_many_rows_and_says_how_far_back_it_was(
    browser: Browser, database: AsyncEngine
) -> None:
    await fill(database, 1, kind="rare.kind", ended_at=datetime(2025, 1, 1, tzinfo=UTC))
    await fill(database, WINDOW, ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    page = (await browser.get("/commands?kind=rare.kind")).text.replace("&amp;", "&")
    assert links(page, "/commands/") == []
    assert "Searched back to" in page
    [further] = links(page, "/commands?")
    page = (await browser.get(further)).text
    assert len(links(page, "/commands/")) == 1
    assert "Searched back to" not in page


async def fill(database: AsyncEngine, count: int, *, ended_at: datetime, kind: str = "user.create") -> None:
    """Write endings, all of the same moment."""
    row = {"kind": kind, "fingerprint": "", "ending": "applied", "ended_at": ended_at}
    async with database.begin() as connection:
        rows = [row | {"command_id": uuid4()} for _ in range(count)]
        await connection.execute(insert(worker_tables(None).processed_commands), rows)


async def test_workers_are_shown_with_what_they_have_in_hand(
    browser: Browser, running: Running, app: App
) -> None:
    assert "No worker is at work" in (await browser.get("/workers")).text
    async with running(app) as worker:
        await worker.ctx["presence"]._tell()
        page = (await browser.get("/workers")).text
        host, _, pid = worker.ctx["presence"].name.rpartition(":")
        assert f"<td>{host}</td>" in page
        assert pid in page
        assert "at work" in page


async def test_the_overview_says_first_what_is_not_well(
    browser: Browser, producer: Producer, running: Running, app: App
) -> None:
    assert "No worker is at work" in (await browser.get("/")).text
    async with running(app) as worker:
        await producer.send(CreateUser(username="ada"))
        await until(lambda: worker.ctx["presence"].finished == 1)
        await worker.ctx["presence"]._tell()
        page = (await browser.get("/")).text
        assert "All is well" in page
        assert page.count("<svg") == 4


async def test_the_overview_tells_of_jobs_that_were_refused(
    browser: Browser, producer: Producer, running: Running, app: App
) -> None:
    await misnamed(producer)
    async with running(app):
        await until(lambda: _is_refused(producer))
        assert "1 job was refused" in (await browser.get("/")).text


async def _is_refused(producer: Producer) -> bool:
    return bool(await producer.redis.exists(producer.keys.refused))


@pytest.mark.parametrize("screen", [*SCREENS, f"/commands/{UNKNOWN}", "/entity?name=user:1"])
async def test_while_the_database_is_away_every_screen_says_so(
    open_dashboard: Open, own_database_url: str, own_postgres: PostgresServer, screen: str
) -> None:
    browser = await signed_in(open_dashboard(write=True, options={"database_url": own_database_url}))
    assert (await browser.get(screen)).status_code in {200, 404}
    own_postgres.stop()
    page = await browser.get(screen)
    assert page.status_code == 200
    assert ("The database does not answer" in page.text) == (screen != "/workers")
    assert "Traceback" not in page.text


@pytest.mark.parametrize("screen", [*SCREENS, f"/commands/{UNKNOWN}", "/entity?name=user:1"])
async def test_while_redis_is_away_every_screen_says_so(
    own_redis: RedisServer, own_redis_url: str, open_dashboard: Open, screen: str
) -> None:
    browser = await signed_in(open_dashboard(redis_url=own_redis_url))
    own_redis.stop()
    page = await browser.get(screen)
    assert page.status_code == 200
    assert ("Redis does not answer" in page.text) == (screen not in {"/commands", "/failures"})


async def test_a_database_without_tables_is_told_how_to_be_mended(
    open_dashboard: Open, empty_database_url: str
) -> None:
    browser = await signed_in(open_dashboard(options={"database_url": empty_database_url}))
    for screen in ("/", "/commands", "/failures"):
        assert "python -m worker migrate" in (await browser.get(screen)).text
