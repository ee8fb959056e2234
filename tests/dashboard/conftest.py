"""A dashboard on real servers, as a browser meets it: `browser` is signed in, `stranger` is not."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from producers import Producer
from producers.commands import CreateUser
from tests.guarantees import conftest as guarantees
from tests.guarantees.conftest import MakeApp
from worker.dashboard.app import dashboard
from worker.dashboard.board import Board
from worker.dashboard.settings import DashboardSettings

app, make_app, keeps_connections = guarantees.app, guarantees.make_app, guarantees.keeps_connections
producer, queue = guarantees.producer, guarantees.queue
drain, running = guarantees.drain, guarantees.running
database, endings, letters = guarantees.database, guarantees.endings, guarantees.letters

PASSWORD, TOKEN = "correct horse battery", "c0ffee-c0ffee-c0ffee"
HERE = "http://dashboard.test"

UNKNOWN = "0198c0de-0000-7000-8000-000000000001"
"""The id of no command."""

Browser = httpx.AsyncClient
Open = Callable[..., Browser]


@pytest.fixture
def carrier(request: pytest.FixtureRequest) -> str:
    """What carries commands out: the engine, unless a test asks for arq's own Worker."""
    return str(getattr(request, "param", "engine"))


@pytest.fixture
async def open_dashboard(make_app: MakeApp) -> AsyncIterator[Open]:
    """Opens dashboards; `settings` are fields of DashboardSettings, `options` those of WorkerOptions."""
    opened: list[Browser] = []

    def open_(
        redis_url: str = "",
        options: dict[str, Any] | None = None,
        **settings: object,
    ) -> Browser:
        app = make_app(**(options or {}))
        if redis_url:
            app.queue = app.queue.model_copy(update={"redis_url": redis_url})
        made = dashboard(app, DashboardSettings.load(**{"password": PASSWORD, "token": TOKEN, **settings}))
        transport = httpx.ASGITransport(app=made, client=("192.0.2.1", 1234))
        opened.append(Browser(transport=transport, base_url=HERE, headers={"Origin": HERE}))
        return opened[-1]

    yield open_
    for browser in opened:
        await browser.aclose()
        await board_of(browser).close()


def board_of(browser: Browser) -> Board:
    """The board behind it."""
    transport: Any = browser._transport
    board: Board = transport.app.state.board
    return board


@pytest.fixture
def stranger(open_dashboard: Open) -> Browser:
    """A browser without a session."""
    return open_dashboard(write=True)


@pytest.fixture
async def browser(open_dashboard: Open) -> Browser:
    """A browser that is signed in, where writing is allowed."""
    return await signed_in(open_dashboard(write=True))


async def signed_in(browser: Browser) -> Browser:
    """Sign in."""
    answer = await browser.post("/sign-in", data={"secret": PASSWORD})
    assert answer.status_code == 303, answer.text
    return browser


async def form_word(browser: Browser) -> str:
    """The word that the forms of its session bear."""
    board = board_of(browser)
    session = board.sessions.read(browser.cookies["crud_dashboard"])
    assert session is not None
    return str(board.sessions.form_word(session))


async def rejected(producer: Producer, *usernames: str) -> list[str]:
    """Send users of these names twice: the second ones will be rejected; return their ids."""
    ids = []
    for username in usernames:
        first, again = (
            CreateUser(username=username, email=f"{mailbox}@example.com")
            for mailbox in (username, f"other-{username}")
        )
        await producer.send(first, ordering_key=username)
        sent = await producer.send(again, ordering_key=username)
        ids.append(str(sent.command_id))
    return ids


def links(page: str, begin: str) -> list[str]:
    """The links in a page that begin so."""
    return list(dict.fromkeys(re.findall(rf'href="({re.escape(begin)}[^"]+)"', page)))
