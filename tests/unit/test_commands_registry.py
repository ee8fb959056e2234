from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import pytest

import producers.commands
from producers.commands import Command, CreatePost, CreateUser, Registry, UnreadableCommand
from producers.commands.base import Lift

REGISTRY = Registry.of(producers.commands)
AUTHOR = "01890000-0000-7000-8000-000000000001"


class Renamed(Command[None]):
    """A command in its third version."""

    kind: ClassVar[str] = "thing.create"
    version: ClassVar[int] = 3
    lifts: ClassVar[Mapping[int, Lift]] = {
        1: lambda payload: {"label": payload["name"]},
        2: lambda payload: {"title": payload["label"].upper()},
    }

    title: str


class TooOld(Command[None]):
    """A command whose first version nobody lifts any more."""

    kind: ClassVar[str] = "thing.update"
    version: ClassVar[int] = 2


class Nameless(Command[None]):
    """A command without a kind."""


THINGS = Registry([Renamed, TooOld])


def test_the_current_version_is_read_as_it_is() -> None:
    revived = REGISTRY.revive("user.create", 1, {"name": "Ada"})
    assert isinstance(revived, CreateUser)
    assert revived.to_wire() == {"name": "Ada"}


def test_an_older_version_is_lifted() -> None:
    old = {"title": "On engines", "description": "They weave.", "user_id": AUTHOR}
    revived = REGISTRY.revive("post.create", 1, old)
    assert isinstance(revived, CreatePost)
    assert (revived.content, revived.user_id) == ("They weave.", UUID(AUTHOR))
    assert old["description"] == "They weave."


def test_lifts_follow_each_other() -> None:
    revived = THINGS.revive("thing.create", 1, {"name": "loom"})
    assert isinstance(revived, Renamed)
    assert revived.title == "LOOM"


@pytest.mark.parametrize(
    ("kind", "version", "payload", "reason"),
    [
        ("user.creat", 1, {}, "did you mean 'user.create'"),
        ("user.create", 2, {"name": "Ada"}, "version 2 is newer than version 1"),
        ("user.create", 1, {"name": "Ada", "surname": "L."}, "surname: Extra inputs"),
        ("user.create", 1, {"name": "Ada", "age": "x"}, "age: "),
        ("user.create", 1, {}, "at least one of username, email and name"),
    ],
)
def test_what_cannot_be_read_says_why(kind: str, version: int, payload: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableCommand, match=reason):
        REGISTRY.revive(kind, version, payload)


def test_a_version_that_nothing_lifts_is_too_old() -> None:
    with pytest.raises(UnreadableCommand, match="version 1 is too old"):
        THINGS.revive("thing.update", 1, {})


def test_a_lift_that_fails_is_an_unreadable_command() -> None:
    with pytest.raises(UnreadableCommand, match="version 1 cannot be read: KeyError"):
        THINGS.revive("thing.create", 1, {})


def test_a_register_wants_a_kind() -> None:
    with pytest.raises(TypeError, match="Nameless has no kind"):
        Registry([Nameless])


def test_a_kind_belongs_to_one_class() -> None:
    class Other(Command[None]):
        kind: ClassVar[str] = "thing.create"

    with pytest.raises(TypeError, match=r"both of kind 'thing\.create'"):
        Registry([Renamed, Other])
