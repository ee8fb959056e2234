"""The commands about likes, on a real database."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountLikes,
    CreateLike,
    CreateLikes,
    CreatePost,
    CreateUser,
    DeleteLike,
    GetLike,
    LikeKey,
    LikeView,
    ListLikes,
    NewPost,
    UpdatePost,
    UpsertLike,
)
from producers.commands.like import LikedPostView, LikerView
from producers.errors import CommandRejected
from worker.handlers.like import (
    count_likes,
    create_like,
    create_likes,
    delete_like,
    get_like,
    list_likes,
    upsert_like,
)
from worker.handlers.post import create_post, update_post
from worker.handlers.user import create_user
from worker.sqlstates import columns, sqlstate_of

pytestmark = pytest.mark.databases

Create = Callable[[AsyncSession, LikeKey], Awaitable[object]]


class Writer(NamedTuple):
    """A user and the user's post."""

    id: UUID
    post: UUID


async def writer(session: AsyncSession, name: str) -> Writer:
    post = NewPost(title=f"by {name}")
    user = await create_user(session, CreateUser(username=name, posts=[post]))
    return Writer(user.id, post.id)


@pytest.fixture
async def ada(session: AsyncSession) -> Writer:
    return await writer(session, "ada")


@pytest.fixture
async def bob(session: AsyncSession) -> Writer:
    return await writer(session, "bob")


async def one(session: AsyncSession, like: LikeKey) -> object:
    return await create_like(session, CreateLike(**like.model_dump()))


async def several(session: AsyncSession, like: LikeKey) -> object:
    return await create_likes(session, CreateLikes(rows=[like]))


async def maybe(session: AsyncSession, like: LikeKey) -> object:
    return await upsert_like(session, UpsertLike(**like.model_dump()))


async def test_create_gives_the_view(session: AsyncSession, ada: Writer, bob: Writer) -> None:
    command = CreateLike(user_id=ada.id, post_id=bob.post)
    like = await create_like(session, command)
    assert like == LikeView(user_id=ada.id, post_id=bob.post)
    assert command.parse_result(command.dump_result(like)) == like
    with pytest.raises(IntegrityError) as caught:
        await create_like(session, command)
    assert (sqlstate_of(caught.value), columns(caught.value)) == ("23505", "user_id, post_id")


@pytest.mark.parametrize("create", [one, several, maybe])
async def test_ones_own_post_is_rejected(session: AsyncSession, ada: Writer, create: Create) -> None:
    with pytest.raises(CommandRejected) as caught:
        await create(session, LikeKey(user_id=ada.id, post_id=ada.post))
    assert (caught.value.code, caught.value.field) == ("own_post", "post_id")
    assert await count_likes(session, CountLikes()) == 0


@pytest.mark.parametrize("create", [one, several, maybe])
@pytest.mark.parametrize("missing", ["user_id", "post_id"])
async def test_a_missing_user_or_post_is_left_to_the_foreign_key(
    session: AsyncSession, ada: Writer, bob: Writer, create: Create, missing: str
) -> None:
    like: dict[str, Any] = {"user_id": ada.id, "post_id": bob.post, missing: uuid4()}
    with pytest.raises(IntegrityError) as caught:
        await create(session, LikeKey.model_validate(like))
    assert sqlstate_of(caught.value) == "23503"


async def test_one_own_post_among_many_rejects_them_all(
    session: AsyncSession, ada: Writer, bob: Writer
) -> None:
    good, bad = LikeKey(user_id=ada.id, post_id=bob.post), LikeKey(user_id=bob.id, post_id=bob.post)
    with pytest.raises(CommandRejected):
        await create_likes(session, CreateLikes(rows=[good, bad]))
    assert await count_likes(session, CountLikes()) == 0


async def test_create_many_keeps_the_order_of_the_rows(
    session: AsyncSession, ada: Writer, bob: Writer
) -> None:
    eve = await writer(session, "eve")
    rows = [
        LikeKey(user_id=user.id, post_id=post)
        for user, post in ((eve, ada.post), (ada, eve.post), (ada, bob.post), (bob, ada.post))
    ]
    command = CreateLikes(rows=rows)
    views = await create_likes(session, command)
    assert [(view.user_id, view.post_id) for view in views if view] == [
        (row.user_id, row.post_id) for row in rows
    ]
    assert command.parse_result(command.dump_result(views)) == views


async def test_upsert_makes_sure_that_the_like_is_there(
    session: AsyncSession, ada: Writer, bob: Writer
) -> None:
    command = UpsertLike(user_id=ada.id, post_id=bob.post)
    for _ in range(2):
        like = await upsert_like(session, command)
        assert like == LikeView(user_id=ada.id, post_id=bob.post)
        assert command.parse_result(command.dump_result(like)) == like
    assert await count_likes(session, CountLikes()) == 1


async def test_get_includes_user_and_post(session: AsyncSession, ada: Writer, bob: Writer) -> None:
    like = await create_like(session, CreateLike(user_id=ada.id, post_id=bob.post))
    assert await get_like(session, GetLike(user_id=ada.id, post_id=bob.post)) == like
    assert await get_like(session, GetLike(user_id=bob.id, post_id=ada.post)) is None
    command = GetLike(user_id=ada.id, post_id=bob.post, include=["user", "post"])
    found = await get_like(session, command)
    assert found is not None
    assert found.user == LikerView(id=ada.id, username="ada", name=None)
    assert found.post == LikedPostView(id=bob.post, title="by bob", user_id=bob.id)
    assert command.parse_result(command.dump_result(found)) == found


async def test_list_comes_in_the_order_of_the_pair(session: AsyncSession, ada: Writer, bob: Writer) -> None:
    eve = await writer(session, "eve")
    pairs = [(user.id, post) for user in (ada, bob) for post in (ada.post, bob.post, eve.post)]
    likes = [
        LikeKey(user_id=user, post_id=post)
        for user, post in pairs
        if (user, post) not in {(ada.id, ada.post), (bob.id, bob.post)}
    ]
    await create_likes(session, CreateLikes(rows=likes[::-1]))
    page = await list_likes(session, ListLikes())
    keys = [(like.user_id, like.post_id) for like in page.items]
    assert keys == sorted(keys)
    page = await list_likes(session, ListLikes(order_by="-post_id", include="user"))
    keys = [(like.post_id, like.user_id) for like in page.items]
    assert keys == sorted(sorted(keys, key=lambda key: key[1]), key=lambda key: key[0], reverse=True)
    assert all(like.user for like in page.items)


async def test_delete_says_whether_there_was_a_like(session: AsyncSession, ada: Writer, bob: Writer) -> None:
    await create_like(session, CreateLike(user_id=ada.id, post_id=bob.post))
    await create_like(session, CreateLike(user_id=bob.id, post_id=ada.post))
    command = DeleteLike(user_id=ada.id, post_id=bob.post)
    assert await delete_like(session, command) is True
    assert await delete_like(session, command) is False
    assert await count_likes(session, CountLikes()) == 1


async def test_the_author_of_a_post_cannot_become_one_who_likes_it(session: AsyncSession) -> None:
    ada, bob = [await create_user(session, CreateUser(username=name)) for name in ("ada", "bob")]
    post = await create_post(session, CreatePost(title="One", user_id=ada.id))
    await create_like(session, CreateLike(user_id=bob.id, post_id=post.id))
    with pytest.raises(CommandRejected) as rejected:
        await update_post(session, UpdatePost(id=post.id, user_id=bob.id))
    assert (rejected.value.code, rejected.value.field) == ("own_post", "user_id")
