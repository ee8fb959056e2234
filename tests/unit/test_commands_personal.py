import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field, ValidationError
from typing_extensions import TypedDict

from producers.commands import (
    Atomic,
    Command,
    CountUsers,
    CreateUser,
    CreateUsers,
    F,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    Payload,
    Registry,
    UpdateUsersWhere,
    UserView,
    View,
)
from producers.commands.address import Addressed
from producers.commands.base import Key, Ref
from producers.commands.personal import (
    Personal,
    Secret,
    hidden,
    hidden_result,
    personal_names,
    personal_values,
    without,
)
from producers.commands.registry import explain
from producers.commands.schema import views_in


class Street(TypedDict):
    name: Annotated[str, Personal()]
    town: str


@dataclass
class Phone:
    number: Annotated[str, Personal()]
    kind: str


class Child(Payload):
    name: Annotated[str, Personal()]
    age: int


class Dog(Payload):
    name: str


class Move(Command[Any]):
    kind: ClassVar[str] = "person.move"

    child: Child | Dog | None = None
    children: list[Child] | dict[str, Child] = Field(default=[])
    street: Street | None = None
    phones: tuple[Phone, ...] = ()
    nicknames: list[Annotated[str, Personal()]] = Field(default=[])
    born: Annotated[dt.date, Personal()] | None = Field(default=None, alias="birthday")
    pin: Annotated[int, Secret()] | None = None
    labels: dict[str, str] = Field(default={})
    anything: Any = None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"child": {"name": "Ada", "age": 3}}, {"child": {"name": "hidden", "age": 3}}),
        ({"child": None}, {"child": None}),
        ({"children": [{"name": "Ada", "age": 3}]}, {"children": [{"name": "hidden", "age": 3}]}),
        ({"children": {"a": {"name": "Ada"}}}, {"children": {"a": {"name": "hidden"}}}),
        ({"street": {"name": "x", "town": "y"}}, {"street": {"name": "hidden", "town": "y"}}),
        ({"phones": [{"number": "1", "kind": "y"}]}, {"phones": [{"number": "hidden", "kind": "y"}]}),
        ({"nicknames": ["a", "b"]}, {"nicknames": ["hidden", "hidden"]}),
        ({"born": None, "pin": 0}, {"born": "hidden", "pin": "hidden"}),
        ({"birthday": "1815-12-10"}, {"birthday": "hidden"}),
        ({"labels": {"a": "b"}, "anything": {"c": ["d"]}}, {"labels": {"a": "b"}, "anything": {"c": ["d"]}}),
    ],
)
def test_a_marked_value_is_hidden_wherever_it_stands(given: dict[str, Any], told: dict[str, Any]) -> None:
    assert hidden(Move, given) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"unknown": {"a": [1, "b"]}}, {"unknown": {"a": ["hidden", "hidden"]}}),
        ({"labels": "text"}, {"labels": "hidden"}),
        ({"child": "text"}, {"child": "hidden"}),
        ({"children": {"a": "text"}}, {"children": {"a": "hidden"}}),
        ({"born": {"a": 1}}, {"born": "hidden"}),
        (["Ada"], ["hidden"]),
        ("Ada", "hidden"),
    ],
)
def test_what_has_not_the_shape_of_its_type_is_hidden_whole(given: Any, told: Any) -> None:
    assert hidden(Move, given) == told


def test_of_an_unknown_kind_every_value_is_hidden_and_the_names_are_kept() -> None:
    given = {"a": 1, "b": [None, {"c": "d"}]}
    assert hidden(None, given) == {"a": "hidden", "b": ["hidden", {"c": "hidden"}]}
    assert hidden_result(None, given) == {"a": "hidden", "b": ["hidden", {"c": "hidden"}]}


def test_revealed_what_is_personal_is_shown_and_what_is_secret_is_not() -> None:
    payload = {"name": "Ada", "hashed_password": "$argon2"}
    assert hidden(CreateUser, payload, reveal=True) == {"name": "Ada", "hashed_password": "hidden"}


