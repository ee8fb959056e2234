"""All that a dashboard shows: each of its pages, live parts and forms, read as a person who is signed in."""

import html
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.routing import Route

from producers.settings import QueueSettings
from tests.processes import Process
from worker.app import App
from worker.dashboard.app import dashboard
from worker.dashboard.settings import DashboardSettings
from worker.settings import WorkerOptions

PASSWORD = "correct horse battery"
LIVE = ("/events/overview", "/events/workers")
STARTS = ("/", "/sign-in", "/commands", "/workers", "/failures")


async def screens(environment: dict[str, str], command_ids: Sequence[str]) -> str:
    """Read every page that a link leads to, those of these commands, and the answers to forms.

    Fails where there is a page of the dashboard that was not read.
    """
    async with _signed_in(environment) as client:
        pages: dict[str, str] = {}
        left = [*STARTS, *(f"/commands/{one}" for one in command_ids)]
        while left:
            if (path := left.pop()) not in pages:
                answer = await client.get(path)
                assert answer.status_code in {200, 303}, f"{path}: {answer.text}"
                pages[path] = f"{answer.headers.get('Location', '')}{answer.text}"
                left += [link for link in _links(answer.text) if link not in pages]
        for path in LIVE:
            pages[path] = await _drawn(client, path)
        assert await _routes(environment, pages) == []
        letters = [path for path in pages if path.startswith("/failures/letters/")]
        return "".join([*pages.values(), *[text async for text in _answers(client, letters, pages)]])


def _links(page: str) -> list[str]:
    found = (html.unescape(link) for link in re.findall(r'href="(/[^"]*)"', page))
    return [link for link in found if not link.startswith("/static/")]


async def _drawn(client: httpx.AsyncClient, path: str) -> str:
    """Listen until a live part was drawn."""
    told = ""
    async with client.stream("GET", path) as answer:
        async for line in answer.aiter_lines():
            told += f"{line}\n"
            if not line and "event: draw" in told:
                break
    return told


async def _answers(
    client: httpx.AsyncClient, letters: Sequence[str], pages: dict[str, str]
) -> AsyncIterator[str]:
    """What is said to edits that the models refuse, and to what cannot be done."""
    [word] = {*re.findall(r'name="form_word" value="([^"]+)"', "".join(pages.values()))}
    edit = {f"field.{name}": "no such" for name in ("age", "way", "where", "rows", "commands")}
    for path in letters:
        answer = await client.post(path, data=edit | {"form_word": word})
        assert answer.status_code == 422, answer.text
        yield answer.text
    chosen: dict[str, Any] = {"form_word": word, "id": [path.rpartition("/")[2] for path in letters]}
    for action in ("retry", "drop"):
        for at in ("confirm", "act"):  # the count that is to be written back is missing
            yield (await client.post(f"/failures/{at}", data=chosen | {"action": action})).text


async def _routes(environment: dict[str, str], read: dict[str, str]) -> list[str]:
    """List the pages of the dashboard that were not read."""
    options = WorkerOptions(database_url=environment["DATABASE_URL"])
    queue = QueueSettings(redis_url=environment["REDIS_URL"], name=environment["QUEUE_NAME"])
    made = dashboard(App({}, settings=options, queue=queue), DashboardSettings.load(password=PASSWORD))
    await made.state.board.close()
    paths = [path.partition("?")[0] for path in read]
    routes = [route for route in made.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    return [route.path for route in routes if not any(map(route.path_regex.match, paths))]


@asynccontextmanager
async def _signed_in(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    settings = {"WORKER_DASHBOARD_PASSWORD": PASSWORD, "WORKER_DASHBOARD_WRITE": "true"}
    with Process("dashboard", "--port", "0", environment=environment | settings) as process:
        await process.says('"dashboard.started"')
        url = process.events("dashboard.started")[0]["url"].rstrip("/")
        async with httpx.AsyncClient(
            base_url=url, timeout=20, trust_env=False, headers={"Origin": url}
        ) as client:
            answer = await client.post("/sign-in", data={"secret": PASSWORD})
            assert answer.status_code == 303, answer.text
            yield client
        assert "dashboard.failed" not in process.output
