"""Queries that join, choose and page, and writes by a condition."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from producers import CommandRejected, F, MultipleFound, NotFound
from producers.commands import (
    CountPosts,
    CountUsers,
    CreateLike,
    CreateUser,
    DeleteLikesWhere,
    DeleteUsersWhere,
    FindUser,
    FirstUser,
    GetUser,
    ListPosts,
    ListUsers,
    NewPost,
    NewProfile,
    OneUser,
    UpdatePostsWhere,
    UpdateUsersWhere,
)
from worker.handlers.like import create_like, delete_likes_where
from worker.handlers.post import count_posts, list_posts, update_posts_where
from worker.handlers.user import (
    count_users,
    create_user,
    delete_users_where,
    find_user,
    first_user,
    get_user,
    list_users,
    one_user,
    update_users_where,
)
from worker.models import User

pytestmark = pytest.mark.databases

ADA, BOB, CAT = UUID(int=1), UUID(int=2), UUID(int=3)
FIRST, SECOND, THIRD = UUID(int=11), UUID(int=12), UUID(int=13)


@pytest.fixture
async def people(session: AsyncSession) -> None:
    """Ada wrote two posts, Bob one, Cat none; Bob likes Ada's first."""
    first, second = NewPost(id=FIRST, title="First"), NewPost(id=SECOND, title="Second")
    await create_user(
        session,
        CreateUser(id=ADA, username="ada", age=36, posts=[first, second], profile=NewProfile(bio="x")),
    )
    await create_user(session, CreateUser(id=BOB, username="bob", posts=[NewPost(id=THIRD, title="Third")]))
    await create_user(session, CreateUser(id=CAT, username="cat", age=20))
    await create_like(session, CreateLike(user_id=BOB, post_id=FIRST))


async def pairs(session: AsyncSession, *fields: str, **options: Any) -> list[tuple[Any, ...]]:
    page = await list_users(session, ListUsers(fields=fields, **options))
    return [tuple(row.values()) for row in page.items]  # type: ignore[attr-defined]  # rows are dicts


@pytest.mark.usefixtures("people")
async def test_a_join_gives_a_row_for_each_pair(session: AsyncSession) -> None:
    found = await pairs(session, "username", "posts.title")
    assert found == [("ada", "First"), ("ada", "Second"), ("bob", "Third")]
    assert await pairs(session, "username", "posts.title", order_by=["-posts.title"], limit=2) == [
        ("bob", "Third"),
        ("ada", "Second"),
    ]


@pytest.mark.usefixtures("people")
async def test_a_left_join_keeps_rows_without_a_partner(session: AsyncSession) -> None:
    found = await pairs(session, "username", "posts.title", join="left")
    assert found == [("ada", "First"), ("ada", "Second"), ("bob", "Third"), ("cat", None)]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("field", ["liked_posts.title", "likes.post.title"])
async def test_a_full_join_keeps_both_sides(session: AsyncSession, field: str) -> None:
    found = await pairs(session, "username", field, join="full", order_by=["username", field])
    assert found == [("ada", None), ("bob", "First"), ("cat", None), (None, "Second"), (None, "Third")]


@pytest.mark.usefixtures("people")
async def test_page_after_page_of_a_full_join(session: AsyncSession) -> None:
    command = ListUsers(fields=["username", "liked_posts.title"], join="full", limit=2)
    found: list[Any] = []
    page = await list_users(session, command)
    while page.next_cursor:
        found += page.items
        page = await list_users(session, command.model_copy(update={"cursor": page.next_cursor}))
    found += page.items
    whole = await list_users(session, command.model_copy(update={"limit": 100}))
    assert found == list(whole.items)
    assert len(found) == 5


@pytest.mark.usefixtures("people")
async def test_a_condition_on_what_is_joined_speaks_of_the_pair(session: AsyncSession) -> None:
    title = F.posts.title == "First"
    assert await pairs(session, "username", "posts.title", where=title) == [("ada", "First")]
    liked = F.posts.likes.user_id == BOB  # of the post in the pair, and not of another one
    assert await pairs(session, "username", "posts.title", where=liked) == [("ada", "First")]
    assert await pairs(session, "username", "posts.title", where=F.posts.likes.any()) == [("ada", "First")]
    some = await pairs(session, "username", "posts.title", where=F.posts.any(F.title == "First"))
    assert some == [("ada", "First"), ("ada", "Second")]


@pytest.mark.usefixtures("people")
async def test_without_chosen_fields_each_row_comes_once(session: AsyncSession) -> None:
    page = await list_users(
        session, ListUsers(where=F.posts.title.in_(["First", "Second"]), include=["posts"])
    )
    assert [user.username for user in page.items] == ["ada"]
    assert [post.title for post in page.items[0].posts or ()] == ["First", "Second"]