def test_conditions_hide_what_is_compared_with_a_personal_column() -> None:
    of_text = F.posts.any(F.author.name == "x") | ~F.profile.bio.contains("b") | F.email.in_(["c"])
    command = ListUsers(where=(F.username == "ada") & of_text)
    assert hidden(ListUsers, command.to_wire()) == {
        "where": {
            "and": [
                {"username": {"==": "ada"}},
                {
                    "or": [
                        {"posts": {"any": {"author.name": {"==": "hidden"}}}},
                        {"not": {"profile.bio": {"contains": "hidden"}}},
                        {"email": {"in": "hidden"}},
                    ]
                },
            ]
        }
    }


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("age > 70", {"age": {">": "hidden"}}),
        ("age >", "hidden"),
        ({"age": 70}, {"age": "hidden"}),
        ({"nonsense": 70}, {"nonsense": "hidden"}),
        ({"username": {"a": {"b": 1}}}, {"username": {"a": "hidden"}}),
        ([70], ["hidden"]),
        (None, None),
    ],
)
def test_conditions_as_people_write_them_are_hidden_too(where: Any, told: Any) -> None:
    assert hidden(CountUsers, {"where": where}) == {"where": told}


def test_the_parts_of_an_atomic_are_hidden_by_their_kinds() -> None:
    both = Atomic(
        [CreateUser(username="ada", email="ada@example.com"), UpdateUsersWhere(where=F.age > 1, age=2)]
    )
    told = hidden(Atomic, both.to_wire(), Registry([CreateUser, UpdateUsersWhere]))
    assert [part["kind"] for part in told["commands"]] == ["user.create", "user.update_where"]
    assert [part["payload"] for part in told["commands"]] == [
        {"username": "ada", "email": "hidden"},
        {"where": {"age": {">": "hidden"}}, "age": "hidden"},
    ]
    without_kinds = hidden(Atomic, both.to_wire())
    assert without_kinds["commands"][0]["payload"] == {"username": "hidden", "email": "hidden"}


def test_results_are_hidden_by_their_views() -> None:
    view = {
        "id": "1",
        "username": "ada",
        "email": "a@b.c",
        "profile": {"bio": "b"},
        "posts": [{"title": "t"}],
    }
    told = {**view, "email": "hidden", "profile": {"bio": "hidden"}}
    assert hidden_result(CreateUser, view) == told
    assert hidden_result(CreateUsers, [view, None]) == [told, None]
    assert hidden_result(CountUsers, 3) == 3
    page = {"items": [view], "limit": 1, "next_cursor": "c"}
    assert hidden_result(ListUsers, page) == {"items": [told], "limit": 1, "next_cursor": "hidden"}
    chosen = {"items": [{"username": "ada", "email": "e", "posts.title": "t", "profile.bio": "b", "x": 1}]}
    assert hidden_result(ListUsers, chosen) == {
        "items": [
            {"username": "ada", "email": "hidden", "posts.title": "t", "profile.bio": "hidden", "x": "hidden"}
        ]
    }


def test_results_without_a_type_are_hidden_whole_but_those_of_an_atomic_by_its_parts() -> None:
    registry = Registry([CreateUser, CountUsers])
    parts = {"commands": [{"kind": "user.count", "payload": {}}, {"kind": "user.create", "payload": {}}, 7]}
    result = [3, {"username": "ada", "email": "e"}, "x"]
    assert hidden_result(Atomic, result) == ["hidden", {"username": "hidden", "email": "hidden"}, "hidden"]
    assert hidden_result(Atomic, result, parts, registry) == [
        3,
        {"username": "ada", "email": "hidden"},
        "hidden",
    ]
    assert hidden_result(Move, {"a": 1}) == {"a": "hidden"}


def test_a_repr_hides_what_was_set_and_shows_the_rest() -> None:
    user = CreateUser(
        username="ada",
        name="Lovelace",
        hashed_password="$argon2id$x",
        posts=[NewPost(title="t")],
        profile=NewProfile(bio="countess"),
    )
    shown = f"{user!r}{Atomic([user])!r}{CreateUsers(rows=[NewUser(name='Lovelace')])!r}{user}"
    shown += f"{CountUsers(where=F.name == 'Lovelace')!r}"
    assert not {"Lovelace", "$argon2id$x", "countess"} & {word for word in _FRAGMENTS if word in shown}
    for kept in ("username='ada'", "name='hidden'", "age=None", "title='t'", "bio='hidden'", "{'name'"):
        assert kept in shown


