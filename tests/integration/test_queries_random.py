"""Random queries find the rows that the same query finds in plain Python over the same data."""

import json
import operator
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import CountUsers, ListLikes, ListPosts, ListUsers
from producers.commands.conditions import Compare, Condition, Has, Not
from producers.commands.listing import Listing
from producers.commands.schema import Schema
from tests.reference import Record, holds, listed
from worker.handlers.like import list_likes
from worker.handlers.post import list_posts
from worker.handlers.user import count_users, list_users
from worker.models import Like, Post, Profile, User

pytestmark = [
    pytest.mark.databases,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # it would hide what failed
]

T = TypeVar("T")

TEXTS = [
    "",
    "a",
    "A",
    "b",
    "Z",
    "z",
    "ab",
    "aB",
    "a b",
    "é",
    "e",
    "%",
    "_",
    "a_b",
    "a%b",
    "\\",
    "ß",
    "😀",
    "a ",
    "10",
    "9",
]
MOMENT = datetime(2040, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TIMES = [MOMENT + timedelta(microseconds=step) for step in (0, 1, 1_000_000)]
IDS = [UUID(int=number << 64 | (99 - number)) for number in range(1, 40)]

_SOME: dict[str, Sequence[Any]] = {
    "id": IDS,
    "user_id": IDS[:14],
    "post_id": IDS,
    **dict.fromkeys(("username", "email", "name", "title", "content", "bio"), TEXTS),
    "age": [0, 1, 2, 3, 4, -(2**63) + 1, 2**63 - 1, 2**31],
    "is_active": [True, False],
    "version": [1, 2, 3],
    **dict.fromkeys(("created_at", "updated_at"), TIMES),
}  # fmt: skip
_COLUMNS = {
    "user": ["id", "username", "email", "name", "age", "is_active", "created_at", "version"],
    "post": ["id", "title", "content", "user_id", "created_at", "version"],
    "profile": ["id", "bio", "user_id"],
    "like": ["user_id", "post_id"],
}
_RELATIONS = {
    "user": {"posts": "post", "profile": "profile", "likes": "like", "liked_posts": "post"},
    "post": {"author": "user", "likes": "like"},
    "profile": {"user": "user"},
    "like": {"user": "user", "post": "post"},
}
_TO_MANY = {"posts", "likes", "liked_posts"}
_TEXT = {"username", "email", "name", "title", "content", "bio"}
_PIECES = ["%", "_", "a", "b", "A", "\\%", "\\_", "\\\\", "é", " "]


class Dice(Random):
    """Rolls queries; a number that Hypothesis finds rolls the same one again."""

    def some(self, of: Sequence[T], most: int, *, least: int = 0) -> list[T]:
        """Some of them, each once at most."""
        return self.sample(of, self.randint(least, min(most, len(of))))

    def path(self, entity: str, *, deep: int = 2) -> tuple[str, ...]:
        crossed: list[str] = []
        while len(crossed) < deep and self.random() < 0.25:
            crossed.append(self.choice(sorted(_RELATIONS[entity])))
            entity = _RELATIONS[entity][crossed[-1]]
        return (*crossed, self.choice(_COLUMNS[entity]))

    def comparison(self, entity: str) -> Condition:
        path = self.path(entity)
        name, some = path[-1], _SOME[path[-1]]
        operators = ["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
        if name in _TEXT:
            operators += ["like", "contains", "startswith", "endswith"]
        operator: Any = self.choice(operators)
        value: Any
        if operator in {"in", "not in"}:
            value = tuple(self.choices(some, k=self.randint(0, 3)))
        elif operator in {"==", "!="}:
            value = self.choice([None, *some])
        elif operator == "like":
            value = "".join(self.choices(_PIECES, k=self.randint(0, 4)))
        else:
            value = self.choice(some)
        return Compare(path, operator, value)

    def condition(self, entity: str, *, deep: int = 3) -> Condition:
        """One that is at most `deep` conditions deep."""
        if deep and self.random() < 0.5:
            if self.random() < 0.3:
                return Not(self.condition(entity, deep=deep - 1))
            parts = [self.condition(entity, deep=deep - 1) for _ in range(self.randint(2, 3))]
            return reduce(self.choice([operator.and_, operator.or_]), parts)
        if self.random() < 0.3:
            name = self.choice(sorted(_RELATIONS[entity]))
            return Has((name,), self.choice([None, self.comparison(_RELATIONS[entity][name])]))
        return self.comparison(entity)

    def listing(self, command: type[Listing], entity: str) -> Listing:
        options: dict[str, Any] = {
            "where": self.choice([None, self.condition(entity)]),
            "limit": self.choice([1, 3, 100]),
            "offset": self.choice([0, 0, 2]),
        }
        to_one = [name for name in _RELATIONS[entity] if name not in _TO_MANY]
        sortable: list[tuple[str, ...]] = [(name,) for name in _COLUMNS[entity]]
        sortable += [(name, column) for name in to_one for column in _COLUMNS[_RELATIONS[entity][name]]]
        if self.random() < 0.5:
            crossing = self.choice([None, *sorted(_RELATIONS[entity])])
            pool: list[tuple[str, ...]] = [(name,) for name in _COLUMNS[entity]]
            if crossing:
                pool += [(crossing, column) for column in _COLUMNS[_RELATIONS[entity][crossing]]]
            chosen = self.some(pool, 4, least=1)
            options |= {"fields": [".".join(path) for path in chosen], "distinct": self.choice([True, False])}
            options["join"] = self.choice(["inner", "left", "full"])
            sortable = chosen
        options["order_by"] = [self.choice(["", "-"]) + ".".join(path) for path in self.some(sortable, 3)]
        return command(**options)


async def people(session: AsyncSession) -> dict[str, list[Record]]:
    """Rows with NULLs, equal values and odd texts: in the database, and the same as records."""
    users: list[Record] = []
    posts: list[Record] = []
    profiles: list[Record] = []
    likes: list[Record] = []
    for number in range(14):
        values = {
            "id": IDS[number],
            "username": None if number % 4 == 0 else TEXTS[number + 1],
            "email": None if number % 3 == 0 else TEXTS[-number],
            "name": TEXTS[number // 2 + 1],
            "age": None if number % 5 == 0 else number % 4,
            "is_active": number % 3 != 1,
            "created_at": TIMES[number % 3],
            "updated_at": TIMES[0],
            "version": 1 + number % 3,
        }
        users.append(values)
    for number in range(16):
        author = IDS[(number * 3) % 9]
        posts.append(
            {
                "id": IDS[-number - 1],
                "title": TEXTS[1 + number % 5],
                "content": TEXTS[number % len(TEXTS)],
                "user_id": author,
                "created_at": TIMES[number % 2],
                "updated_at": TIMES[0],
                "version": 1 + number % 2,
            }
        )
    for number in range(0, 14, 3):
        bio = None if number % 2 else TEXTS[number]
        profiles.append({"id": IDS[20 - number], "bio": bio, "user_id": IDS[number]})
    for number in range(0, 60, 7):
        liker, post = users[number % 11], posts[number % 13]
        if liker["id"] != post["user_id"]:
            likes.append({"user_id": liker["id"], "post_id": post["id"]})
    for model, rows in (User, users), (Post, posts), (Profile, profiles), (Like, likes):
        session.add_all([model(**row) for row in rows])
        await session.flush()
    session.expunge_all()
    return related(users, posts, profiles, likes)


def related(
    users: list[Record], posts: list[Record], profiles: list[Record], likes: list[Record]
) -> dict[str, list[Record]]:
    """Let the records know each other by their relations."""
    by_user, by_post = {row["id"]: row for row in users}, {row["id"]: row for row in posts}
    for user in users:
        user["posts"] = [post for post in posts if post["user_id"] == user["id"]]
        user["profile"] = next((row for row in profiles if row["user_id"] == user["id"]), None)
        user["likes"] = [like for like in likes if like["user_id"] == user["id"]]
        user["liked_posts"] = [by_post[like["post_id"]] for like in user["likes"]]
    for post in posts:
        post["author"] = by_user[post["user_id"]]
        post["likes"] = [like for like in likes if like["post_id"] == post["id"]]
    for row in profiles:
        row["user"] = by_user[row["user_id"]]
    for like in likes:
        like["user"], like["post"] = by_user[like["user_id"]], by_post[like["post_id"]]
    return {"user": users, "post": posts, "profile": profiles, "like": likes}


@pytest.fixture
async def records(session: AsyncSession) -> dict[str, list[Record]]:
    """What is in the database."""
    return await people(session)


Handler = Callable[[AsyncSession, Any], Awaitable[Any]]

of_each_entity = pytest.mark.parametrize(
    ("command", "entity", "handler"),
    [(ListUsers, "user", list_users), (ListPosts, "post", list_posts), (ListLikes, "like", list_likes)],
    ids=["users", "posts", "likes"],
)
dice = st.integers(0, 2**64).map(Dice)
many_at_random = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a number is not made smaller to any purpose
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def behind(records: dict[str, list[Record]], entity: str) -> dict[tuple[str, ...], list[Record]]:
    """All rows that the relations of an entity could lead to."""
    return {(name,): records[target] for name, target in _RELATIONS[entity].items()}


def rows_of(listing: Listing, items: Iterable[Any]) -> list[Record]:
    """The rows by the columns that both sides have."""
    names = listing.fields or Schema.of(listing.view).columns
    return [
        {name: item[name] if isinstance(item, dict) else getattr(item, name) for name in names}
        for item in items
    ]


@of_each_entity
@many_at_random
@given(dice=dice)
async def test_a_random_list_is_what_python_finds(
    session: AsyncSession,
    records: dict[str, list[Record]],
    command: type[Listing],
    entity: str,
    handler: Handler,
    dice: Dice,
) -> None:
    listing = dice.listing(command, entity)
    page = await handler(session, listing)
    assert rows_of(listing, page.items) == rows_of(
        listing, listed(records[entity], listing, behind(records, entity))
    )


@of_each_entity
@many_at_random
@given(dice=dice)
@example(dice=Dice(2**31 - 1))  # MariaDB's "index for group-by" lost rows behind a cursor
async def test_page_after_page_by_cursor_is_the_whole_list(
    session: AsyncSession,
    records: dict[str, list[Record]],
    command: type[Listing],
    entity: str,
    handler: Handler,
    dice: Dice,
) -> None:
    listing = dice.listing(command, entity).model_copy(update={"offset": 0, "limit": 2})
    found, pages = [], 0
    page = await handler(session, listing)
    while True:
        found += page.items
        pages += 1
        assert pages < 100, "the cursor stands still"
        assert page.has_more == (page.next_cursor is not None)
        if page.next_cursor is None:
            break
        assert len(page.items) == listing.limit
        page = await handler(session, listing.model_copy(update={"cursor": page.next_cursor}))
    whole = listing.model_copy(update={"limit": 1000})
    assert rows_of(listing, found) == rows_of(
        listing, listed(records[entity], whole, behind(records, entity))
    )
    assert pages == max(1, -(-len(found) // listing.limit))


@many_at_random
@given(dice=dice)
async def test_a_random_count_is_what_python_counts(
    session: AsyncSession, records: dict[str, list[Record]], dice: Dice
) -> None:
    command = CountUsers(where=dice.condition("user"))
    assert command.where is not None
    expected = [user for user in records["user"] if holds(command.where, {(): user})]
    assert await count_users(session, command) == len(expected)


@given(dice=dice)
def test_a_condition_is_the_same_again_after_json(dice: Dice) -> None:
    command = CountUsers(where=dice.condition("user"))
    assert CountUsers.model_validate_json(json.dumps(command.to_wire())) == command
