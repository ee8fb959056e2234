import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

import producers.commands
from producers.commands import (
    Atomic,
    Command,
    CreatePost,
    CreateUser,
    DeleteUser,
    Registry,
    UnreadableCommand,
)

REGISTRY = Registry.of(producers.commands)
ADA = CreateUser(username="ada")


def test_it_comes_back_as_it_went() -> None:
    sent = Atomic([ADA, CreatePost(title="x", user_id=UUID(int=1))]).identified(None)
    revived = REGISTRY.revive("atomic", 1, json.loads(json.dumps(sent.to_wire())))
    assert revived == sent
    assert revived.fingerprint() == sent.fingerprint()


def test_the_commands_inside_carry_kind_and_version() -> None:
    [inside] = Atomic([CreatePost(title="x", user_id=UUID(int=1))]).to_wire()["commands"]
    assert (inside["kind"], inside["version"]) == ("post.create", 2)


def test_the_commands_inside_are_lifted() -> None:
    old = {"title": "x", "description": "text", "user_id": str(UUID(int=1))}
    item = {"kind": "post.create", "version": 1, "payload": old}
    revived = REGISTRY.revive("atomic", 1, {"commands": [item]})
    assert isinstance(revived, Atomic)
    [post] = revived.commands
    assert isinstance(post, CreatePost)
    assert post.content == "text"


def test_the_commands_inside_get_ids() -> None:
    seed = uuid4()
    one, other = Atomic([ADA, ADA]).identified(seed), Atomic([ADA, ADA]).identified(seed)
    assert one == other
    first, second = one.commands
    assert isinstance(first, CreateUser)
    assert isinstance(second, CreateUser)
    assert first.id != second.id


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ([], "commands"),
        ([ADA] * 1001, "at most 1000"),
        ([Atomic([ADA])], "cannot hold another Atomic"),
        ([Command()], "not a command with a kind"),
        (["user.create"], "not a command with a kind"),
    ],
)
def test_what_it_cannot_hold_is_refused(commands: list[Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Atomic(commands)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {},
        {"kind": "user.create"},
        {"kind": "user.create", "payload": []},
        {"kind": "user.create", "version": "x", "payload": {"name": "Ada"}},
        {"kind": "user.create", "version": None, "payload": {"name": "Ada"}},
        {"kind": 1, "payload": {}},
        {"kind": "user.creat", "payload": {}},
        {"kind": "user.create", "payload": {}},
        {"kind": "user.create", "version": 9, "payload": {"name": "Ada"}},
        {"kind": "atomic", "payload": {"commands": [{"kind": "user.create", "payload": {"name": "Ada"}}]}},
    ],
)
def test_what_cannot_be_read_inside_is_unreadable(item: Any) -> None:
    with pytest.raises(UnreadableCommand):
        REGISTRY.revive("atomic", 1, {"commands": [item]})


@pytest.mark.parametrize("payload", [{}, {"commands": None}, {"commands": []}, {"commands": {}}])
def test_an_atomic_without_commands_is_unreadable(payload: dict[str, Any]) -> None:
    with pytest.raises(UnreadableCommand):
        REGISTRY.revive("atomic", 1, payload)


def test_each_result_is_parsed_by_its_command() -> None:
    assert Atomic([DeleteUser(username="a"), DeleteUser(username="b")]).parse_result([True, False]) == [
        True,
        False,
    ]
