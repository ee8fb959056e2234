"""The notebook: filters, order, pages, columns, relations, joins and cascades."""

from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import selectinload

from producers import CommandRejected, F
from producers.commands import (
    Condition,
    CountProfiles,
    CountUsers,
    CreateLike,
    CreateProfile,
    CreateUser,
    CreateUsers,
    FirstUser,
    GetProfile,
    GetUser,
    KeptPost,
    ListPosts,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    SetUserPosts,
    UpdateUser,
)
from tests.vocabulary.conftest import Run
from worker.app import App
from worker.models import Post, Profile, User

pytestmark = pytest.mark.databases

JOHN = CreateUser(username="john", email="john@example.com", age=30, posts=[NewPost(title="Post by john")])
ALICE = CreateUser(username="alice", email="alice@gmail.com", age=25)
MARK = CreateUser(username="mark", age=41, posts=[NewPost(title="First Post"), NewPost(title="Second Post")])


@pytest.fixture
async def people(run: Run) -> None:
    for command in (JOHN, ALICE, MARK):
        await run(command)


async def names(run: Run, **options: Any) -> list[str | None]:
    page = await run(ListUsers(**{"order_by": "username", **options}))
    return [user.username for user in page.items]


async def pairs(run: Run, *fields: str, **options: Any) -> list[tuple[Any, ...]]:
    page = await run(ListUsers.pick(*fields, **options))
    return [tuple(row.values()) for row in page.items]


async def test_add_many(run: Run) -> None:
    rows = [NewUser(username=name) for name in ("john", "alice", "mark")]
    users = await run(CreateUsers(rows=rows))
    assert [user and user.username for user in users] == ["john", "alice", "mark"]


async def test_add_one_and_refresh(run: Run) -> None:
    created = await run(CreateUser(username="islam", email="islam@example.com"))
    assert created == await run(GetUser(id=created.id))


@pytest.mark.usefixtures("people")
async def test_find_by_username_change_and_refresh(run: Run) -> None:
    changed = await run(UpdateUser(by="username", username="alice", email="alice@new.com"))
    assert changed is not None
    assert (changed.id, changed.email) == (ALICE.id, "alice@new.com")
    assert changed == await run(GetUser(username="alice"))


FILTERS: dict[str, tuple[Condition, list[str]]] = {
    "==": (F.username == "alice", ["alice"]),
    "!=": (F.username != "alice", ["john", "mark"]),
    "<": (F.age < 30, ["alice"]),
    "<=": (F.age <= 30, ["alice", "john"]),
    ">": (F.age > 30, ["mark"]),
    ">=": (F.age >= 30, ["john", "mark"]),
    "like": (F.username.like("%a%"), ["alice", "mark"]),
    "like one character": (F.username.like("j_hn"), ["john"]),
    "like is case-sensitive": (F.username.like("%A%"), []),
    "contains": (F.email.contains("@gmail.com"), ["alice"]),
    "startswith": (F.username.startswith("a"), ["alice"]),
    "endswith": (F.username.endswith("n"), ["john"]),
    "in": (F.age.in_([25, 41]), ["alice", "mark"]),
    "not in": (F.age.not_in([25, 41]), ["john"]),
    "not (in)": (~F.age.in_([25, 41]), ["john"]),
    "is null": (F.email == None, ["mark"]),  # noqa: E711
    "is not null": (F.email != None, ["alice", "john"]),  # noqa: E711
    "and": ((F.age > 20) & (F.username != "mark"), ["alice", "john"]),
    "or": ((F.username == "alice") | (F.username == "mark"), ["alice", "mark"]),
    "not": (~(F.username == "alice"), ["john", "mark"]),
    "to any depth": (~((F.age < 30) | ~((F.age < 40) & ~(F.email == None))), ["john"]),  # noqa: E711
}


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("name", FILTERS)
async def test_filter(run: Run, name: str) -> None:
    condition, expected = FILTERS[name]
    assert await names(run, where=condition) == expected


