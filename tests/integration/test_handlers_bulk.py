"""Writes in the large: bulk creates and upserts, and what they say of the row that is at fault."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from producers.commands import (
    CountUsers,
    CreateLike,
    CreateLikes,
    CreatePost,
    CreateUser,
    CreateUsers,
    GetUser,
    ImportUsers,
    LikeKey,
    NewPostOf,
    NewProfileOf,
    NewUser,
    UpsertLikes,
    UpsertPosts,
    UpsertProfiles,
    UpsertUsers,
)
from producers.errors import CommandRejected
from tests.integration.statements import statements
from worker.handlers.like import create_like, create_likes, upsert_likes
from worker.handlers.post import create_post, upsert_posts
from worker.handlers.profile import upsert_profiles
from worker.handlers.user import count_users, create_user, create_users, get_user, import_users, upsert_users
from worker.retry import classify

pytestmark = pytest.mark.databases


def skipping(database_kind: str) -> list[str]:
    """Say how users are inserted that have an id and a username, some of which are taken."""
    if database_kind == "mariadb":
        return [
            "INSERT INTO users",
            "SELECT users.id FROM",
            "SELECT users.username FROM",
            "INSERT INTO users",
        ]
    return ["INSERT INTO users"]


async def test_duplicates_are_left_out_and_stand_as_none(
    session: AsyncSession, engine: AsyncEngine, database_kind: str
) -> None:
    await create_user(session, CreateUser(id=UUID(int=1), username="ada"))
    rows = [
        NewUser(id=UUID(int=1), username="other"),
        NewUser(id=UUID(int=2), username="bob", age=2),
        NewUser(id=UUID(int=3), username="ada"),
        NewUser(id=UUID(int=4), username="bob"),
        NewUser(id=UUID(int=2), username="twin"),
        NewUser(id=UUID(int=5), name="eve"),
    ]
    command = CreateUsers(rows=rows, on_duplicate="skip")
    with statements(engine) as seen:
        views = await create_users(session, command)
    assert [view and (view.id.int, view.username) for view in views] == [
        *(None, (2, "bob"), None, None, None, (5, None)),
    ]
    assert seen == skipping(database_kind)
    assert command.parse_result(command.dump_result(views)) == views


async def test_a_thousand_rows_with_duplicates_are_written_at_once(
    session: AsyncSession, engine: AsyncEngine, database_kind: str
) -> None:
    rows = [NewUser(id=UUID(int=1 + number), username=f"u{number % 900}") for number in range(1000)]
    with statements(engine) as seen:
        views = await create_users(session, CreateUsers(rows=rows, on_duplicate="skip"))
    assert [view is not None for view in views] == [True] * 900 + [False] * 100
    assert seen == skipping(database_kind)


@pytest.mark.databases("mariadb")
async def test_duplicates_that_come_after_the_look_are_skipped_too(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def see_all_as_free(_session: AsyncSession, _table: Table, rows: Sequence[Any]) -> Sequence[Any]:
        return rows

    monkeypatch.setattr("worker.handlers.skipping.free", see_all_as_free)
    await create_user(session, CreateUser(username="ada"))
    rows = [NewUser(username=name) for name in ("bob", "ada", "eve", "bob")]
    views = await create_users(session, CreateUsers(rows=rows, on_duplicate="skip"))
    assert [view and view.username for view in views] == ["bob", None, "eve", None]


async def test_what_is_no_duplicate_rejects_the_whole_command(session: AsyncSession) -> None:
    rows = [LikeKey(user_id=UUID(int=1), post_id=UUID(int=2))]
    with pytest.raises(IntegrityError) as raised:
        await create_likes(session, CreateLikes(rows=rows, on_duplicate="skip"))
    assert classify(raised.value).code == "foreign_key_violation"


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([NewUser(username="bob"), NewUser(username="ada")], "rows.1.username"),
        ([NewUser(name="eve"), NewUser(username="bob"), NewUser(username="bob")], "rows.2.username"),
        ([NewUser(id=UUID(int=1), name="eve")], "rows.0.id"),
    ],
)
async def test_an_error_names_the_row(session: AsyncSession, rows: list[NewUser], field: str) -> None:
    await create_user(session, CreateUser(id=UUID(int=1), username="ada"))
    with pytest.raises(IntegrityError) as raised:
        await create_users(session, CreateUsers(rows=rows))
    failure = classify(raised.value)
    assert (failure.code, failure.field) == ("unique_violation", field)
    assert "ada" not in failure.message
    assert failure.message.endswith(f"in {field.rpartition('.')[0]} of {len(rows)}")


async def test_an_error_names_the_row_whose_parent_is_missing(
    session: AsyncSession, database_kind: str
) -> None:
    ada = await create_user(session, CreateUser(username="ada"))
    authors = (ada.id, UUID(int=9), ada.id)
    rows = [NewPostOf(id=UUID(int=1 + n), title="one", user_id=author) for n, author in enumerate(authors)]
    with pytest.raises(IntegrityError) as raised:
        await upsert_posts(session, UpsertPosts(rows=rows))
    failure = classify(raised.value)
    assert failure.code == "foreign_key_violation"
    assert failure.field == ("rows.1" if database_kind == "sqlite" else "rows.1.user_id")


async def test_the_row_that_is_named_is_the_first_at_fault(session: AsyncSession) -> None:
    rows = [NewUser(username=f"u{number}", email=f"{number}@example.com") for number in range(1000)]
    for place, email in ((777, "0@example.com"), (888, "1@example.com")):
        rows[place] = rows[place].model_copy(update={"email": email})
    for write in (
        create_users(session, CreateUsers(rows=rows)),
        upsert_users(session, UpsertUsers(rows=rows, by="username")),
    ):
        with pytest.raises(IntegrityError) as raised:
            async with session.begin_nested():
                await write
        assert classify(raised.value).field == "rows.777.email"
    assert await count_users(session, CountUsers()) == 0


async def test_where_rows_are_tried_any_error_names_its_row(
    session: AsyncSession, database_kind: str
) -> None:
    rows = [NewUser(name=str(number), age=number) for number in range(9)]
    rows[5] = rows[5].model_copy(update={"age": 151})
    with pytest.raises(DBAPIError) as raised:
        await create_users(session, CreateUsers(rows=rows))
    failure = classify(raised.value)
    message = "check violation (ck_users_age)"
    if database_kind == "postgresql":  # it tells the row of a key only
        assert (failure.message, failure.field) == (message, None)
    else:
        assert (failure.message, failure.field) == (f"{message} in rows.5 of 9", "rows.5")


async def test_no_row_is_named_where_each_can_be_written_by_itself(
    session: AsyncSession, database_kind: str
) -> None:
    await create_user(session, CreateUser(username="ada", email="old@example.com"))
    rows = [
        NewUser(username="eve", email="eve@example.com", age=1),
        NewUser(username="ada", email="new@example.com"),
        NewUser(username="bob", email="old@example.com", age=2),  # goes with the first, and so before ada's
    ]
    with pytest.raises(IntegrityError) as raised:
        await upsert_users(session, UpsertUsers(rows=rows, by="username"))
    assert classify(raised.value).field == ("rows.2.email" if database_kind == "postgresql" else "email")


async def test_upserts_create_and_change_in_one_statement_for_each_set_of_fields(
    session: AsyncSession, engine: AsyncEngine, database_kind: str
) -> None:
    ada = await create_user(session, CreateUser(username="ada", email="ada@example.com", age=1))
    rows = [
        NewUser(username="bob", age=2),
        NewUser(username="ada", age=36),
        NewUser(username="eve", name="Eve"),
        NewUser(username="zoe", age=None),
    ]
    command = UpsertUsers(rows=rows)
    with statements(engine) as seen:
        views = await upsert_users(session, command)
    assert [(view.username, view.age, view.version) for view in views] == [
        *(("bob", 2, 1), ("ada", 36, 2), ("eve", None, 1), ("zoe", None, 1)),
    ]
    assert (views[1].id, views[1].email) == (ada.id, "ada@example.com")
    if database_kind != "mariadb":  # one row after the other
        locked = ["SELECT users.username FROM"] if database_kind == "postgresql" else []
        assert seen == [*locked, *["INSERT INTO users"] * 2]
    assert command.parse_result(command.dump_result(views)) == views


async def test_a_thousand_upserts_are_one_statement(
    session: AsyncSession, engine: AsyncEngine, database_kind: str
) -> None:
    for age in (1, 2):
        rows = [NewUser(username=f"u{number}", age=age) for number in range(1000)]
        with statements(engine) as seen:
            views = await upsert_users(session, UpsertUsers(rows=rows))
        if database_kind != "mariadb":
            assert seen == ["INSERT INTO users"]
        assert [(view.username, view.age, view.version) for view in views] == [
            (row.username, age, age) for row in rows
        ]


async def test_upserts_by_the_key_and_with_nothing_to_change(session: AsyncSession) -> None:
    rows = [NewUser(id=UUID(int=1), username="ada"), NewUser(id=UUID(int=2), name="bob")]
    assert UpsertUsers(rows=rows).by == "id"
    await upsert_users(session, UpsertUsers(rows=rows))
    [again] = await upsert_users(session, UpsertUsers(rows=[NewUser(username="ada")]))
    assert (again.id, again.version) == (UUID(int=1), 1)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"rows": [{"username": "a", "email": "a@example.com"}]}, "say which field finds the rows"),
        ({"rows": [{"username": "a"}, {"email": "a@example.com"}]}, "say which field finds the rows"),
        ({"rows": [{"username": "a"}], "by": "name"}, "by must be one of id, username, email"),
        ({"rows": [{"username": "a"}, {"name": "b"}], "by": "username"}, r"rows\.1\.username must be set"),
        ({"rows": [{"username": "a"}, {"username": "a"}]}, r"rows\.1\.username is that of rows\.0"),
        ({"rows": [{"username": "a", "age": 151}]}, r"rows\.0\.age"),
        ({"rows": []}, "rows"),
        ({}, "rows"),
    ],
)
def test_rows_have_to_be_found_each_by_a_value_of_its_own(payload: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        UpsertUsers.model_validate(payload)


def some_users(prefix: str = "u") -> list[NewUser]:
    """Users in any order; half of them set one field more."""
    rows = [NewUser(id=UUID(int=n), username=f"{prefix}{n:03}", age=1) for n in range(1, 301)]
    rows = [row if row.id.int % 2 else NewUser(id=row.id, username=row.username) for row in rows]
    return random.sample(rows, len(rows))


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "write",
    [
        lambda session: upsert_users(session, UpsertUsers(rows=some_users(), by="username")),
        lambda session: import_users(session, ImportUsers(rows=some_users(), by="username")),
        lambda session: import_users(session, ImportUsers(rows=some_users())),
        lambda session: create_users(session, CreateUsers(rows=some_users(), on_duplicate="skip")),
    ],
)
async def test_writers_of_the_same_rows_wait_for_each_other(
    sessions: async_sessionmaker[AsyncSession],
    write: Callable[[AsyncSession], Awaitable[object]],
    there: bool,  # noqa: FBT001
) -> None:
    """In whatever order each of them was given the rows: otherwise they would deadlock."""
    if there:
        async with sessions.begin() as session:
            await create_users(session, CreateUsers(rows=some_users()))

    async def one() -> None:
        async with sessions.begin() as session:
            await write(session)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(one())
    async with sessions() as session:
        assert await count_users(session, CountUsers()) == 300


async def test_posts_profiles_and_likes_have_them_too(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada"))
    bob = await create_user(session, CreateUser(username="bob"))
    rows = [NewPostOf(id=UUID(int=n), title=str(n), user_id=ada.id) for n in (1, 2)]
    assert [post.version for post in await upsert_posts(session, UpsertPosts(rows=rows))] == [1, 1]
    assert [post.version for post in await upsert_posts(session, UpsertPosts(rows=rows))] == [2, 2]
    for bio in ("one", "two"):
        profiles = [NewProfileOf(user_id=user.id, bio=bio) for user in (ada, bob)]
        views = await upsert_profiles(session, UpsertProfiles(rows=profiles))
        assert [(view.user_id, view.bio) for view in views] == [(ada.id, bio), (bob.id, bio)]
    likes = [LikeKey(user_id=bob.id, post_id=UUID(int=n)) for n in (2, 1, 2)]
    for _ in range(2):
        liked = await upsert_likes(session, UpsertLikes(rows=likes))
        assert [(like.user_id, like.post_id) for like in liked] == [(bob.id, row.post_id) for row in likes]


async def test_nobody_likes_their_own_post_in_the_large_either(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada"))
    bob = await create_user(session, CreateUser(username="bob"))
    post = await create_post(session, CreatePost(title="one", user_id=ada.id))
    likes = [LikeKey(user_id=user.id, post_id=post.id) for user in (bob, ada)]
    with pytest.raises(CommandRejected) as raised:
        await upsert_likes(session, UpsertLikes(rows=likes))
    assert (raised.value.code, raised.value.field) == ("own_post", "rows.1.post_id")
    await create_like(session, CreateLike(user_id=bob.id, post_id=post.id))
    theirs = NewPostOf(id=post.id, title="mine", user_id=bob.id)
    with pytest.raises(CommandRejected) as raised:
        await upsert_posts(session, UpsertPosts(rows=[theirs]))
    assert (raised.value.code, raised.value.field) == ("own_post", "rows.0.user_id")
    assert await get_user(session, GetUser(username="ada")) == ada
