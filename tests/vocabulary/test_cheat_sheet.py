"""The cheat sheet: tables, add, select, update, delete, and a row as a dict."""

from uuid import uuid4

import pytest
from sqlalchemy import inspect

from producers import F, MultipleFound, NotFound
from producers.commands import (
    CreateUser,
    CreateUsers,
    DeleteUser,
    FindUser,
    FirstUser,
    ListPosts,
    ListUsers,
    NewPost,
    NewUser,
    OneUser,
    UpdateUser,
)
from tests.processes import command_line, environment_of
from tests.vocabulary.conftest import Run
from worker.app import App

pytestmark = pytest.mark.databases


async def test_create_all_tables(app: App, database_url: str, redis_url: str, queue_name: str) -> None:
    environment = environment_of(database_url, redis_url, queue_name)
    async with app.engine.connect() as connection:
        before = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    await app.close()
    assert (await command_line("tables", "drop", "--yes", environment=environment)).returncode == 0
    async with app.engine.connect() as connection:
        assert not {"users", "posts"} & set(
            await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        )
    await app.close()
    assert (await command_line("tables", "create", environment=environment)).returncode == 0
    async with app.engine.connect() as connection:
        after = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    assert after >= {"users", "posts", "profiles", "likes"}
    assert after <= before


async def test_add_one(run: Run) -> None:
    assert (await run(CreateUser(name="Ada", age=36))).name == "Ada"


async def test_add_many(run: Run) -> None:
    people = [("Ada", 36), ("Bob", 20)]
    users = await run(CreateUsers(rows=[NewUser(name=name, age=age) for name, age in people]))
    assert [user and (user.name, user.age) for user in users] == people


async def test_all(run: Run) -> None:
    await run(CreateUsers(rows=[NewUser(name="Ada"), NewUser(name="Bob")]))
    assert len((await run(ListUsers())).items) == 2


async def test_first(run: Run) -> None:
    assert await run(FirstUser(where=F.name == "Ada")) is None
    await run(CreateUsers(rows=[NewUser(name="Ada", age=36), NewUser(name="Ada", age=20)]))
    first = await run(FirstUser(where=F.name == "Ada", order_by="age"))
    assert first is not None
    assert first.age == 20


async def test_exactly_one_else_a_typed_error(run: Run) -> None:
    with pytest.raises(NotFound):
        await run(OneUser(where=F.name == "Ada"))
    await run(CreateUser(name="Ada", age=36))
    assert (await run(OneUser(where=F.name == "Ada"))).age == 36
    await run(CreateUser(name="Ada", age=20))
    with pytest.raises(MultipleFound):
        await run(OneUser(where=F.name == "Ada"))


async def test_one_or_none(run: Run) -> None:
    assert await run(FindUser(where=F.name == "Ada")) is None
    await run(CreateUser(name="Ada", age=36))
    found = await run(FindUser(where=F.name == "Ada"))
    assert found is not None
    assert found.age == 36


async def test_update_by_id_is_silent_about_a_missing_row(run: Run) -> None:
    ada = await run(CreateUser(name="Ada"))
    updated = await run(UpdateUser(id=ada.id, name="Ada L."))
    assert updated is not None
    assert updated.name == "Ada L."
    assert await run(UpdateUser(id=uuid4(), name="nobody")) is None


async def test_delete_by_id_is_silent_about_a_missing_row(run: Run) -> None:
    ada = await run(CreateUser(name="Ada"))
    assert await run(DeleteUser(id=ada.id))
    assert not await run(DeleteUser(id=ada.id))


async def test_posts_of_a_user(run: Run) -> None:
    ada = await run(CreateUser(name="Ada", posts=[NewPost(title="One")]))
    await run(CreateUser(name="Bob", posts=[NewPost(title="Two")]))
    assert [post.title for post in (await run(ListPosts(where=F.user_id == ada.id))).items] == ["One"]


async def test_to_dict(run: Run) -> None:
    ada = await run(CreateUser(name="Ada", age=36))
    assert ada.model_dump(include={"id", "name", "age"}) == {"id": ada.id, "name": "Ada", "age": 36}
