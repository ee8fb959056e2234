"""Lists: what may be asked together, cursors, and the types of what comes back."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from producers import F
from producers.commands import (
    DeleteUsersWhere,
    FirstUser,
    GetUser,
    ListLikes,
    ListPosts,
    ListUsers,
    Page,
    UpdatePostsWhere,
    UpdateUsersWhere,
)
from producers.commands import cursor as cursors
from producers.commands.query import Term

ID = UUID("01890000-0000-7000-8000-000000000001")


def refusal(command: Any, **fields: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        command(**fields)
    return str(refused.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("command", "fields", "says"),
    [
        (ListUsers, {"fields": ["emial"]}, "'emial' is unknown; did you mean 'email'?"),
        (ListUsers, {"fields": ["hashed_password"]}, "'hashed_password' is unknown"),
        (ListUsers, {"fields": ["posts"]}, "posts is a relation; name one of its fields"),
        (ListUsers, {"fields": ["posts.title", "likes.post_id"]}, "only one relation may lead to many rows"),
        (ListUsers, {"fields": ["email"] * 101}, "at most 100 items"),
        (ListUsers, {"order_by": "posts.title"}, "a row has many posts; choose fields"),
        (FirstUser, {"order_by": "likes.post_id"}, "a row has many likes"),
        (ListUsers, {"order_by": "-surname"}, "'surname' is unknown; did you mean 'username'?"),
        (ListUsers, {"distinct": True}, "distinct is about chosen fields"),
        (ListUsers, {"join": "left"}, "join is about chosen fields"),
        (ListUsers, {"join": "right", "fields": ["email"]}, "Input should be 'inner', 'left' or 'full'"),
        (ListUsers, {"fields": ["email"], "include": ["posts"]}, "include brings relations to whole views"),
        (
            ListUsers,
            {"fields": ["email"], "distinct": True, "order_by": "age"},
            "distinct rows can be ordered by chosen fields only, not by age",
        ),
        (ListUsers, {"limit": 1001}, "less than or equal to 1000"),
        (ListUsers, {"offset": -1}, "greater than or equal to 0"),
        (GetUser, {"id": ID, "include": ["author"]}, "'author' is unknown; there are: posts, profile"),
        (UpdateUsersWhere, {"where": F.age > 1}, "nothing to change: set at least one field"),
        (UpdateUsersWhere, {"age": 1}, "Field required"),
        (DeleteUsersWhere, {}, "Field required"),
        (DeleteUsersWhere, {"where": None}, "a condition is an object like"),
        (DeleteUsersWhere, {"where": F.age > 1, "limit": 10_001}, "less than or equal to 10000"),
        (UpdatePostsWhere, {"where": F.version == 1, "title": None}, "title cannot be null"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_does_not_fit_together_is_told(command: Any, fields: dict[str, Any], says: str) -> None:
    assert says in refusal(command, **fields)


@pytest.mark.parametrize(
    ("listing", "order"),
    [
        (ListUsers(), ["id"]),
        (ListUsers(order_by=["-age", "name"]), ["-age", "name", "id"]),
        (ListUsers(order_by=["id", "age", "-id"]), ["id", "age"]),
        (ListPosts(order_by="author.name"), ["author.name", "id"]),
        (ListLikes(), ["user_id", "post_id"]),
        (ListUsers(fields=["posts.title"], order_by="-posts.title"), ["-posts.title", "id", "posts.id"]),
        (ListPosts(fields=["author.name"]), ["id"]),
        (ListPosts(fields=["author.name"], join="full"), ["id", "author.id"]),
        (ListUsers(fields=["likes.post.title"]), ["id", "likes.user_id", "likes.post_id"]),
        (ListUsers(fields=["name", "age"], distinct=True, order_by="-age"), ["-age", "name"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_order_tells_all_rows_apart(listing: Any, order: list[str]) -> None:
    assert [str(term) for term in listing.order] == order


def test_a_cursor_brings_back_the_values_with_their_types() -> None:
    moment = datetime(2040, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    newest = ListUsers(order_by=["-created_at", "age"])
    behind = ListUsers(order_by=["-created_at", "age"], cursor=newest.cursor_behind([moment, None, ID]))
    assert behind.after() == (moment, None, ID)
    assert ListUsers().after() is None
    assert newest.order[0] == Term(("created_at",), down=True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"cursor": "nonsense!"}, "it is not the next_cursor of a page"),
        ({"cursor": "YWJj"}, "it is not the next_cursor of a page"),
        ({"cursor": cursors.encode(["id"], ["x"])}, "it is not the next_cursor of a page"),
        ({"cursor": cursors.encode(["id"], [])}, "it is not the next_cursor of a page"),
        ({"cursor": cursors.encode(["-id"], [ID])}, "it belongs to a list in another order"),
        ({"cursor": ListUsers().cursor_behind([ID]), "offset": 1}, "give offset or cursor, not both"),
        ({"cursor": ListUsers().cursor_behind([ID]), "order_by": "age"}, "in another order"),
    ],
)
def test_a_cursor_of_something_else_is_refused(fields: dict[str, Any], says: str) -> None:
    assert says in refusal(ListUsers, **fields)


def test_chosen_fields_come_back_with_their_types() -> None:
    moment = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    picked: Any = ListUsers.pick("id", "posts.created_at", "email", join="left")
    assert picked == ListUsers(fields=["id", "posts.created_at", "email"], join="left")
    row: dict[str, Any] = {"id": ID, "posts.created_at": moment, "email": None}
    page = Page[dict[str, Any]](items=(row,), limit=100, offset=0, has_more=False)
    assert picked.parse_result(picked.dump_result(page)) == page
    found_again = ListUsers.result_type().validate_python(picked.dump_result(page))
    assert found_again.items[0]["email"] is None


def test_a_field_is_chosen_once() -> None:
    assert list(ListUsers(fields=["email", "name", "email"]).fields) == ["email", "name"]
    assert list(ListUsers.model_validate({"fields": "email"}).fields) == ["email"]
