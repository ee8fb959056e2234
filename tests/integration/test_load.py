"""Files loaded through a worker into a database."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Producer
from producers.commands import CreatePost, CreateUser, DeleteUser, UpsertUser
from producers.load import load
from producers.load.loaded import Loaded
from tests.processes import Process, environment_of

pytestmark = pytest.mark.slow


@pytest.fixture
async def producer(database_url: str, redis_url: str, queue_name: str) -> AsyncIterator[Producer]:
    """A producer with a worker at the other end."""
    environment = environment_of(database_url, redis_url, queue_name)
    with Process("run", environment=environment) as worker:
        await worker.says("worker.started")
        async with Producer(redis_url, queue=queue_name) as producer:
            yield producer


async def scalar(engine: AsyncEngine, statement: str) -> object:
    """Read one value."""
    async with engine.connect() as connection:
        return (await connection.execute(text(statement))).scalar_one()


def counts(loaded: Loaded) -> tuple[int, int, int, int]:
    """What became of the rows."""
    return loaded.accepted, loaded.duplicate, loaded.applied, loaded.rejected


async def test_of_a_file_loaded_again_only_what_is_new_is_added(
    producer: Producer, engine: AsyncEngine, tmp_path: Path
) -> None:
    path, rows = tmp_path / "users.csv", [f"u{number},u{number}@example.com" for number in range(2500)]
    path.write_text("\n".join(["username,email", *rows]))
    assert counts(await load(producer, path, CreateUser, wait=True)) == (2500, 0, 2500, 0)
    random.shuffle(rows)
    path.write_text("\n".join(["username,email", *rows, "new,", "u7,other@example.com"]))
    again = await load(producer, path, CreateUser, wait=True)
    assert counts(again) == (2, 2500, 2501, 1)
    assert await scalar(engine, "SELECT count(*) FROM users") == 2501
    # One ending for each import: three of them, and then three others.
    assert await scalar(engine, "SELECT count(*) FROM processed_commands WHERE ending = 'applied'") == 6

    assert again.rejects is not None
    assert again.rejects.read_text() == (
        'username,email,_error\nu7,other@example.com,"unique violation (username, uq_users_username)"\n'
    )
    again.rejects.write_text(again.rejects.read_text().replace("u7,", "u8000,"))
    assert counts(await load(producer, again.rejects, CreateUser, wait=True)) == (1, 0, 1, 0)
    assert await scalar(engine, "SELECT email FROM users WHERE username = 'u8000'") == "other@example.com"


async def test_a_file_changes_what_is_there(producer: Producer, engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("username,age\n" + "".join(f"u{number},1\n" for number in range(1200)))
    await load(producer, path, CreateUser, wait=True)
    path.write_text("login,age\n" + "".join(f"u{number},2\n" for number in range(1000, 1300)))
    changed = await load(producer, path, UpsertUser, by="username", columns={"login": "username"}, wait=True)
    assert counts(changed) == (300, 0, 300, 0)
    assert await scalar(engine, "SELECT count(*) FROM users WHERE age = 2") == 300
    assert await scalar(engine, "SELECT count(*) FROM users WHERE version = 2") == 200
    assert await scalar(engine, "SELECT count(*) FROM users") == 1300


async def test_a_file_that_returns_to_what_it_was_is_applied_again(
    producer: Producer, engine: AsyncEngine, tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    for age in 1, 2, 1:
        path.write_text(f"username,age\nada,{age}\n")
        assert counts(await load(producer, path, UpsertUser, by="username", wait=True)) == (1, 0, 1, 0)
        assert await scalar(engine, "SELECT age FROM users") == age


async def test_rows_that_were_refused_are_tried_again_when_the_queue_has_forgotten_them(
    producer: Producer, engine: AsyncEngine, tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("username,email\nada,ada@example.com\nbob,b@example.com\n")
    await (await producer.send(CreateUser(username="ada"))).result(timeout=30)
    assert counts(await load(producer, path, CreateUser, wait=True)) == (2, 0, 1, 1)
    for key in await producer.redis.keys(f"*{producer.settings.name}*"):  # marks and results have their time
        if b":mark:" in key or b":result:" in key:
            await producer.redis.delete(key)
    await (await producer.send(DeleteUser(username="ada"))).result(timeout=30)
    assert counts(await load(producer, path, CreateUser, wait=True)) == (1, 1, 2, 0)
    assert await scalar(engine, "SELECT count(*) FROM users") == 2


async def test_posts_that_came_before_their_authors_are_loaded_again(
    producer: Producer, engine: AsyncEngine, tmp_path: Path
) -> None:
    users, posts = tmp_path / "users.csv", tmp_path / "posts.csv"
    author = "01890000-0000-7000-8000-000000000001"
    users.write_text(f"id,username\n{author},ada\n")
    posts.write_text(f"title,user_id\none,{author}\ntwo,{author}\n")
    early = await load(producer, posts, CreatePost, wait=True)
    assert counts(early) == (2, 0, 0, 2)
    await load(producer, users, CreateUser, wait=True)
    assert counts(await load(producer, posts, CreatePost, wait=True)) == (2, 0, 2, 0)
    assert await scalar(engine, "SELECT count(*) FROM posts") == 2


@pytest.mark.parametrize("by", ["id", "username"])
async def test_rows_of_one_key_are_kept_in_order_where_that_is_asked_for(
    by: str, producer: Producer, engine: AsyncEngine, tmp_path: Path
) -> None:
    path, ids = tmp_path / "users.csv", [uuid4() for _ in range(20)]
    rows = [f"{id_},u{n},{turn}" for turn in range(150) for n, id_ in enumerate(ids)]
    path.write_text("\n".join(["id,username,age", *rows]))
    columns = {"id": ""} if by == "username" else None
    loaded = await load(producer, path, UpsertUser, by=by, columns=columns, ordered=True, wait=True)
    assert loaded.applied == 3000
    if by == "id":  # a row that is found by another field stands in no lane
        assert await scalar(engine, "SELECT count(*) FROM users WHERE age = 149") == 20
    assert await scalar(engine, "SELECT count(*) FROM users") == 20


async def test_without_it_an_import_stands_in_no_lane(
    redis_url: str, queue_name: str, tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,username\n" + f"{uuid4()},ada\n")
    async with Producer(redis_url, queue=queue_name) as producer:
        for ordered in (False, True):
            await load(producer, path, CreateUser, ordered=ordered)
            lanes = [key async for key in producer.redis.scan_iter(f"crud:{queue_name}:lane:*")]
            assert len(lanes) == ordered
