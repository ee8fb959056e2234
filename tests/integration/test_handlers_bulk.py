"""Writes in the large: bulk creates and upserts, and what they say of the row that is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers.commands import (
    CreateLike,
    CreateLikes,
    CreatePost,
    CreateUser,
    CreateUsers,
    GetUser,
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
from worker.handlers.like import create_like, create_likes, upsert_likes
from worker.handlers.post import create_post, upsert_posts
from worker.handlers.profile import upsert_profiles
from worker.handlers.user import create_user, create_users, get_user, upsert_users
from worker.retry import classify


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collect the first words of what is sent to the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: object) -> None:
        seen.append(" ".join(statement.split()[:3]))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def test_duplicates_are_left_out_and_stand_as_none(session: AsyncSession, engine: AsyncEngine) -> None:
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
    assert seen == ["INSERT INTO users"]
    assert command.parse_result(command.dump_result(views)) == views


async def test_a_thousand_rows_with_duplicates_are_one_statement(
    session: AsyncSession, engine: AsyncEngine
) -> None:
    rows = [NewUser(id=UUID(int=1 + number), username=f"u{number % 900}") for number in range(1000)]
    with statements(engine) as seen:
        views = await create_users(session, CreateUsers(rows=rows, on_duplicate="skip"))
    assert [view is not None for view in views] == [True] * 900 + [False] * 100
    assert seen == ["INSERT INTO users"]


async def test_duplicates_are_skipped_where_the_dialect_has_no_word_for_it(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.bulk.insert_skipping", lambda *_: None)
    await create_user(session, CreateUser(username="ada"))
    rows = [NewUser(username=name) for name in ("bob", "ada", "eve", "bob")]
    views = await create_users(session, CreateUsers(rows=rows, on_duplicate="skip"))
    assert [view and view.username for view in views] == ["bob", None, "eve", None]


@pytest.mark.parametrize("plain", [True, False])
async def test_what_is_no_duplicate_rejects_the_whole_command(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch, *, plain: bool
) -> None:
    if plain:
        monkeypatch.setattr("worker.handlers.bulk.insert_skipping", lambda *_: None)
    monkeypatch.setattr("worker.handlers.halves._PARENT_PAUSES", ())
    rows = [LikeKey(user_id=UUID(int=1), post_id=UUID(int=2))]
    with pytest.raises(IntegrityError, match="fk_likes"):
        await create_likes(session, CreateLikes(rows=rows, on_duplicate="skip"))


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


async def test_an_error_names_the_row_whose_parent_is_missing(session: AsyncSession) -> None:
    rows = [NewPostOf(id=UUID(int=n), title="one", user_id=UUID(int=9)) for n in (1, 2)]
    with pytest.raises(IntegrityError) as raised:
        await upsert_posts(session, UpsertPosts(rows=rows))
    assert classify(raised.value).field == "rows.1.user_id"


async def test_upserts_create_and_change_in_one_statement_for_each_set_of_fields(
    session: AsyncSession, engine: AsyncEngine
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
    assert seen == ["INSERT INTO users"] * 2
    assert command.parse_result(command.dump_result(views)) == views


async def test_a_thousand_upserts_are_one_statement(session: AsyncSession, engine: AsyncEngine) -> None:
    for age in (1, 2):
        rows = [NewUser(username=f"u{number}", age=age) for number in range(1000)]
        with statements(engine) as seen:
            views = await upsert_users(session, UpsertUsers(rows=rows))
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
