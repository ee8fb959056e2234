"""The first async script: a user, two posts, and what becomes of them."""

import pytest

from producers import Atomic, CommandRejected, F
from producers.commands import (
    CountPosts,
    CountUsers,
    CreateLike,
    CreateUser,
    DeletePost,
    DeleteUser,
    GetUser,
    ListPosts,
    ListUsers,
    NewPost,
    UpdatePost,
    UpdateUser,
)
from tests.vocabulary.conftest import Run

NOUMAN = CreateUser(
    name="nouman",
    email="nouman@example.com",
    posts=[NewPost(title="First Post", content="This is my first post"), NewPost(title="Second Post")],
)

pytestmark = pytest.mark.databases
FIRST, SECOND = NOUMAN.posts


async def test_create_a_user_with_name_and_email_only(run: Run) -> None:
    user = await run(CreateUser(name="nouman", email="nouman@example.com"))
    assert (user.name, user.email, user.username) == ("nouman", "nouman@example.com", None)


async def test_create_posts_through_the_relationship(run: Run) -> None:
    user = await run(NOUMAN)
    assert sorted(post.title for post in user.posts or ()) == ["First Post", "Second Post"]
    assert {post.user_id for post in user.posts or ()} == {user.id}


async def test_read_all_users(run: Run) -> None:
    await run(NOUMAN)
    await run(CreateUser(name="ada"))
    assert sorted(user.name or "" for user in (await run(ListUsers())).items) == ["ada", "nouman"]


async def test_read_a_user_with_posts(run: Run) -> None:
    await run(NOUMAN)
    user = await run(GetUser(id=NOUMAN.id, include=["posts"]))
    assert user is not None
    assert len(user.posts or ()) == 2
    without = await run(GetUser(id=NOUMAN.id))
    assert without is not None
    assert without.posts is None


async def test_read_posts_by_user(run: Run) -> None:
    await run(NOUMAN)
    page = await run(ListPosts(where=F.user_id == NOUMAN.id, order_by="title"))
    assert [post.title for post in page.items] == ["First Post", "Second Post"]


async def test_update_a_user(run: Run) -> None:
    await run(NOUMAN)
    user = await run(UpdateUser(id=NOUMAN.id, name="Nouman Updated"))
    assert user is not None
    assert (user.name, user.email, user.version) == ("Nouman Updated", "nouman@example.com", 2)


async def test_update_a_post(run: Run) -> None:
    await run(NOUMAN)
    post = await run(UpdatePost(id=FIRST.id, title="Updated First Post"))
    assert post is not None
    assert (post.title, post.content) == ("Updated First Post", "This is my first post")


async def test_delete_one_post_and_see_what_remains(run: Run) -> None:
    await run(NOUMAN)
    assert await run(DeletePost(id=SECOND.id))
    page = await run(ListPosts(where=F.user_id == NOUMAN.id))
    assert [post.title for post in page.items] == ["First Post"]


async def test_delete_the_user_and_the_posts_with_it(run: Run) -> None:
    await run(NOUMAN)
    assert await run(DeleteUser(id=NOUMAN.id))
    assert (await run(CountUsers()), await run(CountPosts())) == (0, 0)


async def test_rollback(run: Run) -> None:
    with pytest.raises(CommandRejected, match="email"):
        await run(Atomic([NOUMAN, CreateUser(name="other", email="nouman@example.com")]))
    assert (await run(CountUsers()), await run(CountPosts())) == (0, 0)


async def test_many_to_many(run: Run) -> None:
    await run(NOUMAN)
    ada = await run(CreateUser(name="ada"))
    await run(CreateLike(user_id=ada.id, post_id=FIRST.id))
    found = await run(GetUser(id=ada.id, include=["liked_posts"]))
    assert found is not None
    assert [post.title for post in found.liked_posts or ()] == ["First Post"]


async def test_joins(run: Run) -> None:
    await run(NOUMAN)
    page = await run(ListUsers.pick("name", "posts.title", order_by="posts.title"))
    assert [tuple(row.values()) for row in page.items] == [
        ("nouman", "First Post"),
        ("nouman", "Second Post"),
    ]
