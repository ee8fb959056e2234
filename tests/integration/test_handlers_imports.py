"""Imports: each row is judged by itself, in one transaction."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountUsers,
    CreateLike,
    CreatePost,
    CreateUser,
    GetUser,
    Imported,
    ImportLikes,
    ImportPosts,
    ImportProfiles,
    ImportUsers,
    LikeKey,
    NewPostOf,
    NewProfileOf,
    NewUser,
)
from worker.failure import Cause
from worker.handlers.like import create_like, import_likes
from worker.handlers.post import create_post, import_posts
from worker.handlers.profile import import_profiles
from worker.handlers.user import count_users, create_user, get_user, import_users
from worker.retry import classify

pytestmark = pytest.mark.databases

ADA, BOB, EVE = (UUID(int=number) for number in (1, 2, 3))


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for rows that others refer to."""
    monkeypatch.setattr("worker.handlers.halves._PARENT_PAUSES", ())


def refused(imported: Imported) -> dict[int, tuple[str, str | None]]:
    """Give code and field by place."""
    return {place: (why.code, why.field) for why in imported.rejected for place in why.rows}


def parent_missing(field: str, database_kind: str) -> tuple[str, str | None]:
    """Give code and field of a row without its parent; SQLite does not say which one is missing."""
    return "foreign_key_violation", None if database_kind == "sqlite" else field


async def test_each_row_is_judged_by_itself(session: AsyncSession) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada", email="ada@example.com"))
    rows = [
        NewUser(id=BOB, username="bob", age=2),
        NewUser(id=ADA, username="another"),
        NewUser(username="ada"),
        NewUser(username="eve", email="ada@example.com"),
        NewUser(id=BOB, username="twin"),
        NewUser(username="bob"),
        NewUser(name="zoe"),
    ]
    command = ImportUsers(rows=rows)
    imported = await import_users(session, command)
    assert (imported.written, imported.duplicates) == (2, (1, 4))
    taken = {2: ("unique_violation", "username"), 5: ("unique_violation", "username")}
    assert refused(imported) == {**taken, 3: ("unique_violation", "email")}
    assert all("ada" not in why.message for why in imported.rejected)
    assert await count_users(session, CountUsers()) == 3
    assert command.parse_result(command.dump_result(imported)) == imported

    again = await import_users(session, command)
    assert (again.written, again.duplicates) == (0, (0, 1, 4, 6))


async def test_one_bad_row_among_a_thousand_is_found(session: AsyncSession) -> None:
    rows = [NewUser(name=f"Number {number}", age=number % 99) for number in range(1000)]
    rows[777] = rows[777].model_copy(update={"age": 151})
    imported = await import_users(session, ImportUsers(rows=rows))
    assert (imported.written, imported.duplicates) == (999, ())
    assert refused(imported) == {777: ("check_violation", None)}


async def test_a_text_that_is_too_long_is_not_cut_off(session: AsyncSession, database_kind: str) -> None:
    rows = [NewUser(username="abcde"), NewUser(username="a").model_copy(update={"username": "a" * 51})]
    imported = await import_users(session, ImportUsers(rows=rows))
    if database_kind == "sqlite":
        assert imported == Imported(written=2)
        assert await get_user(session, GetUser(id=rows[1].id)) is not None
    else:
        assert (imported.written, refused(imported)) == (1, {1: ("string_data_right_truncation", None)})


async def test_what_is_nobodys_fault_fails_the_whole_import(session: AsyncSession) -> None:
    await session.execute(text("ALTER TABLE users RENAME COLUMN name TO called"))
    with pytest.raises(DBAPIError) as raised:
        await import_users(session, ImportUsers(rows=[NewUser(name="ada")]))
    assert classify(raised.value).cause is Cause.DEPLOY


