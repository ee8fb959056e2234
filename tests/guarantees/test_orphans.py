"""A row that comes before its parent waits for it where it is on its way, and is rejected where it is not."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from producers import CommandRejected, Producer
from producers.commands import CreateLike, CreatePost, CreateUser
from tests.guarantees.conftest import MakeApp, Rows, Running
from worker import orphans
from worker.app import App
from worker.handlers import HANDLERS
from worker.handlers.user import create_user
from worker.models import Base


@pytest.fixture
def opened() -> asyncio.Event:
    """Lets users be created."""
    return asyncio.Event()


@pytest.fixture
def held_app(make_app: MakeApp, opened: asyncio.Event) -> App:
    """The example's App, where users are created once they may be."""

    async def create(session: AsyncSession, command: CreateUser) -> Any:
        await opened.wait()
        return await create_user(session, command)

    app = make_app({**HANDLERS, CreateUser: create}, max_attempts=1)
    app.metadata = Base.metadata
    return app


async def unordered(producer: Producer, command: Any) -> Any:
    """Send a command that waits for nothing, as an older producer would."""
    [receipt] = await producer.send_many([command], ordered=False)
    return receipt


async def test_a_row_whose_parent_is_on_its_way_waits_longer_than_its_tries_allow(
    held_app: App,
    opened: asyncio.Event,
    producer: Producer,
    running: Running,
    endings: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        orphans, "_PAUSES", (0.0,)
    )  # the try at once: the parent may come just before the look
    user = CreateUser(username="ada")
    parent = await producer.send(user)
    child = await unordered(producer, CreatePost(title="t", user_id=user.id))
    async with running(held_app):
        await asyncio.sleep(1)
        assert await endings() == []
        opened.set()
        await child.result(10)
        await parent.result(1)


async def test_a_row_whose_parent_nobody_makes_is_rejected(
    held_app: App, producer: Producer, running: Running, letters: Rows
) -> None:
    receipt = await producer.send(CreatePost(title="t", user_id=uuid4()))
    async with running(held_app):
        with pytest.raises(CommandRejected) as caught:
            await receipt.result(10)
    assert caught.value.code == "foreign_key_violation"
    [letter] = await letters()
    assert letter.attempts == len(orphans._PAUSES) + 1


async def test_only_the_row_that_is_missing_is_waited_for(
    held_app: App, opened: asyncio.Event, producer: Producer, running: Running
) -> None:
    opened.set()
    user = CreateUser(username="ada")
    async with running(held_app):
        await (await producer.send(user)).result(10)
        opened.clear()
        busy = await producer.send(CreateUser(username="bob"), ordering_key="x")
        lane = producer.keys.lane(f"user:{user.id}")
        held: Any = producer.redis.rpush(lane, str(busy.command_id))  # its lane is held, and it is there
        await held
        like = await unordered(producer, CreateLike(user_id=user.id, post_id=uuid4()))
        with pytest.raises(CommandRejected):
            await like.result(10)
        opened.set()


async def test_a_row_waits_no_longer_than_a_minute(
    held_app: App,
    producer: Producer,
    running: Running,
    opened: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert orphans._PATIENCE == 60
    monkeypatch.setattr(orphans, "_PATIENCE", 0.3)
    monkeypatch.setattr(orphans, "_PAUSES", ())
    user = CreateUser(username="ada")
    await producer.send(user)
    child = await unordered(producer, CreatePost(title="t", user_id=user.id))
    async with running(held_app):
        with pytest.raises(CommandRejected):
            await child.result(10)
        opened.set()
