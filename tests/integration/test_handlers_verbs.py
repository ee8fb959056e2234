"""What all verbs have in common: order, pages, bulk, versions, and a session that is left alone."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import Field
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers.commands import (
    CountUsers,
    CreatePost,
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetPost,
    GetUser,
    ListUsers,
    NewId,
    NewPost,
    NewUser,
    Payload,
    PostView,
    UpdatePost,
    UpdateUser,
    UpsertUser,
)
from tests.integration.conftest import Sessions
from tests.integration.statements import statements
from worker.database import transaction_options
from worker.handlers.dialects import sort_key
from worker.handlers.post import create_post, get_post, posts, update_post
from worker.handlers.user import (
    count_users,
    create_user,
    create_users,
    delete_user,
    get_user,
    list_users,
    update_user,
    upsert_user,
    users,
)
from worker.models import Post, User
from worker.sqlstates import sqlstate_of

pytestmark = pytest.mark.databases


async def people(session: AsyncSession) -> None:
    """Make four users, whose ids are the reverse of their order here."""
    rows = [
        NewUser(id=UUID(int=9), username="ada", age=3),
        NewUser(id=UUID(int=8), username="Zoe", age=None),
        NewUser(id=UUID(int=7), username="äsa", age=3),
        NewUser(id=UUID(int=6), username="bob", age=1),
        NewUser(id=UUID(int=5), name="nobody", age=None),
    ]
    await create_users(session, CreateUsers(rows=rows))


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ((), [5, 6, 7, 8, 9]),
        ("id", [5, 6, 7, 8, 9]),
        ("-id", [9, 8, 7, 6, 5]),
        ("age", [6, 7, 9, 5, 8]),
        ("-age", [7, 9, 6, 5, 8]),
        (("age", "-id"), [6, 9, 7, 8, 5]),
        ("username", [8, 9, 6, 7, 5]),  # by code point: Zoe ada bob äsa, and the one without comes last
        ("-username", [7, 6, 9, 8, 5]),
        (("-is_active", "-age", "-username"), [7, 9, 6, 8, 5]),
    ],
)
async def test_nulls_sort_last_text_by_code_point_and_ties_by_key(
    session: AsyncSession, order_by: Any, expected: list[int]
) -> None:
    await people(session)
    page = await list_users(session, ListUsers(order_by=order_by))
    assert [user.id.int for user in page.items] == expected


def test_only_a_column_that_can_be_null_says_where_nulls_go() -> None:
    columns = users.table.c

    def key(name: str, dialect: str, *, down: bool = True) -> str:
        column = columns[name]
        return str(sort_key(column, down=down, nullable=bool(column.nullable), dialect=dialect))

    assert key("age", "postgresql") == "users.age DESC NULLS LAST"
    assert key("version", "postgresql") == "users.version DESC"
    assert key("username", "sqlite", down=False) == "users.username ASC NULLS LAST"
    assert key("age", "mariadb", down=False) == "users.age IS NULL, users.age ASC"
    assert key("age", "mariadb") == "users.age DESC"


@pytest.mark.parametrize(
    ("limit", "offset", "expected", "has_more"),
    [
        (None, 0, [5, 6, 7, 8, 9], False),
        (None, 3, [8, 9], False),
        (2, 0, [5, 6], True),
        (2, 3, [8, 9], False),
        (5, 0, [5, 6, 7, 8, 9], False),
        (4, 0, [5, 6, 7, 8], True),
        (None, 9, [], False),
    ],
)
async def test_a_page_has_its_rows_and_knows_whether_more_follow(
    session: AsyncSession, limit: int | None, offset: int, expected: list[int], *, has_more: bool
) -> None:
    await people(session)
    command = ListUsers(offset=offset) if limit is None else ListUsers(limit=limit, offset=offset)
    page = await list_users(session, command)
    assert [user.id.int for user in page.items] == expected
    assert (page.limit, page.offset, page.has_more) == (limit or 100, offset, has_more)
    assert command.parse_result(command.dump_result(page)) == page


async def test_count(session: AsyncSession) -> None:
    assert await count_users(session, CountUsers()) == 0
    await people(session)
    assert await count_users(session, CountUsers()) == 5


async def test_a_bulk_command_is_one_statement_and_keeps_its_order(
    session: AsyncSession, engine: AsyncEngine
) -> None:
    rows = [
        NewUser(id=UUID(int=1 + number * 7919 % 1009), name="n", age=number if number < 99 else None)
        for number in range(1000)
    ]
    with statements(engine) as seen:
        views = await create_users(session, CreateUsers(rows=rows))
    assert seen == ["INSERT INTO users"]
    assert [(view.id, view.age) for view in views if view] == [(row.id, row.age) for row in rows]


class Draft(Payload):
    """Unlike the contract's own payloads it leaves a default to the database."""

    id: NewId = Field(default_factory=uuid4)
    title: str
    content: str | None = None
    user_id: UUID