@pytest.mark.usefixtures("no_patience")
async def test_a_row_without_its_parent_is_refused(session: AsyncSession, database_kind: str) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada"))
    rows = [NewPostOf(title="one", user_id=ADA), NewPostOf(title="two", user_id=BOB)]
    imported = await import_posts(session, ImportPosts(rows=rows))
    assert (imported.written, refused(imported)) == (1, {1: parent_missing("user_id", database_kind)})


async def test_a_parent_that_is_on_its_way_is_waited_for(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    async def parent_comes(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 2:
            await create_user(session, CreateUser(id=ADA, username="ada"))

    monkeypatch.setattr("worker.handlers.halves.asyncio.sleep", parent_comes)
    imported = await import_posts(session, ImportPosts(rows=[NewPostOf(title="one", user_id=ADA)]))
    assert (imported.written, pauses) == (1, [0.1, 0.3])


async def test_rows_may_be_changed_instead(session: AsyncSession) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada", name="Ada", email="ada@example.com"))
    rows = [
        NewUser(username="ada", age=36),
        NewUser(username="bob", age=1),
        NewUser(username="bob", age=2),
        NewUser(username="eve", email="ada@example.com"),
        NewUser(name="nobody"),
    ]
    imported = await import_users(session, ImportUsers(rows=rows, by="username"))
    assert (imported.written, imported.duplicates) == (3, ())
    assert refused(imported) == {3: ("unique_violation", "email"), 4: ("missing", "username")}
    ada, bob = [await get_user(session, GetUser(username=name)) for name in ("ada", "bob")]
    assert ada is not None
    assert (ada.id, ada.name, ada.age, ada.version) == (ADA, "Ada", 36, 2)
    assert bob is not None
    assert (bob.age, bob.version) == (2, 2)


@pytest.mark.usefixtures("no_patience")
async def test_profiles_are_one_for_each_user(session: AsyncSession) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada"))
    rows = [NewProfileOf(user_id=ADA, bio="one"), NewProfileOf(user_id=ADA, bio="two")]
    imported = await import_profiles(session, ImportProfiles(rows=rows))
    assert (imported.written, refused(imported)) == (1, {1: ("unique_violation", "user_id")})
    changed = await import_profiles(session, ImportProfiles(rows=rows, by="user_id"))
    assert changed == Imported(written=2)


@pytest.mark.usefixtures("no_patience")
async def test_likes_have_a_rule_of_their_own(session: AsyncSession, database_kind: str) -> None:
    for user_id, name in ((ADA, "ada"), (BOB, "bob"), (EVE, "eve")):
        await create_user(session, CreateUser(id=user_id, username=name))
    post = await create_post(session, CreatePost(title="one", user_id=ADA))
    await create_like(session, CreateLike(user_id=BOB, post_id=post.id))
    pairs = [(ADA, post.id), (BOB, post.id), (EVE, post.id), (EVE, post.id), (EVE, UUID(int=9))]
    rows = [LikeKey(user_id=user, post_id=liked) for user, liked in pairs]
    imported = await import_likes(session, ImportLikes(rows=rows))
    assert (imported.written, imported.duplicates) == (1, (1, 3))
    assert refused(imported) == {0: ("own_post", "post_id"), 4: parent_missing("post_id", database_kind)}


async def test_an_imported_post_is_not_given_to_one_who_likes_it(session: AsyncSession) -> None:
    for user_id, name in ((ADA, "ada"), (BOB, "bob")):
        await create_user(session, CreateUser(id=user_id, username=name))
    post = await create_post(session, CreatePost(title="one", user_id=ADA))
    await create_like(session, CreateLike(user_id=BOB, post_id=post.id))
    rows = [NewPostOf(id=post.id, title="mine", user_id=BOB), NewPostOf(title="two", user_id=BOB)]
    skipped = await import_posts(session, ImportPosts(rows=rows[:1]))
    assert skipped == Imported(written=0, duplicates=(0,))
    imported = await import_posts(session, ImportPosts(rows=rows, by="id"))
    assert (imported.written, refused(imported)) == (1, {0: ("own_post", "user_id")})
