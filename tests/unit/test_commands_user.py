from typing import Any

import pytest
from pydantic import ValidationError

from producers.commands import (
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetUser,
    ListUsers,
    NewUser,
    UpdateUser,
    UpsertUser,
)

LONG_EMAIL = f"{'a' * 64}@{'.'.join(['b' * 62] * 3)}.example"


@pytest.mark.parametrize(
    "given",
    [
        {"username": "a"},
        {"username": "ü" * 50},
        {"email": "ada@example.com"},
        {"email": "ada+engines@sub.example.com"},
        {"name": "n" * 255},
        {"name": "Ada", "age": 0},
        {"name": "Ada", "age": 150},
        {"name": "Ada", "age": "36"},
        {"name": "Ada", "hashed_password": "$argon2id$v=19$..."},
        {"name": "Ada", "is_active": False},
    ],
)
def test_a_good_user_is_taken(given: dict[str, Any]) -> None:
    assert CreateUser.model_validate(given).model_fields_set == set(given)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"username": ""}, "username"),
        ({"username": "u" * 51}, "username"),
        ({"username": 7}, "username"),
        ({"email": "ada"}, "email"),
        ({"email": "ada@"}, "email"),
        ({"email": LONG_EMAIL}, "email"),
        ({"name": ""}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"name": "Ada", "age": -1}, "age"),
        ({"name": "Ada", "age": 151}, "age"),
        ({"name": "Ada", "age": 1.5}, "age"),
        ({"name": "Ada", "hashed_password": "hunter2"}, "hashed_password"),
        ({"name": "Ada", "is_active": "perhaps"}, "is_active"),
        ({"name": "Ada", "is_active": None}, "is_active"),
        ({"name": "Ada", "id": "x"}, "id"),
        ({"name": "Ada", "posts": [{}]}, "posts"),
        ({"name": "Ada", "posts": [{"title": "t" * 201}]}, "posts"),
        ({"name": "Ada", "posts": "x"}, "posts"),
        ({"name": "Ada", "profile": {"biography": "x"}}, "profile"),
    ],
)
def test_a_bad_field_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        CreateUser.model_validate(given)
    assert {problem["loc"][0] for problem in raised.value.errors()} == {field}


@pytest.mark.parametrize("given", [{}, {"age": 1}, {"username": None, "email": None, "name": None}])
def test_a_user_needs_something_to_be_called_by(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="at least one of username, email and name"):
        CreateUser.model_validate(given)


def test_a_bulk_has_one_to_a_thousand_rows() -> None:
    row = NewUser(name="Ada")
    assert len(CreateUsers(rows=[row] * 1000).rows) == 1000
    for rows in ([], [row] * 1001):
        with pytest.raises(ValidationError):
            CreateUsers(rows=rows)


def test_null_is_not_unset() -> None:
    assert UpdateUser(username="ada", email=None).changes == {"email": None}
    assert UpdateUser(username="ada", name="Ada").changes == {"name": "Ada"}


def test_where_the_key_is_set_it_is_the_address() -> None:
    update = UpdateUser.model_validate({"id": "01890000-0000-7000-8000-000000000001", "username": "ada"})
    assert update.address == "id"
    assert update.changes == {"username": "ada"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"age": 1}, "name the row by id, or by exactly one of username, email"),
        ({"username": "ada", "email": "ada@example.com"}, "exactly one of"),
        ({"username": None, "age": 1}, "name the row by id"),
        ({"id": None, "age": 1}, "name the row by id"),
        ({"username": "ada"}, "nothing to change"),
        ({"username": "ada", "must_exist": True}, "nothing to change"),
        ({"username": "ada", "is_active": None}, "is_active cannot be null"),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        UpdateUser.model_validate(given)


@pytest.mark.parametrize("command", [DeleteUser, GetUser])
@pytest.mark.parametrize("given", [{}, {"username": "ada", "email": "ada@example.com"}, {"username": None}])
def test_one_row_is_named_by_exactly_one_field(command: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="name"):
        command.model_validate(given)


@pytest.mark.parametrize(
    ("given", "by"),
    [
        ({"username": "ada"}, "username"),
        ({"email": "ada@example.com"}, "email"),
        ({"id": "01890000-0000-7000-8000-000000000001", "username": "ada"}, "id"),
        ({"username": "ada", "email": "ada@example.com", "by": "email"}, "email"),
    ],
)
def test_an_upsert_knows_by_which_field_it_finds_the_row(given: dict[str, Any], by: str) -> None:
    upsert = UpsertUser.model_validate(given)
    assert upsert.by == by
    assert UpsertUser.model_validate(upsert.identified(None).to_wire()).by == by


def test_an_upsert_changes_what_was_set_but_not_what_found_it() -> None:
    upsert = UpsertUser(username="ada", email="ada@example.com", by="username", age=None)
    assert upsert.changes == {"email": "ada@example.com", "age": None}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": "Ada"}, "set by to one of id, username, email"),
        ({"username": "ada", "email": "ada@example.com"}, "set by to one of"),
        ({"username": "ada", "by": "name"}, "by must be one of"),
        ({"username": "ada", "by": "email"}, "that field must be set"),
        ({"username": "ada", "is_active": None}, "is_active cannot be null"),
    ],
)
def test_an_upsert_that_finds_no_row_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        UpsertUser.model_validate(given)


def test_a_read_may_name_one_relation_or_many() -> None:
    assert GetUser.model_validate({"username": "ada", "include": "posts"}).include == ("posts",)
    assert ListUsers(include=["posts", "profile"], order_by=["-created_at", "name"]).limit == 100


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"include": "post"}, "did you mean 'posts'"),
        ({"order_by": "-creatd_at"}, "did you mean 'created_at'"),
        ({"order_by": "hashed_password"}, "unknown"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
    ],
)
def test_a_list_that_cannot_be_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ListUsers.model_validate(given)


def test_an_address_with_a_name_is_not_silently_cut() -> None:
    with pytest.raises(ValidationError, match="give the bare address"):
        CreateUser(email="Ada <ada@example.com>")


def test_an_update_may_say_which_unique_field_names_the_row() -> None:
    command = UpdateUser(by="username", username="ada", email="ada@example.com")
    assert (command.address, command.changes) == ("username", {"email": "ada@example.com"})
    for wrong, says in (
        ({"by": "age", "age": 1}, "must be one of id, username, email"),
        ({"by": "email", "username": "ada"}, "email names the row, so it cannot be null"),
        ({"username": "ada", "email": "ada@example.com"}, "name the row by id, or by exactly one of"),
    ):
        with pytest.raises(ValidationError, match=says):
            UpdateUser.model_validate(wrong)