@pytest.mark.usefixtures("people")
async def test_first_and_last(run: Run) -> None:
    first, last = [await run(FirstUser(order_by=order)) for order in ("username", "-username")]
    assert first is not None
    assert last is not None
    assert (first.username, last.username) == ("alice", "mark")


@pytest.mark.usefixtures("people")
async def test_by_key_and_by_unique_field(run: Run) -> None:
    by_key = await run(GetUser(id=ALICE.id))
    assert by_key is not None
    assert by_key == await run(GetUser(username="alice")) == await run(GetUser(email="alice@gmail.com"))


@pytest.mark.usefixtures("people")
async def test_order_by_several_up_and_down(run: Run) -> None:
    await run(CreateUser(username="bob", age=25))
    assert await names(run, order_by=["age", "-username"]) == ["bob", "alice", "john", "mark"]
    assert await names(run, order_by=["-age", "username"]) == ["mark", "john", "alice", "bob"]


@pytest.mark.usefixtures("people")
async def test_nulls_sort_last(run: Run) -> None:
    await run(CreateUser(username="bob"))
    assert await names(run, order_by=["age", "username"]) == ["alice", "john", "mark", "bob"]
    assert await names(run, order_by=["-age", "username"]) == ["mark", "john", "alice", "bob"]


@pytest.mark.usefixtures("people")
async def test_limit_and_offset(run: Run) -> None:
    assert await names(run, limit=2) == ["alice", "john"]
    assert await names(run, limit=1, offset=1) == ["john"]
    assert await names(run, offset=1) == ["john", "mark"]


@pytest.mark.usefixtures("people")
async def test_count(run: Run) -> None:
    assert await run(CountUsers()) == 3
    assert await run(CountUsers(where=F.age > 29)) == 2


@pytest.mark.usefixtures("people")
async def test_chosen_columns(run: Run) -> None:
    assert await pairs(run, "username", "email", order_by="username") == [
        ("alice", "alice@gmail.com"),
        ("john", "john@example.com"),
        ("mark", None),
    ]


async def test_distinct(run: Run) -> None:
    for age in (30, 30, 25, None, None):
        await run(CreateUser(name="x", age=age))
    assert await pairs(run, "age", distinct=True) == [(25,), (30,), (None,)]


@pytest.mark.usefixtures("people")
async def test_one_to_one(run: Run) -> None:
    await run(CreateProfile(bio="Hello, I'm alice!", user_id=ALICE.id))
    alice = await run(GetUser(username="alice", include=["profile"]))
    profile = await run(GetProfile(user_id=ALICE.id, include=["user"]))
    assert alice is not None
    assert profile is not None
    assert alice.profile is not None
    assert alice.profile.bio == profile.bio == "Hello, I'm alice!"
    assert profile.user is not None
    assert profile.user.username == "alice"
    with pytest.raises(CommandRejected, match="user_id"):
        await run(CreateProfile(bio="another", user_id=ALICE.id))


@pytest.mark.usefixtures("people")
async def test_many_to_many(run: Run) -> None:
    for post in MARK.posts:
        await run(CreateLike(user_id=ALICE.id, post_id=post.id))
        with pytest.raises(CommandRejected, match="own post"):
            await run(CreateLike(user_id=MARK.id, post_id=post.id))
    alice = await run(GetUser(username="alice", include=["liked_posts"]))
    assert alice is not None
    assert {post.title for post in alice.liked_posts or ()} == {"First Post", "Second Post"}


@pytest.mark.usefixtures("people")
async def test_inner_join_users_who_have_posts(run: Run) -> None:
    page = await run(ListUsers(where=F.posts.any(), include=["posts"], order_by="username"))
    assert [(user.username, len(user.posts or ())) for user in page.items] == [("john", 1), ("mark", 2)]


@pytest.mark.usefixtures("people")
async def test_inner_join_users_and_their_posts(run: Run) -> None:
    found = await pairs(run, "username", "posts.id", "posts.title", order_by=["username", "posts.title"])
    assert [(name, title) for name, _, title in found] == [
        ("john", "Post by john"),
        ("mark", "First Post"),
        ("mark", "Second Post"),
    ]


