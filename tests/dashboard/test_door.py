"""Nobody sees or does anything in the dashboard without a session, and no other site in their name."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from producers import Producer
from producers.errors import InvalidSettings
from tests.dashboard.conftest import (
    HERE,
    PASSWORD,
    TOKEN,
    UNKNOWN,
    Browser,
    Open,
    form_word,
    rejected,
    signed_in,
)
from tests.guarantees.conftest import Drain, Rows
from worker.app import App
from worker.dashboard.guard import LARGEST, LARGEST_OF_STRANGERS, OPEN
from worker.dashboard.settings import DashboardSettings
from worker.dashboard.throttle import FAILURES, WINDOW, Throttle

PAGES = [
    "/",
    "/commands",
    f"/commands/{UNKNOWN}",
    "/entity?name=user:1",
    "/workers",
    "/failures",
    "/failures/0123abcd",
]
PAGES += [f"/failures/letters/{UNKNOWN}"]
POSTS = ["/sign-out", "/failures/confirm", "/failures/act", f"/failures/letters/{UNKNOWN}"]
OTHER_SITE = {"Origin": "https://evil.test"}


@pytest.mark.parametrize("page", PAGES)
async def test_a_browser_without_a_session_is_sent_to_the_sign_in(stranger: Browser, page: str) -> None:
    answer = await stranger.get(page)
    assert (answer.status_code, answer.headers["Location"], answer.text) == (303, "/sign-in", "")


@pytest.mark.parametrize("path", ["/static/live.js", "/events/overview", "/events/workers"])
async def test_neither_scripts_nor_events_are_for_strangers(stranger: Browser, path: str) -> None:
    assert (await stranger.get(path)).status_code == 401


async def test_the_sign_in_shows_a_form_and_nothing_of_the_queue(stranger: Browser, queue_name: str) -> None:
    page = await stranger.get("/sign-in")
    assert page.status_code == 200
    assert 'type="password"' in page.text
    assert "/commands" not in page.text
    assert queue_name not in page.text
    assert {(await stranger.get(path)).status_code for path in OPEN} == {200}


@pytest.mark.parametrize("path", POSTS)
async def test_a_stranger_can_do_nothing(stranger: Browser, path: str) -> None:
    assert (await stranger.post(path, data={"action": "drop", "id": UNKNOWN})).status_code == 401


@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
async def test_password_and_token_open_the_door(stranger: Browser, secret: str) -> None:
    answer = await stranger.post("/sign-in", data={"secret": secret})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    [cookie] = answer.headers.get_list("set-cookie")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert (await stranger.get("/")).status_code == 200


async def test_over_https_the_cookie_goes_by_https_only(stranger: Browser) -> None:
    headers = {"Origin": "https://dashboard.test"}
    answer = await stranger.post("https://dashboard.test/sign-in", data={"secret": PASSWORD}, headers=headers)
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("secret", ["", "correct horse", PASSWORD + "x", "é"])
async def test_a_wrong_password_does_not(stranger: Browser, secret: str) -> None:
    answer = await stranger.post("/sign-in", data={"secret": secret})
    assert answer.status_code == 401
    assert "neither the password nor the token" in answer.text
    assert "crud_dashboard" not in stranger.cookies


@pytest.mark.parametrize("said", [True, False], ids=["its length is said", "in parts"])
async def test_a_form_that_is_too_large_is_not_read_to_its_end(stranger: Browser, *, said: bool) -> None:
    read = 0

    async def parts(count: int) -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(count):
            read += 1024
            yield b"secret=" + b"x" * 1017

    async def post(path: str, *, size: int) -> httpx.Response:
        body = b"secret=".ljust(size, b"x") if said else parts(size // 1024)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return await stranger.post(path, content=body, headers=form)

    assert (await post("/sign-in", size=LARGEST_OF_STRANGERS)).status_code == 401
    read = 0
    refused = await post("/sign-in", size=100 * LARGEST_OF_STRANGERS)
    assert refused.status_code == 413
    assert "too large: 16 KiB at most" in refused.text
    assert read <= LARGEST_OF_STRANGERS + 1024
    await signed_in(stranger)
    assert (await post("/failures/act", size=LARGEST)).status_code != 413
    assert (await post("/failures/act", size=LARGEST + 1024)).status_code == 413


async def test_files_and_a_form_without_end_are_not_taken(stranger: Browser) -> None:
    sent = await stranger.post("/sign-in", files={"secret": b"x"})
    assert (sent.status_code, "Not taken" in sent.text) == (400, True)
    sent = await stranger.post("/sign-in", data={f"field-{number}": "" for number in range(100)})
    assert (sent.status_code, "Not taken" in sent.text) == (400, True)


async def test_where_there_is_no_token_an_empty_one_is_none(open_dashboard: Open) -> None:
    browser = open_dashboard(token="")
    assert (await browser.get("/", headers={"Authorization": "Bearer "})).status_code == 401
    assert (await browser.post("/sign-in", data={"secret": ""})).status_code == 401


async def test_a_program_sends_its_token_each_time(stranger: Browser) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert (await stranger.get("/commands", headers=bearer)).status_code == 200
    assert (await stranger.get("/commands")).status_code == 303
    assert (
        await stranger.get("/commands", headers={"Authorization": f"Bearer {PASSWORD}"})
    ).status_code == 401


@pytest.mark.parametrize("bearer", [True, False], ids=["bearer", "form"])
async def test_who_guesses_has_to_wait_even_with_the_right_one(stranger: Browser, *, bearer: bool) -> None:
    async def try_(secret: str) -> httpx.Response:
        if bearer:
            return await stranger.get("/commands", headers={"Authorization": f"Bearer {secret}"})
        return await stranger.post("/sign-in", data={"secret": secret})

    assert {(await try_(f"guess {number}")).status_code for number in range(FAILURES)} == {401}
    answer = await try_(TOKEN)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= WINDOW


def test_the_wait_ends_and_others_do_not_wait() -> None:
    now = 1000.0
    throttle = Throttle(lambda: now)
    for _ in range(FAILURES):
        throttle.failed("one")
    assert (throttle.wait("one"), throttle.wait("other")) == (WINDOW, 0)
    now += WINDOW
    assert throttle.wait("one") == 0
    throttle.failed("one")
    throttle.succeeded("one")
    assert throttle.wait("one") == 0


async def test_a_session_that_was_forged_or_is_over_is_none(open_dashboard: Open) -> None:
    browser = await signed_in(open_dashboard(session=1e-9))
    assert (await browser.get("/")).status_code == 303
    cookie = (await signed_in(open_dashboard())).cookies["crud_dashboard"]
    forged = open_dashboard()
    for text in (cookie[:-1] + "A" * (cookie[-1] != "A"), "a.b.c", ""):
        forged.cookies = httpx.Cookies({"crud_dashboard": text})
        assert (await forged.get("/")).status_code == 303


async def test_another_password_ends_all_sessions(open_dashboard: Open) -> None:
    before, after = await signed_in(open_dashboard()), open_dashboard(password="another password")
    restarted = open_dashboard()
    restarted.cookies = after.cookies = before.cookies
    assert (await restarted.get("/")).status_code == 200
    assert (await after.get("/")).status_code == 303


async def test_who_signs_out_is_out(browser: Browser) -> None:
    assert (await browser.post("/sign-out")).headers["Location"] == "/sign-in"
    assert (await browser.get("/")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [OTHER_SITE, {"Origin": "null"}, {"Origin": ""}, {"Origin": HERE, "Sec-Fetch-Site": "cross-site"}],
    ids=["another site", "null", "none", "said by the browser"],
)
async def test_what_another_site_sends_does_nothing(
    browser: Browser, producer: Producer, drain: Drain, app: App, letters: Rows, headers: dict[str, str]
) -> None:
    [command_id] = await rejected(producer, "ada")
    await drain(app)
    form = {"form_word": await form_word(browser), "action": "drop", "id": command_id, "count": "1"}
    assert (await browser.post("/failures/act", data=form, headers=headers)).status_code == 403
    assert [row.state for row in await letters()] == ["rejected"]
    assert (await browser.post("/sign-in", data={"secret": PASSWORD}, headers=headers)).status_code == 403
    assert (await browser.post("/failures/act", data=form)).status_code == 303
    assert [row.state for row in await letters()] == ["dropped"]


async def test_a_form_without_the_word_of_its_session_does_nothing(
    browser: Browser, open_dashboard: Open
) -> None:
    other = await signed_in(open_dashboard(write=True))
    for word in ("", "x", await form_word(other)):
        form = {"form_word": word, "action": "drop", "id": UNKNOWN, "count": "1"}
        answer = await browser.post("/failures/act", data=form)
        assert answer.status_code == 403
        assert "another session" in answer.text


@pytest.mark.parametrize("path", ["/failures/confirm", "/failures/act", f"/failures/letters/{UNKNOWN}"])
async def test_a_dashboard_that_only_shows_does_nothing(open_dashboard: Open, path: str) -> None:
    browser = await signed_in(open_dashboard())
    form = {"form_word": await form_word(browser), "action": "drop", "id": UNKNOWN, "count": "1"}
    answer = await browser.post(path, data=form)
    assert answer.status_code == 403
    assert "--write" in answer.text
    assert "read-only" in (await browser.get("/failures")).text


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/style.css", "/nowhere", "/events/nothing"])
async def test_every_answer_bears_the_headers(browser: Browser, path: str) -> None:
    headers = (await browser.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("page", PAGES)
async def test_no_page_has_script_or_style_in_it(browser: Browser, page: str) -> None:
    text = (await browser.get(page)).text
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)


@pytest.mark.parametrize("stripped", [True, False], ids=["stripped by the proxy", "left"])
async def test_behind_a_proxy_all_is_under_the_base_path(open_dashboard: Open, *, stripped: bool) -> None:
    browser, at = open_dashboard(base_path="ops/crud/"), "" if stripped else "/ops/crud"
    assert (await browser.get(f"{at}/workers")).headers["Location"] == "/ops/crud/sign-in"
    answer = await browser.post(f"{at}/sign-in", data={"secret": PASSWORD})
    assert answer.headers["Location"] == "/ops/crud/"
    assert "Path=/ops/crud" in answer.headers["set-cookie"]
    page = await browser.get(f"{at}/", headers={"Cookie": answer.headers["set-cookie"].partition(";")[0]})
    assert page.status_code == 200
    paths = re.findall(r'(?:src|href|action|data-events)="([^"#][^"]*)"', page.text)
    assert paths
    assert [path for path in paths if not path.startswith("/ops/crud/")] == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "WORKER_DASHBOARD_PASSWORD"),
        ({"password": "short"}, "WORKER_DASHBOARD_PASSWORD is too short"),
        ({"token": "short"}, "WORKER_DASHBOARD_TOKEN is too short"),
        ({"password": PASSWORD, "base_path": "/a/../b"}, "WORKER_DASHBOARD_BASE_PATH: must look like /crud"),
        ({"password": PASSWORD, "port": 99999}, "WORKER_DASHBOARD_PORT"),
    ],
)
def test_settings_that_let_nobody_or_anybody_in_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, object], told: str
) -> None:
    for name in DashboardSettings.model_fields:
        monkeypatch.delenv(DashboardSettings.variable(name), raising=False)
    with pytest.raises(InvalidSettings, match=told) as refused:
        DashboardSettings.load(**given)
    assert "short'" not in str(refused.value)