async def test_what_was_not_set_takes_the_columns_default(session: AsyncSession, engine: AsyncEngine) -> None:
    ada = await create_user(session, CreateUser(username="ada"))
    drafts = [
        Draft(title="1", user_id=ada.id),
        Draft(title="2", user_id=ada.id, content="text"),
        Draft(title="3", user_id=ada.id),
    ]
    with statements(engine) as seen:
        views = await posts.create_many(session, drafts)
    assert [(view.title, view.content) for view in views] == [("1", ""), ("2", "text"), ("3", "")]
    assert seen == ["INSERT INTO posts"] * 2
    assert (await posts.create(session, Draft(title="4", user_id=ada.id))).content == ""


async def test_a_verb_is_one_statement(
    session: AsyncSession, engine: AsyncEngine, database_kind: str
) -> None:
    # MariaDB's UPDATE returns no row, and its own upsert would act on a duplicate of any key.
    written = ["UPDATE", "SELECT"] * 2 if database_kind == "mariadb" else ["UPDATE", "INSERT"]
    with statements(engine) as seen:
        ada = await create_user(session, CreateUser(username="ada"))
        await update_user(session, UpdateUser(id=ada.id, age=1))
        await upsert_user(session, UpsertUser(username="ada", age=2))
        await get_user(session, GetUser(id=ada.id))
        await get_user(session, GetUser(id=ada.id, include=["posts", "profile"]))
        await list_users(session, ListUsers())
        await delete_user(session, DeleteUser(id=ada.id))
    assert [statement.split()[0] for statement in seen] == [
        *("INSERT", *written),
        *("SELECT",) * 5,
        "DELETE",
    ]


async def test_the_password_is_not_even_read(session: AsyncSession, engine: AsyncEngine) -> None:
    read: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: object) -> None:
        read.append(statement.rpartition("RETURNING")[2])

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    ada = await create_user(session, CreateUser(username="ada"))
    await update_user(session, UpdateUser(id=ada.id, age=1))
    await get_user(session, GetUser(id=ada.id, include=["posts"]))
    post = await create_post(session, CreatePost(title="one", user_id=ada.id))
    await get_post(session, GetPost(id=post.id, include=["author"]))
    assert read
    assert not [statement for statement in read if "hashed_password" in statement]


