"""Conditions: the three ways to write them, and what is said of those that make no sense."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from producers import F
from producers.commands import Condition, CountLikes, CountPosts, CountUsers

ID = UUID("01890000-0000-7000-8000-000000000001")

WRITTEN = [
    (F.username == "ada", {"username": {"==": "ada"}}, "username == 'ada'"),
    (F.username != "ada", {"username": {"!=": "ada"}}, "'ada' != username"),
    (F.age < 18, {"age": {"<": 18}}, "18 > age"),
    (F.age <= 18, {"age": {"<=": 18}}, "age <= 18"),
    (F.age > 18, {"age": {">": 18}}, "age > 18"),
    (F.age >= 18, {"age": {">=": 18}}, "F.age >= 18"),
    (F.name.like("A%"), {"name": {"like": "A%"}}, "name.like('A%')"),
    (F.name.contains("d"), {"name": {"contains": "d"}}, "'d' in name"),
    (F.name.startswith("A"), {"name": {"startswith": "A"}}, "name.startswith('A')"),
    (F.name.endswith("a"), {"name": {"endswith": "a"}}, "name.endswith('a')"),
    (~F.name.contains("d"), {"not": {"name": {"contains": "d"}}}, "'d' not in name"),
    (F.age.in_([1, 2]), {"age": {"in": [1, 2]}}, "age in [1, 2]"),
    (F.age.not_in({3}), {"age": {"not in": [3]}}, "age not in (3,)"),
    (F.email == None, {"email": {"==": None}}, "email is None"),  # noqa: E711
    (F.email.is_(None), {"email": {"==": None}}, "email == null"),
    (F.email != None, {"email": {"!=": None}}, "email is not None"),  # noqa: E711
    (F.email.is_not(None), {"email": {"!=": None}}, "email.is_not(None)"),
    (F.is_active == True, {"is_active": {"==": True}}, "is_active"),  # noqa: E712
    (~(F.is_active == True), {"not": {"is_active": {"==": True}}}, "not is_active"),  # noqa: E712
    (F.age.between(1, 5), {"and": [{"age": {">=": 1}}, {"age": {"<=": 5}}]}, "1 <= age <= 5"),
    (
        (F.age >= 18) & (F.age < 30) & (F.name == "A"),
        {"and": [{"age": {">=": 18}}, {"age": {"<": 30}}, {"name": {"==": "A"}}]},
        "age >= 18 and age < 30 and name == 'A'",
    ),
    (
        F.username.contains("a") & (F.age >= 18) | (F.email == None),  # noqa: E711
        {
            "or": [
                {"and": [{"username": {"contains": "a"}}, {"age": {">=": 18}}]},
                {"email": {"==": None}},
            ]
        },
        "username.contains('a') & (age >= 18) | (email == None)",
    ),
    (F.posts.title == "First", {"posts.title": {"==": "First"}}, "posts.title == 'First'"),
    (F.posts.any(), {"posts": {"any": {}}}, "posts.any()"),
    (
        ~F.posts.any((F.title == "A") | (F.version > 1)),
        {"not": {"posts": {"any": {"or": [{"title": {"==": "A"}}, {"version": {">": 1}}]}}}},
        "not posts.any(title == 'A' or version > 1)",
    ),
]


@pytest.mark.parametrize(("condition", "in_json", "as_text"), WRITTEN, ids=[text for *_, text in WRITTEN])
def test_a_condition_is_the_same_in_python_in_json_and_as_text(
    condition: Condition, in_json: dict[str, Any], as_text: str
) -> None:
    expected = CountUsers(where=condition)
    assert expected.to_wire()["where"] == in_json
    for written in (in_json, json.loads(json.dumps(in_json)), as_text):
        assert CountUsers.model_validate({"where": written}) == expected
    assert CountUsers.model_validate({"where": as_text}).fingerprint() == expected.fingerprint()


def test_json_may_leave_out_what_is_plain() -> None:
    short = {"username": "ada", "email": None, "age": {">=": 1, "<": 9}}
    long = {
        "and": [
            {"username": {"==": "ada"}},
            {"email": {"==": None}},
            {"age": {">=": 1}},
            {"age": {"<": 9}},
        ]
    }
    assert CountUsers.model_validate({"where": short}) == CountUsers.model_validate({"where": long})


def test_values_get_the_types_of_their_columns() -> None:
    in_paris = datetime(2040, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    written = {"id": str(ID), "age": "18", "created_at": {"<": in_paris.isoformat()}}
    expected = (F.id == ID) & (F.age == 18) & (F.created_at < datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert CountUsers.model_validate({"where": written}) == CountUsers(where=expected)


def test_a_field_that_is_called_like_a_method_is_named_in_brackets() -> None:
    assert (F["like"] == 1).to_json() == {"like": {"==": 1}}
    assert (F.posts["any"] == 1).to_json() == (F["posts.any"] == 1).to_json() == {"posts.any": {"==": 1}}


def refusal(where: Any, command: Any = CountUsers) -> str:
    with pytest.raises(ValidationError) as refused:
        command.model_validate({"where": where})
    [problem] = refused.value.errors()
    assert problem["loc"] == ("where",)
    return problem["msg"]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (F.user_name == "ada", "'user_name' is unknown; did you mean 'username'?"),
        (F.hashed_password == "x", "'hashed_password' is unknown; there are: id, username"),
        (F.posts.titel == "x", "'posts.titel' is unknown; did you mean 'posts.title'?"),
        (F.post.title == "x", "relation 'post' is unknown; did you mean 'posts'?"),
        (F.posts.author.hashed_password == "x", "'posts.author.hashed_password' is unknown"),
        (F.posts == "x", "posts is a relation; name one of its fields, such as posts.id"),
        (F.title.any(), "relation 'title' is unknown"),
        (F.posts.any(F.username == "x"), "'username' is unknown; there are: id, title"),
        (F.posts.author.posts.author.id == ID, "posts.author.posts.author crosses more than 3 relations"),
        ({"age": {"=>": 1}}, "operator '=>' is unknown; did you mean '>'"),
        ("name.startwith('a')", "operator 'startwith' is unknown; did you mean 'startswith'?"),
        (F.age == "old", "age: Input should be a valid integer"),
        (F.age == 2**63, "age: is larger than any number in a database"),
        (F.age.contains("1"), "age is no text, so it takes no contains"),
        (F.age > None, "age > null holds for no row; compare null by == or !="),
        (F.id == "ada", "id: Input should be a valid UUID"),
        (F.created_at > "2040-01-02T03:04:05", "created_at: Input should have timezone info"),
        (F.name == "a\0b", "name: must not contain the NUL character"),
        (F.name == "\ud800", "name: "),
        (F.name.like("50\\"), "the pattern ends in a \\ that escapes nothing"),
        ({"age": {"in": 5}}, "age: in takes a list of values"),
        (F.age.in_([None]), "age: Input should be a valid integer"),
        (F.age.in_(range(1001)), "age: in takes at most 1000 values"),
        ({"age": {}}, "age: name an operator: ==, !="),
        ({}, "a condition is an object like"),
        ([], "a condition is an object like"),
        ({"posts": {"any": False}}, "a condition is an object like"),
        ({"posts": {"any": None}}, "a condition is an object like"),
        (F.created_at < "9999-12-31T23:59:59-14:00", "created_at: is beyond the calendar"),
        (F.created_at > "0001-01-01T00:00:00+14:00", "created_at: is beyond the calendar"),
        (F.age == True, "age: it is no truth value"),  # noqa: E712
        ("not age", "age: it is no truth value"),
        ("username in 'abc'", "in takes a list of values; to look for a part of a text, use contains"),
        ({"or": []}, "or takes a list of conditions"),
        ({"or": {"age": 1}}, "or takes a list of conditions"),
        ("age >=", "no condition: invalid syntax at character"),
        ("18", "no condition: '18'; compare a field with a value"),
        ("age == username", "compare a field with a value, not with another field"),
        ("1 == 1", "no condition: '1'"),
        ("__import__('os').system('x')", "operator 'system' is unknown"),
        ("f(1)", "no condition: 'f(1)'"),
        ("age == (lambda: 1)()", "no condition: "),
        ("age.between(1)", "no condition: "),
        ("x" * 10_001, "the text of a condition has at most 10000 characters"),
        ("not " * 2000 + "is_active", "nested too deep"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_makes_no_sense_is_told_when_the_payload_is_built(where: Any, says: str) -> None:
    assert says in refusal(where)


def test_other_entities_have_other_fields() -> None:
    assert "'title' is unknown" in refusal({"title": "x"})
    assert CountPosts(where=F.title == "x") != CountPosts(where=F.title == "y")
    assert CountPosts(where=F.author.email == "ada@example.com").where is not None
    assert CountLikes(where=F.post.author.profile.bio.contains("x")).where is not None


def test_conditions_have_bounds() -> None:
    deep: Any = {"age": 1}
    for _ in range(32):
        deep = {"not": deep}
    assert "nested more than 32 deep" in refusal(deep)
    condition = F.age == 1
    for _ in range(40):
        condition = ~condition
    assert "nested more than 32 deep" in refusal(condition)
    many = {"or": [{"age": number} for number in range(500)]}
    assert "more than 500 conditions" in refusal(many)
    values = {"or": [{"age": {"in": list(range(900))}} for _ in range(12)]}
    assert "more than 10000 values" in refusal(values)
    flat = F.age == 0
    for number in range(1, 490):
        flat = flat | (F.age == number)  # not nested, however long
    assert CountUsers(where=flat).where is not None


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: (F.age == 1) and (F.name == "A"),
        lambda: not (F.age == 1),  # noqa: SIM201
        lambda: 1 < F.age < 5,
        lambda: bool(F.is_active),
    ],
)
def test_python_words_that_cannot_make_a_condition_say_what_can(mistake: Any) -> None:
    with pytest.raises(TypeError, match=r"use &, \| and ~|compare the field"):
        mistake()


def test_a_field_is_no_list() -> None:
    name: Any = F.name
    for mistake in (lambda: list(name), lambda: "a" in name, lambda: F.age.in_(name), lambda: list(F)):  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            mistake()


def test_forgotten_parentheses_are_told() -> None:
    with pytest.raises(TypeError):
        F.age > 1 & F.age < 9  # type: ignore[operator]  # noqa: B015
    with pytest.raises(TypeError, match="put each comparison in parentheses"):
        (F.age > 1) & F.is_active  # type: ignore[operator]
