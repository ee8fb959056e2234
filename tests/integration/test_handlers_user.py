"""The commands about users, on a real database."""

from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from producers.commands import (
    CountUsers,
    CreateLike,
    CreatePost,
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetUser,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    UpdateUser,
    UpsertUser,
    UserView,
    uuid7,
)
from producers.errors import CommandRejected, CommandSuperseded
from worker.handlers.like import create_like
from worker.handlers.post import create_post
from worker.handlers.user import (
    count_users,
    create_user,
    create_users,
    delete_user,
    get_user,
    list_users,
    update_user,
    upsert_user,
)
from worker.models import Like, Post, Profile, User
from worker.sqlstates import columns, sqlstate_of

pytestmark = pytest.mark.databases

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"


async def rows(session: AsyncSession, model: type[User | Post | Profile | Like]) -> int:
    return (await session.execute(select(func.count()).select_from(model))).scalar_one()


async def test_create_gives_the_view_with_the_databases_values(session: AsyncSession) -> None:
    command = CreateUser(username="ada", email="ada@example.com", age=36)
    ada = await create_user(session, command)
    assert ada == UserView(
        id=command.id,
        username="ada",
        email="ada@example.com",
        name=None,
        age=36,
        is_active=True,
        created_at=ada.created_at,
        updated_at=ada.created_at,
        version=1,
    )
    assert ada.created_at.tzinfo is not None
    assert "posts" not in ada.model_fields_set
    assert command.parse_result(command.dump_result(ada)) == ada


async def test_create_with_posts_and_a_profile_goes_through_the_relationships(session: AsyncSession) -> None:
    command = CreateUser(
        name="Ada",
        posts=[NewPost(title="one"), NewPost(title="two", content="text")],
        profile=NewProfile(bio="countess"),
    )
    ada = await create_user(session, command)
    assert ada.posts is not None
    assert [(post.title, post.content, post.user_id) for post in ada.posts] == [
        ("one", "", ada.id),
        ("two", "text", ada.id),
    ]
    assert ada.profile is not None
    assert (ada.profile.bio, ada.profile.user_id) == ("countess", ada.id)
    assert (ada.likes, ada.liked_posts, ada.version) == (None, None, 1)
    assert await get_user(session, GetUser(id=ada.id, include=["posts", "profile"])) == ada
    assert command.parse_result(command.dump_result(ada)) == ada
    assert not list(session.identity_map.values())


async def test_create_with_a_profile_alone_leaves_posts_unset(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(name="Ada", profile=NewProfile()))
    assert ada.posts is None
    assert ada.profile is not None
    assert ada.profile.bio is None


async def test_create_leaves_a_taken_username_to_the_database(session: AsyncSession) -> None:
    await create_user(session, CreateUser(username="ada"))
    with pytest.raises(IntegrityError) as caught:
        await create_user(session, CreateUser(username="ada"))
    assert (sqlstate_of(caught.value), columns(caught.value)) == ("23505", "username")


async def test_create_many_gives_one_view_for_each_row_in_order(session: AsyncSession) -> None:
    wanted = [
        NewUser(username="z"),
        NewUser(email="a@example.com", age=1),
        NewUser(id=UUID(int=1), name="m", is_active=False),
        NewUser(username="b", name=None, hashed_password=HASH),
    ]
    command = CreateUsers(rows=wanted)
    views = await create_users(session, command)
    assert [view.id for view in views if view] == [row.id for row in wanted]
    assert [(view.username, view.email, view.name, view.age, view.is_active) for view in views if view] == [
        ("z", None, None, None, True),
        (None, "a@example.com", None, 1, True),
        (None, None, "m", None, False),
        ("b", None, None, None, True),
    ]
    assert command.parse_result(command.dump_result(views)) == views


