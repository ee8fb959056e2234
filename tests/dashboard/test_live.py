"""The dashboard in a real browser: what is live, what a keyboard reaches, dark and light, no complaint."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from producers import Producer
from producers.commands import CreateUser
from tests.dashboard.conftest import PASSWORD, TOKEN, links, rejected
from tests.guarantees.conftest import Drain
from tests.processes import Process, command_line, environment_of
from worker.app import App

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture
def environment(database_url: str, redis_url: str, queue_name: str) -> dict[str, str]:
    secrets = {
        "WORKER_DASHBOARD_PASSWORD": PASSWORD,
        "WORKER_DASHBOARD_TOKEN": TOKEN,
        "WORKER_LOG_LEVEL": "info",
    }
    return environment_of(database_url, redis_url, queue_name, **secrets)


@pytest.fixture
async def url(environment: dict[str, str]) -> AsyncIterator[str]:
    """Where a dashboard of its own process is."""
    with Process("dashboard", "--port", "0", "--write", environment=environment) as process:
        await process.says("dashboard.started")
        yield process.events("dashboard.started")[0]["url"].rstrip("/")
        await process.stop()
        assert process.events("dashboard.failed") == []


@pytest.fixture
async def page(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A page of a signed-in browser, which has complained of nothing in the end."""
    said: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        options = getattr(request, "param", {})
        page = await browser.new_page(base_url=url, **options)
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto("/sign-in")
        await page.fill("#secret", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("[data-state=on]")
        yield page
        await browser.close()
    assert said == []


@needs_browser
async def test_what_is_live_changes_by_itself(page: Page, producer: Producer) -> None:
    waiting = page.locator(".tile", has_text="Waiting").locator("dd").first
    assert await waiting.inner_text() == "0"
    await producer.send_many([CreateUser(username=f"user-{number}") for number in range(7)])
    await expect(waiting).to_have_text("7", timeout=20_000)


@needs_browser
async def test_a_part_with_the_focus_is_left_alone(page: Page, producer: Producer) -> None:
    await page.locator(".tiles a").first.focus()
    await page.evaluate("document.querySelector('[data-part=tiles]').dataset.kept = 'yes'")
    await page.evaluate("document.querySelector('[data-part=verdict]').textContent = 'old'")
    await producer.send(CreateUser(username="ada"))
    await expect(page.locator("[data-part=verdict]")).not_to_have_text("old", timeout=20_000)
    assert await page.locator("[data-part=tiles]").get_attribute("data-kept") == "yes"


@needs_browser
async def test_a_keyboard_is_enough(page: Page, producer: Producer, drain: Drain, app: App) -> None:
    [command_id] = await rejected(producer, "ada")
    await drain(app)
    await page.goto("/failures")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    for _ in range(2):  # the table, then its first link
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/failures/*")
    await page.goto(f"/failures/letters/{command_id}")
    await page.get_by_label("username").focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("ada-2")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/commands/{command_id}")


@needs_browser
@pytest.mark.parametrize(
    ("page", "ground"),
    [({"color_scheme": "light"}, "rgb(246, 247, 248)"), ({"color_scheme": "dark"}, "rgb(17, 22, 27)")],
    indirect=["page"],
    ids=["light", "dark"],
)
async def test_it_is_as_light_or_dark_as_a_person_has_it(page: Page, ground: str) -> None:
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == ground


@needs_browser
@pytest.mark.parametrize("page", [{"viewport": {"width": 360, "height": 720}}], indirect=True)
@pytest.mark.parametrize("path", ["/", "/commands", "/workers", "/failures"])
async def test_no_page_is_wider_than_a_phone(page: Page, path: str) -> None:
    await page.goto(path)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


@needs_browser
@pytest.mark.parametrize("page", [{"java_script_enabled": True}], indirect=True)
async def test_what_is_not_live_needs_no_script(page: Page, producer: Producer) -> None:
    sent = await producer.send(CreateUser(username="ada"))
    browser = page.context.browser
    assert browser is not None
    plain = await browser.new_context(
        java_script_enabled=False, storage_state=await page.context.storage_state()
    )
    quiet = await plain.new_page()
    await quiet.goto(page.url + f"commands?id={sent.command_id}")
    assert "it waits for a worker" in await quiet.content()


async def test_events_are_a_stream_of_drawings_for_who_may(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with client.stream("GET", "/events/workers", headers=headers) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            lines = [line async for line in _until(stream, "event: draw")]
        assert lines[0].startswith("retry: ")
        assert (await client.get("/events/nothing", headers=headers)).status_code == 404


async def _until(stream: httpx.Response, last: str) -> AsyncIterator[str]:
    async for line in stream.aiter_lines():
        yield line
        if line == last:
            return


async def test_without_a_password_it_does_not_start_and_says_how(environment: dict[str, str]) -> None:
    without = {name: value for name, value in environment.items() if not name.startswith("WORKER_DASHBOARD")}
    refused = await command_line("dashboard", environment=without)
    assert refused.returncode == 1
    assert "WORKER_DASHBOARD_PASSWORD" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_without_its_extra_it_says_what_to_install(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError(name='starlette')")
    path = f"{tmp_path}:{environment['PYTHONPATH']}"
    refused = await command_line("dashboard", environment=environment | {"PYTHONPATH": path})
    assert refused.returncode == 1
    assert "pip install 'crud-worker[worker,dashboard]'" in refused.stderr


async def test_each_action_is_logged_with_who_and_what_and_no_value(
    environment: dict[str, str], producer: Producer, drain: Drain, app: App
) -> None:
    [command_id] = await rejected(producer, "ada")
    await drain(app)
    with Process("dashboard", "--port", "0", "--write", environment=environment) as process:
        await process.says("dashboard.started")
        url = process.events("dashboard.started")[0]["url"]
        async with httpx.AsyncClient(
            base_url=url, trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client:
            assert links((await client.get("failures")).text, "/failures/")
            form = {"field.username": "hopper"}
            assert (await client.post(f"failures/letters/{command_id}", data=form)).status_code == 303
        await process.says("dashboard.acted")
        [told] = process.events("dashboard.acted")
    assert (told["action"], told["command_id"]) == ("edited and retried", command_id)
    assert (told["session"], told["address"]) == ("bearer", "127.0.0.1")
    assert not re.search("hopper|@example", json.dumps(told))