@pytest.mark.usefixtures("people")
async def test_inner_join_pairs_of_email_and_title(run: Run) -> None:
    found = await pairs(run, "email", "posts.title", order_by="posts.title")
    assert found == [(None, "First Post"), ("john@example.com", "Post by john"), (None, "Second Post")]


@pytest.mark.usefixtures("people")
async def test_inner_join_pairs_of_username_and_title(run: Run) -> None:
    found = await pairs(run, "username", "posts.title", order_by="-posts.title", limit=2)
    assert found == [("mark", "Second Post"), ("john", "Post by john")]


@pytest.mark.usefixtures("people")
async def test_inner_join_users_who_have_a_post_whose_title_contains_first(run: Run) -> None:
    assert await names(run, where=F.posts.title.contains("First")) == ["mark"]
    assert await names(run, where=F.posts.title.like("%First%")) == ["mark"]


@pytest.mark.usefixtures("people")
async def test_left_join(run: Run) -> None:
    found = await pairs(run, "username", "posts.title", join="left", order_by=["username", "posts.title"])
    assert found[0] == ("alice", None)
    assert len(found) == 4


@pytest.mark.usefixtures("people")
async def test_full_outer_join_of_users_and_likes(run: Run) -> None:
    """Users who like nothing, and posts that nobody likes, stand alone."""
    await run(CreateLike(user_id=ALICE.id, post_id=MARK.posts[0].id))
    found = await pairs(
        run, "username", "liked_posts.title", join="full", order_by=["username", "liked_posts.title"]
    )
    assert found == [
        ("alice", "First Post"),
        ("john", None),
        ("mark", None),
        (None, "Post by john"),
        (None, "Second Post"),
    ]


async def test_delete_orphan_when_detached(run: Run) -> None:
    await run(MARK)
    first, _second = MARK.posts
    mark = await run(SetUserPosts(id=MARK.id, posts=[KeptPost(id=first.id), KeptPost(title="Third Post")]))
    assert mark is not None
    assert sorted(post.title for post in mark.posts or ()) == ["First Post", "Third Post"]
    assert (await run(ListPosts())).items == tuple(sorted(mark.posts or (), key=lambda post: post.id))
    await run(UpdateUser(id=MARK.id, profile=NewProfile(bio="Hello")))
    await run(UpdateUser(id=MARK.id, profile=None))
    assert await run(CountProfiles()) == 0


async def test_delete_orphan_in_a_session_of_a_handlers(run: Run, app: App) -> None:
    """As a handler of your own may do it."""
    await run(MARK)
    async with app.sessions() as session, session.begin():
        mark = (await session.scalars(select(User).options(selectinload(User.posts)))).one()
        mark.posts.remove(next(post for post in mark.posts if post.title == "First Post"))
    async with app.sessions() as session:
        assert (await session.scalars(select(Post.title))).all() == ["Second Post"]


async def test_cascade_by_the_orm(run: Run, app: App) -> None:
    await run(CreateUser(username="ada", posts=[NewPost(title="One")], profile=NewProfile(bio="x")))
    async with app.sessions() as session, session.begin():
        loaded = select(User).options(selectinload(User.posts), selectinload(User.profile))
        await session.delete((await session.scalars(loaded)).one())
    assert await rows_left(app) == [0, 0, 0]


async def test_cascade_by_a_raw_delete(run: Run, app: App) -> None:
    await run(CreateUser(username="ada", posts=[NewPost(title="One")], profile=NewProfile(bio="x")))
    async with app.sessions() as session, session.begin():
        await session.execute(delete(User.__table__))  # type: ignore[arg-type]  # a table
    assert await rows_left(app) == [0, 0, 0]


async def rows_left(app: App) -> list[int]:
    async with app.sessions() as session:
        counts = [select(func.count()).select_from(model) for model in (User, Post, Profile)]
        return [(await session.scalars(count)).one() for count in counts]