async def test_no_update_is_lost_when_many_come_at_once(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        ada = await create_user(session, CreateUser(username="ada"))

    async def update(age: int) -> int:
        async with sessions.begin() as session:
            changed = await update_user(session, UpdateUser(username="ada", age=age))
            assert changed is not None
            assert changed.age == age
            return changed.version

    versions = await asyncio.gather(*(update(age) for age in range(20)))
    assert sorted(versions) == list(range(2, 22))
    async with sessions() as session:
        last = await get_user(session, GetUser(id=ada.id))
        assert last is not None
        assert last.version == 21


async def test_upserts_at_once_make_one_row(sessions: Sessions) -> None:
    async def upsert(age: int) -> tuple[UUID, int]:
        while True:
            try:
                async with sessions.begin() as session:
                    ada = await upsert_user(session, UpsertUser(username="ada", age=age))
                    return ada.id, ada.version
            except DBAPIError as error:  # on MariaDB, and then the executor runs it again as well
                if sqlstate_of(error) != "40P01":
                    raise

    results = await asyncio.gather(*(upsert(age) for age in range(10)))
    assert len({key for key, _ in results}) == 1
    assert sorted(version for _, version in results) == list(range(1, 11))


async def test_updates_and_upserts_say_when(sessions: Sessions, database_kind: str) -> None:
    times: list[datetime] = []
    async with sessions.begin() as session:
        times.append((await create_user(session, CreateUser(username="ada"))).updated_at)
    async with sessions.begin() as session:
        changed = await update_user(session, UpdateUser(username="ada", age=1))
        assert changed is not None
        times.append(changed.updated_at)
    async with sessions.begin() as session:
        times.append((await upsert_user(session, UpsertUser(username="ada", age=2))).updated_at)
    async with sessions.begin() as session:
        same = await upsert_user(session, UpsertUser(username="ada"))
    # SQLite's clock may say the same millisecond twice.
    assert times == (sorted(times) if database_kind == "sqlite" else sorted(set(times)))
    assert (same.updated_at, same.created_at) == (times[2], times[0])


async def test_a_handler_leaves_the_transaction_open(sessions: Sessions) -> None:
    async with sessions() as session:
        await create_user(session, CreateUser(username="ada", posts=[NewPost(title="one")]))
        assert session.in_transaction()
        await session.rollback()
        assert await count_users(session, CountUsers()) == 0


async def test_commands_of_one_transaction_see_what_went_before(session: AsyncSession) -> None:
    """As in an Atomic: objects that an earlier read left in the session are not believed."""
    ada = await create_user(session, CreateUser(username="ada", posts=[NewPost(title="one")]))
    assert ada.posts is not None
    post_id = ada.posts[0].id
    await get_user(session, GetUser(id=ada.id, include="posts"))
    await get_post(session, GetPost(id=post_id, include="author"))
    held = [await session.get_one(User, ada.id), await session.get_one(Post, post_id)]
    await update_user(session, UpdateUser(id=ada.id, username="countess"))
    await update_post(session, UpdatePost(id=post_id, title="two"))
    await create_post(session, CreatePost(title="three", user_id=ada.id))

    user = await get_user(session, GetUser(id=ada.id, include="posts"))
    assert user is not None
    assert (user.username, user.version) == ("countess", 2)
    assert sorted((post.title, post.version) for post in user.posts or ()) == [("three", 1), ("two", 2)]
    post = await get_post(session, GetPost(id=post_id, include="author"))
    assert post is not None
    assert post.author is not None
    assert (post.title, post.author.username) == ("two", "countess")

    await delete_user(session, DeleteUser(id=ada.id))
    assert await get_user(session, GetUser(id=ada.id, include="posts")) is None
    assert {type(kept) for kept in held} == {User, Post}


async def test_reads_run_in_a_read_only_transaction(sessions: Sessions, engine: AsyncEngine) -> None:
    async with sessions() as session:
        await session.connection(execution_options=transaction_options(engine, read_only=True))
        assert await get_user(session, GetUser(username="ada", include=["posts", "likes"])) is None
        assert (await list_users(session, ListUsers(include=["posts"]))).items == ()
        with pytest.raises(DBAPIError) as caught:
            await create_user(session, CreateUser(username="ada"))
        assert sqlstate_of(caught.value) == "25006"


async def test_a_view_knows_nothing_of_relations_that_were_not_asked_for(session: AsyncSession) -> None:
    ada = await create_user(session, CreateUser(username="ada"))
    post = await create_post(session, CreatePost(title="one", user_id=ada.id))
    assert isinstance(post, PostView)
    assert post.model_fields_set == set(posts.shape.columns)
