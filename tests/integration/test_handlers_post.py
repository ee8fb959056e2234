"""The commands about posts, on a real database."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountPosts,
    CreateLike,
    CreatePost,
    CreatePosts,
    CreateUser,
    DeletePost,
    GetLike,
    GetPost,
    ListPosts,
    NewPostOf,
    UpdatePost,
    UpsertPost,
    UserView,
)
from producers.commands.post import AuthorView, PostLikeView
from producers.errors import CommandRejected
from worker.handlers.like import create_like, get_like
from worker.handlers.post import (
    count_posts,
    create_post,
    create_posts,
    delete_post,
    get_post,
    list_posts,
    update_post,
    upsert_post,
)
from worker.handlers.user import create_user
from worker.sqlstates import sqlstate_of

pytestmark = pytest.mark.databases


@pytest.fixture
async def ada(session: AsyncSession) -> UserView:
    return await create_user(session, CreateUser(username="ada", name="Ada"))


async def test_create_gives_the_view(session: AsyncSession, ada: UserView) -> None:
    command = CreatePost(title="one", user_id=ada.id)
    post = await create_post(session, command)
    assert (post.id, post.title, post.content, post.user_id, post.version) == (
        command.id,
        "one",
        "",
        ada.id,
        1,
    )
    assert command.parse_result(command.dump_result(post)) == post


async def test_a_missing_author_is_left_to_the_foreign_key(session: AsyncSession) -> None:
    with pytest.raises(IntegrityError) as caught:
        await create_post(session, CreatePost(title="one", user_id=uuid4()))
    assert sqlstate_of(caught.value) == "23503"


async def test_create_many_keeps_the_order_of_the_rows(session: AsyncSession, ada: UserView) -> None:
    wanted = [
        NewPostOf(id=UUID(int=number), title=str(number), content="text" * (number % 2), user_id=ada.id)
        for number in (3, 1, 2)
    ]
    command = CreatePosts(rows=[*wanted, NewPostOf(title="without content", user_id=ada.id)])
    views = await create_posts(session, command)
    assert [(view.title, view.content) for view in views if view] == [
        ("3", "text"),
        ("1", "text"),
        ("2", ""),
        ("without content", ""),
    ]
    assert command.parse_result(command.dump_result(views)) == views


async def test_update(session: AsyncSession, ada: UserView) -> None:
    post = await create_post(session, CreatePost(title="one", content="text", user_id=ada.id))
    changed = await update_post(session, UpdatePost(id=post.id, title="two"))
    assert changed is not None
    assert (changed.title, changed.content, changed.version) == ("two", "text", 2)
    assert await update_post(session, UpdatePost(id=uuid4(), title="two")) is None
    with pytest.raises(CommandRejected, match="no post has this id"):
        await update_post(session, UpdatePost(id=uuid4(), title="two", must_exist=True))


async def test_upsert(session: AsyncSession, ada: UserView) -> None:
    command = UpsertPost(id=uuid4(), title="one", user_id=ada.id)
    post = await upsert_post(session, command)
    assert (post.id, post.title, post.content, post.version) == (command.id, "one", "", 1)
    again = await upsert_post(session, UpsertPost(id=post.id, title="two", content="text", user_id=ada.id))
    assert (again.id, again.title, again.content, again.version) == (post.id, "two", "text", 2)
    kept = await upsert_post(session, UpsertPost(id=post.id, title="three", user_id=ada.id))
    assert (kept.content, kept.version, kept.created_at) == ("text", 3, post.created_at)


async def test_get_includes_author_and_likes(session: AsyncSession, ada: UserView) -> None:
    bob = await create_user(session, CreateUser(username="bob"))
    post = await create_post(session, CreatePost(title="one", user_id=ada.id))
    await create_like(session, CreateLike(user_id=bob.id, post_id=post.id))

    assert await get_post(session, GetPost(id=post.id)) == post
    command = GetPost(id=post.id, include=["author", "likes"])
    found = await get_post(session, command)
    assert found is not None
    assert found.author == AuthorView(id=ada.id, username="ada", name="Ada")
    assert found.likes == (PostLikeView(user_id=bob.id, post_id=post.id),)
    assert command.parse_result(command.dump_result(found)) == found
    assert await get_post(session, GetPost(id=uuid4(), include="author")) is None


async def test_list_and_count(session: AsyncSession, ada: UserView) -> None:
    rows = [NewPostOf(title=title, user_id=ada.id) for title in ("b", "a", "c")]
    await create_posts(session, CreatePosts(rows=rows))
    page = await list_posts(session, ListPosts(order_by="title", include="author"))
    assert [post.title for post in page.items] == ["a", "b", "c"]
    assert {post.author for post in page.items if post.author} == {
        AuthorView(id=ada.id, username="ada", name="Ada")
    }
    assert await count_posts(session, CountPosts()) == 3


async def test_delete_takes_the_likes_along(session: AsyncSession, ada: UserView) -> None:
    bob = await create_user(session, CreateUser(username="bob"))
    post = await create_post(session, CreatePost(title="one", user_id=ada.id))
    await create_like(session, CreateLike(user_id=bob.id, post_id=post.id))
    assert await delete_post(session, DeletePost(id=post.id)) is True
    assert await delete_post(session, DeletePost(id=post.id)) is False
    assert await get_like(session, GetLike(user_id=bob.id, post_id=post.id)) is None
