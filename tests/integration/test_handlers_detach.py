"""Detaching: what is taken out of a user's relationships is deleted."""

from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CreateLike,
    CreatePost,
    CreateUser,
    GetPost,
    GetProfile,
    GetUser,
    KeptPost,
    NewPost,
    NewProfile,
    SetUserPosts,
    UpdateUser,
    UserView,
)
from producers.errors import CommandRejected
from worker.handlers.like import create_like
from worker.handlers.post import create_post, get_post
from worker.handlers.profile import get_profile
from worker.handlers.user import create_user, get_user, set_user_posts, update_user
from worker.models import Like, Post, Profile

pytestmark = pytest.mark.databases

ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))


@pytest.fixture
async def ada(session: AsyncSession) -> UserView:
    """A user with two posts and a profile."""
    posts = [NewPost(id=ONE, title="one"), NewPost(id=TWO, title="two", content="text")]
    return await create_user(session, CreateUser(username="ada", posts=posts, profile=NewProfile(bio="old")))


async def count(session: AsyncSession, model: type[Post | Profile | Like]) -> int:
    return (await session.execute(select(func.count()).select_from(model))).scalar_one()


async def test_posts_that_are_not_named_are_deleted(session: AsyncSession, ada: UserView) -> None:
    fan = await create_user(session, CreateUser(username="fan"))
    for post_id in (ONE, TWO):
        await create_like(session, CreateLike(user_id=fan.id, post_id=post_id))
    wanted = [KeptPost(id=TWO), KeptPost(id=THREE, title="three", content="new")]
    command = SetUserPosts(username="ada", posts=wanted)
    after = await set_user_posts(session, command)
    assert after is not None
    assert [(post.id, post.title, post.content, post.version) for post in after.posts or ()] == [
        (TWO, "two", "text", 1),
        (THREE, "three", "new", 1),
    ]
    assert await get_post(session, GetPost(id=ONE)) is None
    assert (await count(session, Post), await count(session, Like)) == (2, 1)
    assert await get_user(session, GetUser(id=ada.id, include="posts")) == after
    assert command.parse_result(command.dump_result(after)) == after
    assert not list(session.identity_map.values())


@pytest.mark.usefixtures("ada")
async def test_posts_that_are_kept_are_changed_where_something_is_set(session: AsyncSession) -> None:
    wanted = [KeptPost(id=ONE, title="first"), KeptPost(id=TWO, content="")]
    after = await set_user_posts(session, SetUserPosts(username="ada", posts=wanted))
    assert after is not None
    assert [(post.title, post.content, post.version) for post in after.posts or ()] == [
        ("first", "", 2),
        ("two", "", 2),
    ]
    read = await get_user(session, GetUser(username="ada", include="posts"))
    assert read == after


async def test_no_posts_at_all(session: AsyncSession, ada: UserView) -> None:
    for _ in range(2):
        after = await set_user_posts(session, SetUserPosts(id=ada.id, posts=[]))
        assert after is not None
        assert after.posts == ()
    assert (await count(session, Post), await count(session, Profile)) == (0, 1)


async def test_a_missing_user_has_no_posts_to_set(session: AsyncSession) -> None:
    assert await set_user_posts(session, SetUserPosts(username="ada", posts=[])) is None


async def test_a_post_of_another_user_is_rejected(session: AsyncSession, ada: UserView) -> None:
    bob = await create_user(session, CreateUser(username="bob"))
    theirs = await create_post(session, CreatePost(id=THREE, title="three", user_id=bob.id))
    wanted = [KeptPost(id=ONE), KeptPost(id=theirs.id, title="mine")]
    with pytest.raises(CommandRejected, match="another user") as raised:
        await set_user_posts(session, SetUserPosts(id=ada.id, posts=wanted))
    assert (raised.value.code, raised.value.field) == ("other_author", "posts.1.id")


async def test_a_new_post_needs_a_title(session: AsyncSession, ada: UserView) -> None:
    with pytest.raises(CommandRejected, match="needs a title") as raised:
        await set_user_posts(session, SetUserPosts(id=ada.id, posts=[KeptPost(id=THREE)]))
    assert (raised.value.code, raised.value.field) == ("missing", "posts.0.title")


def test_a_post_is_named_once() -> None:
    with pytest.raises(ValidationError, match="the same id is there twice"):
        SetUserPosts(username="ada", posts=[KeptPost(id=ONE), KeptPost(id=ONE)])


def test_a_user_is_named_by_one_field() -> None:
    with pytest.raises(ValidationError, match="exactly one of"):
        SetUserPosts(username="ada", email="ada@example.com", posts=[])


async def test_a_profile_set_to_null_is_deleted(session: AsyncSession, ada: UserView) -> None:
    command = UpdateUser(username="ada", age=36, profile=None)
    after = await update_user(session, command)
    assert after is not None
    assert (after.profile, after.age, after.version) == (None, 36, 2)
    assert "profile" in after.model_fields_set
    assert await get_profile(session, GetProfile(user_id=ada.id)) is None
    again = await update_user(session, UpdateUser(id=ada.id, profile=None))
    assert again is not None
    assert again.profile is None
    assert not list(session.identity_map.values())


async def test_a_profile_is_replaced_or_created(session: AsyncSession, ada: UserView) -> None:
    for bio in ("new", "newer"):
        wanted = NewProfile(bio=bio)
        after = await update_user(session, UpdateUser(id=ada.id, profile=wanted))
        assert after is not None
        assert after.profile is not None
        assert (after.profile.id, after.profile.bio, after.profile.user_id) == (wanted.id, bio, ada.id)
        assert await count(session, Profile) == 1
    bob = await create_user(session, CreateUser(username="bob"))
    after = await update_user(session, UpdateUser(id=bob.id, profile=NewProfile(bio="first")))
    assert after is not None
    assert await get_user(session, GetUser(id=bob.id, include="profile")) == after


async def test_an_update_that_says_nothing_of_the_profile_leaves_it(
    session: AsyncSession, ada: UserView
) -> None:
    await update_user(session, UpdateUser(id=ada.id, age=1))
    assert await count(session, Profile) == 1


async def test_a_missing_user_has_no_profile_to_set(session: AsyncSession) -> None:
    assert await update_user(session, UpdateUser(username="ada", profile=None)) is None
    with pytest.raises(CommandRejected, match="no user"):
        await update_user(session, UpdateUser(username="ada", profile=None, must_exist=True))