_FRAGMENTS = ("Lovelace", "$argon2id$x", "countess")


def test_values_are_found_in_a_command_and_in_its_json() -> None:
    move = Move.model_validate({"child": {"name": "Ada", "age": 3}, "birthday": "1815-12-10", "pin": 7})
    assert personal_values(Move, move.to_wire()) == ["Ada", "1815-12-10", 7]
    assert sorted(map(str, personal_values(Move, move))) == ["1815-12-10", "7", "Ada"]
    assert personal_names(Move) == {"name", "number", "nicknames", "born", "birthday", "pin"}


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        ("no ADA@example.com, please", ["ada@example.com"], "no hidden, please"),
        (f'{"a" + chr(10)!r} or "a\\n"', ["a\n"], "'hidden' or \"hidden\""),
        ("36 of 136 in 3.6", [36], "hidden of 136 in 3.6"),
        ("born datetime.date(1815, 12, 10)", [dt.date(1815, 12, 10)], "born hidden"),
        ("Al and Alan", ["Al"], "hidden and Alan"),
        ("user_lovelace", ["Lovelace", "Love"], "user_hidden"),
        ("nothing", [], "nothing"),
    ],
)
def test_values_are_hidden_in_a_text_that_quotes_them(text: str, values: list[Any], told: str) -> None:
    assert without(text, values) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"email": "x@quoted .org"}, "email: value is not a valid email address"),
        ({"name": "n" * 300}, "name: String should have at most 255 characters"),
        ({"username": "u" * 51}, "username: String should have at most 50 characters"),
        ({}, "payload: give at least one of username, email and name"),
    ],
)
def test_what_is_wrong_is_told_without_the_value(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        CreateUser.model_validate(given)
    assert explain(raised.value, CreateUser) == told


def test_every_field_of_the_example_of_that_name_is_marked() -> None:
    views = _views(UserView, set())
    marked = {
        (view.__name__, name)
        for view in views
        for name, field in view.model_fields.items()
        if any(isinstance(mark, Personal) for mark in field.metadata)
    }
    named = {
        (view.__name__, name)
        for view in views
        for name in view.model_fields
        if name in {"email", "name", "age", "bio"}
    }
    assert marked == named
    assert len(named) > 5


def _key() -> object:
    class Meet(Command[Any]):
        kind: ClassVar[str] = "person.meet"
        email: Annotated[str, Key(), Personal()]

    return Meet


def _key_that_may_be_null() -> object:
    class Meet(Payload):
        email: Annotated[Annotated[str, Secret()] | None, Key()] = None

    return Meet


def _first_of_unique() -> object:
    class Meet(Addressed, Command[Any]):
        unique: ClassVar[tuple[str, ...]] = ("email", "id")
        email: Annotated[str, Personal()]
        id: int

    return Meet


def _reference() -> object:
    class Meet(Payload):
        email: Annotated[str, Ref("person"), Secret()] | None = None

    return Meet


@pytest.mark.parametrize("define", [_key, _key_that_may_be_null, _first_of_unique, _reference])
def test_what_names_a_lane_cannot_be_hidden_and_says_so_where_it_is_defined(
    define: Callable[[], object],
) -> None:
    told = r"Meet\.email is marked (Personal|Secret)\(\), but names a row.*; use a key that tells of nobody"
    with pytest.raises(TypeError, match=told):
        define()


class Early(Command[Any]):
    kind: ClassVar[str] = "person.meet"
    email: "Annotated[Late, Key(), Personal()]"


Late = str


def test_it_is_refused_in_a_class_that_was_not_complete_when_it_was_defined() -> None:
    with pytest.raises(TypeError, match=r"Early\.email is marked Personal\(\)"):
        Registry([Early])


def test_another_field_that_names_a_row_may_be_hidden() -> None:
    class Meet(Addressed, Command[Any]):
        unique: ClassVar[tuple[str, ...]] = ("id", "email")
        id: int = 0
        email: Annotated[str, Personal()] = ""

    assert Meet(email="ada@example.com").lane_key() is None


def _views(view: type[View], seen: set[type[View]]) -> set[type[View]]:
    if view not in seen:
        seen.add(view)
        for field in view.model_fields.values():
            for other in views_in(field.annotation):
                _views(other, seen)
    return seen