async def test_the_password_is_stored_and_never_shown(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", hashed_password=HASH))
    assert await session.scalar(select(User.hashed_password)) == HASH
    assert HASH not in ada.model_dump_json()


async def test_update_writes_what_was_set_and_null_is_not_unset(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", name="Ada", age=36))
    changed = await update_user(session, UpdateUser(id=ada.id, age=None))
    assert changed is not None
    assert (changed.username, changed.name, changed.age, changed.version) == ("ada", "Ada", None, 2)


async def test_update_finds_the_row_by_a_unique_field(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", email="ada@example.com"))
    by_name = await update_user(session, UpdateUser(username="ada", age=1))
    by_email = await update_user(session, UpdateUser(email="ada@example.com", is_active=False))
    by_key = await update_user(session, UpdateUser(id=ada.id, username="countess", email=None))
    assert by_name is not None
    assert by_email is not None
    assert by_key is not None
    assert (by_name.id, by_email.id, by_key.id) == (ada.id,) * 3
    assert by_key.model_dump(include={"username", "email", "age", "is_active", "version"}) == {
        "username": "countess",
        "email": None,
        "age": 1,
        "is_active": False,
        "version": 4,
    }


async def test_update_of_a_missing_row_is_none_or_rejected(session: AsyncSession) -> None:
    assert await update_user(session, UpdateUser(id=uuid4(), age=1)) is None
    with pytest.raises(CommandRejected, match="no user has this username") as caught:
        await update_user(session, UpdateUser(username="ada", age=1, must_exist=True))
    assert (caught.value.code, caught.value.field) == ("not_found", "username")


async def test_update_changes_the_version_that_is_expected_and_no_other(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada"))
    changed = await update_user(session, UpdateUser(id=ada.id, age=1, expected_version=1))
    assert changed is not None
    assert (changed.age, changed.version) == (1, 2)
    with pytest.raises(CommandSuperseded, match="the user has version 2, not 1") as caught:
        await update_user(session, UpdateUser(username="ada", age=2, expected_version=1))
    assert (caught.value.code, caught.value.field) == ("superseded", "expected_version")
    assert await update_user(session, UpdateUser(username="grace", age=2, expected_version=1)) is None
    profile = NewProfile(bio="Countess")
    with pytest.raises(CommandSuperseded):
        await update_user(session, UpdateUser(id=ada.id, profile=profile, expected_version=1))
    with_profile = await update_user(session, UpdateUser(id=ada.id, profile=profile, expected_version=2))
    assert with_profile is not None
    assert with_profile.version == 3


async def test_upsert_creates_with_the_defaults_of_what_was_not_set(session: AsyncSession) -> None:
    command = UpsertUser(username="ada", age=36)
    ada = await upsert_user(session, command)
    assert (ada.id, ada.username, ada.age, ada.is_active, ada.version) == (command.id, "ada", 36, True, 1)


@pytest.mark.parametrize("by", ["id", "username", "email"])
async def test_upsert_changes_what_is_set_of_the_row_it_finds(session: AsyncSession, by: str) -> None:
    ada = await create_user(session, CreateUser(username="ada", email="ada@example.com", name="Ada", age=36))
    changes = {"by": by, by: getattr(ada, by), "username": "ada", "age": 37, "name": None}
    found = await upsert_user(session, UpsertUser.model_validate(changes))
    assert found.model_copy(update={"updated_at": ada.updated_at}) == ada.model_copy(
        update={"age": 37, "name": None, "version": 2}
    )
    assert await rows(session, User) == 1


def test_upsert_takes_only_what_could_be_a_row() -> None:
    """PostgreSQL checks the row to insert before it looks for the one that is there."""
    with pytest.raises(ValidationError, match="at least one of username, email and name"):
        UpsertUser(id=uuid7(), age=37)


async def test_upsert_by_one_unique_field_changes_another(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", email="ada@example.com"))
    found = await upsert_user(session, UpsertUser(by="email", username="countess", email="ada@example.com"))
    assert (found.id, found.username, found.version) == (ada.id, "countess", 2)


async def test_upsert_with_nothing_to_change_gives_the_row_as_it_is(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", age=36))
    assert await upsert_user(session, UpsertUser(username="ada")) == ada


async def test_get_finds_by_key_or_unique_field(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", email="ada@example.com"))
    assert await get_user(session, GetUser(id=ada.id)) == ada
    assert await get_user(session, GetUser(username="ada")) == ada
    assert await get_user(session, GetUser(email="ada@example.com")) == ada
    assert await get_user(session, GetUser(username="bob")) is None


async def test_get_includes_the_relations_that_are_named(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada", posts=[NewPost(title="hers")]))
    bob = await create_user(session, CreateUser(username="bob"))
    post = await create_post(session, CreatePost(title="his", user_id=bob.id))
    await create_like(session, CreateLike(user_id=ada.id, post_id=post.id))

    command = GetUser(username="ada", include=["posts", "profile", "likes", "liked_posts"])
    found = await get_user(session, command)
    assert found is not None
    assert found.posts == ada.posts
    assert found.profile is None
    assert "profile" in found.model_fields_set
    assert found.likes is not None
    assert [like.post_id for like in found.likes] == [post.id]
    assert found.liked_posts == (post,)
    assert command.parse_result(command.dump_result(found)) == found

    alone = await get_user(session, GetUser(username="ada", include="likes"))
    assert alone is not None
    assert alone.posts is None
    assert "posts" not in alone.model_fields_set
    nothing = await get_user(session, GetUser(username="bob", include=["likes"]))
    assert nothing is not None
    assert nothing.likes == ()


async def test_included_rows_come_in_the_order_of_their_key(session: AsyncSession) -> None:
    posts = [NewPost(id=UUID(int=number), title="t") for number in (3, 1, 2)]
    ada = await create_user(session, CreateUser(name="Ada", posts=posts))
    found = await get_user(session, GetUser(id=ada.id, include="posts"))
    assert found == ada
    assert found.posts is not None
    assert [post.id.int for post in found.posts] == [1, 2, 3]


async def test_list_includes_relations_for_each_row(session: AsyncSession) -> None:
    for name in ("ada", "bob"):
        await create_user(session, CreateUser(username=name, posts=[NewPost(title=f"by {name}")]))
    command = ListUsers(order_by="-username", include="posts", limit=1)
    page = await list_users(session, command)
    assert page.has_more
    assert [[post.title for post in user.posts or ()] for user in page.items] == [["by bob"]]
    assert command.parse_result(command.dump_result(page)) == page


async def test_delete_says_whether_there_was_a_row(session: AsyncSession) -> None:
    await create_users(session, CreateUsers(rows=[NewUser(username=name) for name in ("ada", "bob")]))
    assert await delete_user(session, DeleteUser(username="ada")) is True
    assert await delete_user(session, DeleteUser(username="ada")) is False
    assert await count_users(session, CountUsers()) == 1


async def populated(session: AsyncSession) -> UUID:
    """A user with a post, a profile and a like in both directions; return the user's id."""
    ada = await create_user(
        session, CreateUser(username="ada", posts=[NewPost(title="hers")], profile=NewProfile())
    )
    bob = await create_user(session, CreateUser(username="bob", posts=[NewPost(title="his")]))
    assert ada.posts is not None
    assert bob.posts is not None
    await create_like(session, CreateLike(user_id=ada.id, post_id=bob.posts[0].id))
    await create_like(session, CreateLike(user_id=bob.id, post_id=ada.posts[0].id))
    return ada.id


async def left(session: AsyncSession) -> list[int]:
    return [await rows(session, model) for model in (User, Post, Profile, Like)]


async def test_delete_takes_along_what_belongs_to_the_user(session: AsyncSession) -> None:
    ada = await populated(session)
    assert await left(session) == [2, 2, 1, 2]
    assert await delete_user(session, DeleteUser(id=ada))
    assert await left(session) == [1, 1, 0, 0]


async def test_a_raw_delete_cascades_in_the_database(session: AsyncSession) -> None:
    ada = await populated(session)
    await session.execute(delete(User).where(User.id == ada))
    assert await left(session) == [1, 1, 0, 0]


async def test_a_delete_by_the_session_cascades(session: AsyncSession) -> None:
    user = await session.get_one(User, await populated(session))
    await session.delete(user)
    await session.flush()
    assert await left(session) == [1, 1, 0, 0]


async def test_a_detached_child_is_deleted_as_an_orphan(session: AsyncSession) -> None:
    ada = await populated(session)
    loaded = select(User).options(selectinload(User.posts), selectinload(User.profile)).where(User.id == ada)
    user = (await session.scalars(loaded)).one()
    user.posts.clear()
    user.profile = None
    await session.flush()
    assert await left(session) == [2, 1, 0, 1]