@pytest.mark.usefixtures("people")
async def test_a_to_one_relation_orders_and_is_chosen(session: AsyncSession) -> None:
    page = await list_posts(session, ListPosts(order_by=["-author.username", "title"]))
    assert [post.title for post in page.items] == ["Third", "First", "Second"]
    chosen = await list_posts(
        session, ListPosts(fields=["title", "author.age", "author.profile.bio"], join="left")
    )
    assert [tuple(row.values()) for row in chosen.items] == [  # type: ignore[attr-defined]
        ("First", 36, "x"),
        ("Second", 36, "x"),
        ("Third", None, None),
    ]


@pytest.mark.usefixtures("people")
async def test_exactly_one(session: AsyncSession) -> None:
    assert (await one_user(session, OneUser(where=F.username == "ada", include=["profile"]))).profile
    with pytest.raises(NotFound, match="no user is like this"):
        await one_user(session, OneUser(where=F.username == "eve"))
    with pytest.raises(MultipleFound, match="more than one user"):
        await one_user(session, OneUser())
    assert await find_user(session, FindUser(where=F.username == "eve")) is None
    found = await find_user(session, FindUser(where=F.age == 20))
    assert found is not None
    assert found.id == CAT
    with pytest.raises(MultipleFound):
        await find_user(session, FindUser(where=F.age > 1))


@pytest.mark.usefixtures("people")
async def test_the_first_and_the_last(session: AsyncSession) -> None:
    async def first(**options: Any) -> UUID | None:
        user = await first_user(session, FirstUser(**options))
        return None if user is None else user.id

    assert await first() == ADA
    assert await first(order_by="-id") == CAT
    assert await first(order_by="age") == CAT
    assert await first(order_by=["-age"], where=F.age == None) == BOB  # noqa: E711
    assert await first(where=F.username == "eve") is None


@pytest.mark.usefixtures("people")
async def test_counts_by_a_condition(session: AsyncSession) -> None:
    assert await count_users(session, CountUsers()) == 3
    assert await count_users(session, CountUsers(where=F.posts.any())) == 2
    assert await count_users(session, CountUsers(where=~F.posts.any())) == 1
    assert await count_users(session, CountUsers(where=F.age > 2**40)) == 0


@pytest.mark.usefixtures("people")
async def test_an_update_by_a_condition_changes_all_such_rows(session: AsyncSession) -> None:
    command = UpdateUsersWhere(where=F.age >= 20, is_active=False)
    assert await update_users_where(session, command.model_copy(update={"dry_run": True})) == 2
    assert await count_users(session, CountUsers(where=F.is_active == False)) == 0  # noqa: E712
    assert await update_users_where(session, command) == 2
    ada, bob = [await get_user(session, GetUser(id=key)) for key in (ADA, BOB)]
    assert ada is not None
    assert bob is not None
    assert (ada.is_active, ada.version, bob.is_active, bob.version) == (False, 2, True, 1)
    assert await update_posts_where(session, UpdatePostsWhere(where=F.author.age == 36, content="x")) == 2
    assert await update_users_where(session, UpdateUsersWhere(where=F.age == 1, name=None)) == 0


@pytest.mark.usefixtures("people")
async def test_a_delete_by_a_condition_takes_along_what_belongs_to_the_rows(session: AsyncSession) -> None:
    command = DeleteUsersWhere(where=F.posts.any())
    assert await delete_users_where(session, command.model_copy(update={"dry_run": True})) == 2
    assert await delete_likes_where(session, DeleteLikesWhere(where=F.post.title == "First")) == 1
    assert await delete_users_where(session, command) == 2
    assert await count_users(session, CountUsers()) == 1
    assert await count_posts(session, CountPosts()) == 0


@pytest.mark.usefixtures("people")
async def test_too_many_rows_are_left_as_they_are(session: AsyncSession) -> None:
    with pytest.raises(CommandRejected, match="more than 1 rows are like this") as refused:
        await delete_users_where(session, DeleteUsersWhere(where=F.age > 1, limit=1))
    assert (refused.value.code, refused.value.field) == ("too_many_rows", "limit")
    with pytest.raises(CommandRejected):
        await update_users_where(session, UpdateUsersWhere(where=F.id != ADA, name="x", limit=1))
    assert await count_users(session, CountUsers(where=F.name == None)) == 3  # noqa: E711


async def test_a_write_takes_more_rows_than_a_statement_has_values(
    session: AsyncSession,
) -> None:
    await session.execute(insert(User), [{"id": UUID(int=number), "name": "x"} for number in range(1, 2502)])
    assert await update_users_where(session, UpdateUsersWhere(where=F.name == "x", age=3, limit=2501)) == 2501
    assert await count_users(session, CountUsers(where=F.age == 3)) == 2501
    assert await delete_users_where(session, DeleteUsersWhere(where=F.age == 3, limit=5000)) == 2501


async def test_many_comparisons_and_values_are_answered(session: AsyncSession) -> None:
    either = F.age == 0
    for number in range(1, 490):
        either = either | (F.age == number)
    assert await count_users(session, CountUsers(where=either)) == 0
    among = F.age.in_(range(1000))
    for _ in range(9):
        among = among | F.age.in_(range(1000))
    assert await count_users(session, CountUsers(where=among)) == 0
