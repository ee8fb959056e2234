from typing import Any, ClassVar, Literal

import pytest

import producers.commands
from producers.commands import Atomic, Command, CreateUser, ListUsers, Registry
from producers.fields import Fields


class Measure(Command[None]):
    """A command of somebody else, with fields of many types."""

    kind: ClassVar[str] = "measure.create"

    value: float
    unit: Literal["m", "s"]
    tags: tuple[int, ...] = ()
    extra: dict[str, Any] | None = None
    anything: Any = None
    either: str | list[str] = ""


class Nothing(Command[None]):
    """A command without fields."""

    kind: ClassVar[str] = "nothing.do"


MEASURE = Fields(Measure)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("value", "1.5", "1.5"),
        ("unit", "m", "m"),
        ("unit", "[1]", "[1]"),
        ("tags", "1", ["1"]),
        ("tags", "[1, 2]", [1, 2]),
        ("extra", '{"a": 1}', {"a": 1}),
        ("anything", '{"a": 1}', {"a": 1}),
        ("anything", "not JSON", "not JSON"),
        ("either", "one", ["one"]),
    ],
)
def test_text_becomes_the_value_it_means(name: str, text: str, value: object) -> None:
    assert MEASURE[name].parse(text) == value


def test_an_item_of_a_list_may_be_an_object() -> None:
    posts = Fields(CreateUser)["posts"]
    assert posts.parse_all(('{"title": "x"}', '[{"title": "y"}, {"title": "z"}]')) == [
        {"title": "x"},
        {"title": "y"},
        {"title": "z"},
    ]


@pytest.mark.parametrize("text", ["{", "x", "[" * 100_000])
def test_broken_json_names_the_field_and_not_the_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"^extra: broken JSON") as raised:
        MEASURE["extra"].parse(text)
    assert len(str(raised.value)) < 100


def test_a_field_is_described() -> None:
    fields = Fields(CreateUser)
    assert (fields["age"].label, fields["age"].description) == ("INTEGER", "0 to 150")
    assert (fields["email"].label, fields["id"].label, fields["posts"].label) == ("EMAIL", "UUID", "JSON")
    assert fields["profile"].description == "the profile to create with the user"
    assert MEASURE["value"].required
    assert not MEASURE["tags"].required
    assert Fields(ListUsers)["include"].is_list


def test_an_unknown_field_has_a_nearest_one() -> None:
    with pytest.raises(ValueError, match="field 'usernam' is unknown; did you mean 'username'"):
        Fields(CreateUser).command({"usernam": "ada"})


def test_a_command_without_fields_says_so() -> None:
    with pytest.raises(ValueError, match="field 'name' is unknown; there are none"):
        Fields(Nothing).command({"name": "ada"})


def test_a_wrong_value_is_not_shown() -> None:
    with pytest.raises(ValueError, match=r"^age: ") as raised:
        Fields(CreateUser).command({"name": "Ada", "age": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_an_atomic_is_made_from_json() -> None:
    fields = Fields(Atomic, Registry.of(producers.commands))
    made = fields.command({"commands": [{"kind": "user.create", "payload": {"name": "Ada"}}]})
    assert isinstance(made, Atomic)
    with pytest.raises(ValueError, match=r"did you mean 'user\.create'"):
        fields.command({"commands": [{"kind": "user.creat", "payload": {}}]})
