"""What a person does in the dashboard about what failed: look, mend, retry, drop, one or many."""

from typing import Annotated
from uuid import UUID

import pytest
from pydantic import field_validator

from producers import Command, Producer
from producers.commands import Personal, Registry, UpdateUser
from producers.commands.hiding import restored
from producers.errors import QueueUnavailable
from tests.dashboard.conftest import Browser, form_word, links, rejected
from tests.guarantees.conftest import Drain, Rows
from worker.app import App
from worker.body import Body
from worker.dashboard.editing import edited, form_of
from worker.dead_letters import read_letter
from worker.models import User


async def act(browser: Browser, path: str, **form: object) -> str:
    """Send a form of the session; return where it leads, or the page."""
    answer = await browser.post(path, data={"form_word": await form_word(browser), **form})
    return str(answer.headers.get("Location", answer.text))


async def test_failures_are_grouped_and_lead_to_their_letters(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    ids = await rejected(producer, "ada", "grace")
    await drain(app)
    page = (await browser.get("/failures")).text
    [group] = links(page, "/failures/")
    assert "unique_violation" in page
    letters = links((await browser.get(group)).text, "/failures/letters/")
    assert sorted(letters) == sorted(f"/failures/letters/{command_id}" for command_id in ids)
    letter = (await browser.get(letters[0])).text
    assert "Traceback" in letter
    for text in (page, letter):
        assert "@example.com" not in text


async def test_a_letter_is_mended_validated_and_applied(
    browser: Browser, producer: Producer, drain: Drain, app: App, letters: Rows
) -> None:
    [command_id] = await rejected(producer, "ada")
    await drain(app)
    at = f"/failures/letters/{command_id}"

    refused = await act(browser, at, **{"field.username": "x" * 51, "field.age": "many"})
    assert "at most 50 characters" in refused
    assert "valid integer" in refused
    assert "x" * 51 in refused, "what was written is still there"
    assert [row.state for row in await letters()] == ["rejected"]

    assert (
        await act(browser, at, **{"field.username": "ada-2", "field.age": "36"}) == f"/commands/{command_id}"
    )
    await drain(app)
    [letter] = await letters()
    assert letter.state == "resolved"
    async with app.sessions() as session:
        user = await session.get(User, UUID(await read_id(app, command_id)))
        assert user is not None
        assert (user.username, user.age, user.email) == ("ada-2", 36, "other-ada@example.com")


async def read_id(app: App, command_id: str) -> str:

    async with app.sessions() as session:
        letter = await read_letter(session, app.tables, UUID(command_id))
    assert letter is not None
    return str(Body.known(letter.body).payload["id"])


@pytest.mark.parametrize(("action", "state"), [("retry", "retrying"), ("drop", "dropped")])
@pytest.mark.parametrize("whole", [True, False], ids=["a whole group", "chosen"])
async def test_many_are_acted_upon_once_their_count_was_written_back(
    browser: Browser,
    producer: Producer,
    drain: Drain,
    app: App,
    letters: Rows,
    action: str,
    state: str,
    *,
    whole: bool,
) -> None:
    ids = await rejected(producer, "ada", "grace", "edsger")
    await drain(app)
    [group] = links((await browser.get("/failures")).text, "/failures/")
    chosen: dict[str, object] = {"group": group.rpartition("/")[2]} if whole else {"id": ids[:2]}
    count = 3 if whole else 2

    asked = await act(browser, "/failures/confirm", action=action, **chosen)
    assert f"Write {count} to go on" in asked
    wrong = await act(browser, "/failures/act", action=action, count="1", **chosen)
    assert f"Write {count}:" in wrong
    assert {row.state for row in await letters()} == {"rejected"}

    done = await act(browser, "/failures/act", action=action, count=count, **chosen)
    assert f"{count} {'retried' if action == 'retry' else 'dropped'}" in done
    assert [row.state for row in await letters()].count(state) == count


async def test_where_redis_is_away_the_rest_of_many_is_left_as_it_is(
    browser: Browser,
    producer: Producer,
    drain: Drain,
    app: App,
    letters: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = await rejected(producer, "ada", "grace", "edsger")
    await drain(app)
    monkeypatch.setattr(Producer, "resend", unsent)

    done = await act(browser, "/failures/act", action="retry", count=3, id=ids)

    assert "0 retried" in done
    assert "2 were not tried" in done
    assert sorted(row.state for row in await letters()) == ["rejected", "rejected", "retrying"]
    [retried] = [str(row.command_id) for row in await letters() if row.state == "retrying"]
    shown = (await browser.get("/failures")).text
    assert f"/failures/letters/{retried}" in shown.partition("Being retried")[2]


async def unsent(*_: object) -> None:
    raise QueueUnavailable("Redis does not answer")


def test_a_form_tells_what_is_wrong_without_what_is_hidden() -> None:
    class Call(Command[None]):
        kind = "person.call"
        phone: Annotated[str, Personal()]
        note: str = ""

        @field_validator("phone")
        @classmethod
        def _is_number(cls, phone: str) -> str:
            if not phone.isdigit():
                raise ValueError(f"{phone!r} is no phone number")
            return phone

    registry = Registry([Call])
    form = form_of(registry, "person.call", 1, {"phone": "0151-SECRET", "note": ""})
    after, _ = edited(registry, form, {"note": "again"})
    assert not after.is_valid
    assert "SECRET" not in "".join(entry.text + entry.error for entry in after.inputs) + after.error


@pytest.mark.parametrize("form", [{}, {"id": "x"}, {"group": "0123abcd"}], ids=["none", "no id", "no group"])
@pytest.mark.parametrize("path", ["/failures/confirm", "/failures/act"])
async def test_what_is_nothing_is_not_done(browser: Browser, path: str, form: dict[str, str]) -> None:
    assert "Not done" in await act(browser, path, action="drop", count="1", **form)


async def test_what_cannot_be_done_says_why(
    browser: Browser, producer: Producer, drain: Drain, app: App
) -> None:
    ids = await rejected(producer, "ada", "grace")
    await drain(app)
    assert await act(browser, "/failures/act", action="drop", count="1", id=ids[0]) == f"/commands/{ids[0]}"
    told = await act(browser, "/failures/act", action="retry", count="2", id=ids)
    assert "1 retried" in told, told
    assert "is dropped already" in told


async def test_a_command_that_nobody_can_read_can_only_be_dropped(
    browser: Browser, producer: Producer, drain: Drain, app: App, letters: Rows
) -> None:
    sent = await producer.send(UpdateUser(username="ada", age=3))
    await producer.redis.set(f"arq:job:{app.queue.name}:{sent.command_id}", b"\x80not a job")
    await drain(app)
    page = (await browser.get(f"/failures/letters/{sent.command_id}")).text
    assert "drop it" in page
    assert "Mend and retry" in page
    await act(browser, "/failures/act", action="drop", count="1", id=str(sent.command_id))
    assert [row.state for row in await letters()] == ["dropped"]


def test_what_is_hidden_comes_back_as_it_was() -> None:
    before = {"a": "secret", "rows": [{"b": 1}, {"b": 2}]}
    shown = {"a": "hidden", "rows": [{"b": "hidden"}, {"b": "hidden"}]}
    assert restored({"a": "hidden", "rows": [{"b": "hidden"}, {"b": 5}]}, shown, before) == {
        "a": "secret",
        "rows": [{"b": 1}, {"b": 5}],
    }
    with pytest.raises(ValueError, match="a list was changed"):
        restored([{"b": "hidden"}], shown["rows"], before["rows"])


def test_nobody_is_given_what_is_hidden_of_another() -> None:
    before = [{"of": "ada", "b": 1}, {"of": "bob", "b": 2}]
    shown = [{"of": "ada", "b": "hidden"}, {"of": "bob", "b": "hidden"}]
    assert restored([shown[0], {"of": "bob", "b": 3}], shown, before) == [before[0], {"of": "bob", "b": 3}]
    for given in (
        shown[::-1],
        [shown[1], {"of": "eve", "b": "hidden"}],
        [{"of": "eve", "b": "hidden"}, shown[1]],
    ):
        with pytest.raises(ValueError, match="a list was changed"):
            restored(given, shown, before)
    with pytest.raises(ValueError, match="a field added"):
        restored({"new": "hidden"}, {}, {})
