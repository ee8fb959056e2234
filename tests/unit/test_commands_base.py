from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

import producers.commands
from producers.commands import (
    Command,
    CreateUser,
    ListUsers,
    NewPost,
    NewProfile,
    Page,
    Query,
    Registry,
    UpdateUser,
    UserView,
)

REGISTRY = Registry.of(producers.commands)


@pytest.mark.parametrize("kind", sorted(set(REGISTRY) - {"atomic"}))
def test_the_names_of_kind_and_class_derive_from_each_other(kind: str) -> None:
    entity, _, verb = kind.partition(".")
    verb, _, of = verb.partition("_") if verb.startswith("set_") else (verb, "", "")
    plural = verb.endswith("_many") or verb in {"list", "count"}
    stem = verb.removesuffix("_many").capitalize()
    assert REGISTRY[kind].__name__ == f"{stem}{entity.capitalize()}{'s' if plural else ''}{of.capitalize()}"


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_a_command_says_what_it_does_and_what_it_gives(kind: str) -> None:
    command = REGISTRY[kind]
    assert command.__dict__["__doc__"]
    assert command.__module__.startswith("producers.commands.")
    assert command.result_type() is command.result_type()


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_reads_and_writes_are_told_apart(kind: str) -> None:
    verb = kind.partition(".")[2]
    assert REGISTRY[kind].read_only == (verb in {"get", "list", "count"})
    assert issubclass(REGISTRY[kind], Query) == REGISTRY[kind].read_only


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_a_command_refuses_what_it_does_not_know(kind: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        REGISTRY[kind].model_validate({"surname": "Lovelace", "by": "id"})


def test_a_command_does_not_change() -> None:
    command = CreateUser(name="Ada")
    with pytest.raises(ValidationError, match="frozen"):
        command.name = "Bob"  # type: ignore[misc]  # that is the mistake


def test_lists_are_kept_as_tuples() -> None:
    assert isinstance(CreateUser(name="Ada", posts=[NewPost(title="x")]).posts, tuple)


def test_only_what_was_set_travels() -> None:
    assert UpdateUser(username="ada", age=None).to_wire() == {"username": "ada", "age": None}


def test_ids_are_made_for_all_that_is_created() -> None:
    command = CreateUser(name="Ada", posts=[NewPost(title="x")], profile=NewProfile(bio="y")).identified(None)
    payload = command.to_wire()
    assert {UUID(payload["id"]), UUID(payload["posts"][0]["id"]), UUID(payload["profile"]["id"])}
    assert UUID(payload["id"]).version == 7


def test_ids_derive_from_a_seed() -> None:
    command, seed = CreateUser(name="Ada", posts=[NewPost(title="x"), NewPost(title="x")]), uuid4()
    one, other = command.identified(seed), command.identified(seed)
    assert one == other
    assert len({one.id, one.posts[0].id, one.posts[1].id}) == 3
    assert command.identified(uuid4()).id != one.id


@pytest.mark.parametrize("value", ["\0", "a\0b", "\ud800", "a\udfffb"])
def test_text_that_no_database_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match=r"NUL character|unicode"):
        CreateUser(name=value)
    with pytest.raises(ValidationError, match=r"NUL character|unicode"):
        CreateUser(name="Ada", posts=[NewPost(title=value)])


def test_an_error_does_not_show_the_value() -> None:
    with pytest.raises(ValidationError) as raised:
        CreateUser.model_validate({"name": "Ada", "age": "hunter2", "hashed_password": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_a_repr_does_not_show_the_password() -> None:
    assert "$argon2" not in repr(CreateUser(name="Ada", hashed_password="$argon2id$x"))


def test_the_result_of_a_command_is_what_its_class_says() -> None:
    page = ListUsers().parse_result({"items": [], "limit": 100, "offset": 0, "has_more": False})
    assert page == Page[UserView](items=(), limit=100, offset=0, has_more=False)
    assert UpdateUser(username="ada", age=1).parse_result(None) is None


class Invoice(Command[dict[str, Any]]):
    """A command of somebody else."""

    kind: ClassVar[str] = "invoice.create"

    lines: Sequence[str] = ()


class Reissue(Invoice):
    """A subclass of it."""

    kind: ClassVar[str] = "invoice.reissue"


def test_a_subclass_has_the_result_of_its_base() -> None:
    assert Reissue().parse_result({"a": 1}) == {"a": 1}


def test_the_result_of_a_base_is_not_taken_for_that_of_its_subclass() -> None:
    Invoice.result_type()

    class Count(Invoice, Command[int]):
        kind: ClassVar[str] = "invoice.count"

    assert Count.result_type() is not Invoice.result_type()


def test_a_register_holds_the_commands_of_a_module() -> None:
    module = ModuleType("somewhere")
    vars(module).update(Invoice=Invoice, Alias=Invoice, Command=Command, number=1)
    assert dict(Registry.of(module)) == {"invoice.create": Invoice}
