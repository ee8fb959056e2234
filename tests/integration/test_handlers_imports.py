"""Imports: each row is judged by itself, in one transaction."""

from typing import Literal
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

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
from tests.integration.statements import statements
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
    monkeypatch.setattr("worker.retry.PARENT_PAUSES", ())


def refused(imported: Imported) -> dict[int, tuple[str, str | None]]:
    """Give code and field by place."""
    return {place: (why.code, why.field) for why in imported.rejected for place in why.rows}


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
async def test_a_row_without_its_parent_is_refused(session: AsyncSession) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada"))
    rows = [NewPostOf(title="one", user_id=ADA), NewPostOf(title="two", user_id=BOB)]
    imported = await import_posts(session, ImportPosts(rows=rows))
    assert (imported.written, refused(imported)) == (1, {1: ("foreign_key_violation", "user_id")})


async def test_a_parent_that_is_on_its_way_is_waited_for(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch, database_kind: str
) -> None:
    pauses = []

    async def parent_comes(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 2:
            await create_user(session, CreateUser(id=ADA, username="ada"))

    monkeypatch.setattr("worker.handlers.parents.asyncio.sleep", parent_comes)
    imported = await import_posts(session, ImportPosts(rows=[NewPostOf(title="one", user_id=ADA)]))
    # On SQLite the import itself keeps the one who would write the parent waiting.
    assert (imported.written, pauses) == ((0, []) if database_kind == "sqlite" else (1, [0.1, 0.3]))


async def test_all_rows_of_an_import_have_one_patience(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch, database_kind: str
) -> None:
    pauses = []

    async def nobody_comes(pause: float) -> None:
        pauses.append(pause)

    monkeypatch.setattr("worker.handlers.parents.asyncio.sleep", nobody_comes)
    rows = [NewPostOf(title=str(number), user_id=UUID(int=number)) for number in range(5)]
    rows.append(NewPostOf(title="by default", content="", user_id=UUID(int=9)))
    imported = await import_posts(session, ImportPosts(rows=rows))
    assert (imported.written, len(refused(imported))) == (0, 6)
    assert pauses == ([] if database_kind == "sqlite" else [0.1, 0.3, 0.6, 1.0])


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize("by", [None, "id"])
async def test_a_thousand_orphans_cost_a_look_at_their_parents(
    session: AsyncSession, engine: AsyncEngine, by: Literal["id"] | None
) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada"))
    rows = [NewPostOf(id=UUID(int=1 + n), title=str(n), user_id=UUID(int=1 + n)) for n in range(1000)]
    with statements(engine) as seen:
        imported = await import_posts(session, ImportPosts(rows=rows, by=by))
    assert imported.written == 1
    [refusal] = imported.rejected
    assert (refusal.code, refusal.field, len(refusal.rows)) == ("foreign_key_violation", "user_id", 999)
    assert refusal.message == "foreign key violation (user_id, fk_posts_user_id_users)"
    assert len(seen) < 10


@pytest.mark.usefixtures("no_patience")
async def test_a_row_that_is_there_is_known_by_its_key_also_without_the_parent_it_names(
    session: AsyncSession,
) -> None:
    await create_user(session, CreateUser(id=ADA, username="ada"))
    post = await create_post(session, CreatePost(title="one", user_id=ADA))
    rows = [NewPostOf(id=post.id, title="one", user_id=BOB), NewPostOf(title="two", user_id=BOB)]
    imported = await import_posts(session, ImportPosts(rows=rows))
    assert (imported.written, imported.duplicates) == (0, (0,))
    assert refused(imported) == {1: ("foreign_key_violation", "user_id")}


async def test_a_thousand_rows_to_upsert_that_are_taken_cost_a_look_at_who_has_them(
    session: AsyncSession, engine: AsyncEngine, database_kind: str
) -> None:
    there = [NewUser(username=f"old{n}", email=f"u{n}@example.com") for n in range(500)]
    await import_users(session, ImportUsers(rows=there))
    rows = [NewUser(username=f"new{n}", email=f"u{n}@example.com") for n in range(500)]  # others have them
    rows += [NewUser(username=f"x{n}", email="x@example.com") for n in range(499)]  # the first gets it
    rows += [NewUser(username="old7", email="u7@example.com", age=7)]  # has it itself
    with statements(engine) as seen:
        imported = await import_users(session, ImportUsers(rows=rows, by="username"))
    assert imported.written == 2
    assert set(refused(imported).values()) == {("unique_violation", "email")}
    assert 500 not in refused(imported)
    assert len(seen) < (30 if database_kind == "mariadb" else 20)


async def test_an_upsert_does_not_write_the_key_of_a_row_that_is_there(session: AsyncSession) -> None:
    for user_id, name in ((ADA, "ada"), (BOB, "bob")):
        await create_user(session, CreateUser(id=user_id, username=name))
    rows = [NewUser(id=ADA, username="bob", age=2), NewUser(id=ADA, username="eve")]
    imported = await import_users(session, ImportUsers(rows=rows, by="username"))
    assert (imported.written, refused(imported)) == (1, {1: ("unique_violation", "id")})


async def test_a_unique_value_may_be_handed_on_in_one_upsert(session: AsyncSession) -> None:
    for name in ("ada", "bob", "eve"):
        await create_user(session, CreateUser(username=name, email=f"{name}@example.com"))
    names = {"ada": "zoe", "bob": "ada", "eve": "bob"}  # each gives its own up before the next one wants it
    rows = [NewUser(username=name, email=f"{new}@example.com") for name, new in names.items()]
    assert await import_users(session, ImportUsers(rows=rows, by="username")) == Imported(written=3)
    back = [NewUser(username=name, email=f"{name}@example.com") for name in names]
    imported = await import_users(session, ImportUsers(rows=back, by="username"))
    assert (imported.written, list(refused(imported))) == (1, [0, 1])


async def test_of_two_rows_with_one_unique_value_the_first_is_written(session: AsyncSession) -> None:
    rows = [NewUser(id=BOB, username="one", age=1), NewUser(id=ADA, username="one", age=2)]
    imported = await import_users(session, ImportUsers(rows=rows))
    assert (imported.written, refused(imported)) == (1, {1: ("unique_violation", "username")})


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
async def test_likes_have_a_rule_of_their_own(session: AsyncSession) -> None:
    for user_id, name in ((ADA, "ada"), (BOB, "bob"), (EVE, "eve")):
        await create_user(session, CreateUser(id=user_id, username=name))
    post = await create_post(session, CreatePost(title="one", user_id=ADA))
    await create_like(session, CreateLike(user_id=BOB, post_id=post.id))
    pairs = [(ADA, post.id), (BOB, post.id), (EVE, post.id), (EVE, post.id), (EVE, UUID(int=9))]
    rows = [LikeKey(user_id=user, post_id=liked) for user, liked in pairs]
    imported = await import_likes(session, ImportLikes(rows=rows))
    assert (imported.written, imported.duplicates) == (1, (1, 3))
    assert refused(imported) == {0: ("own_post", "post_id"), 4: ("foreign_key_violation", "post_id")}


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
