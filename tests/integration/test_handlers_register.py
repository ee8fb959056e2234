"""The table of handlers: complete, and named so that one name gives the others."""

import re
from typing import Any, get_args

import pytest

import worker.handlers
from producers.commands import Command, ExampleCommand
from worker.handlers import HANDLERS, handle

COMMANDS: tuple[type[Command[Any]], ...] = get_args(ExampleCommand)
MANY = {"create_many", "import_many", "upsert_many", "list", "count"}


def test_every_command_has_a_handler() -> None:
    assert tuple(HANDLERS) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
async def test_names_derive_from_the_kind(
    command: type[Command[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    entity, verb = command.kind.split(".")
    verb, _, of = verb.partition("_") if verb.startswith("set_") else (verb, "", "")
    handler = f"{verb.removesuffix('_many')}_{entity}{'s' if verb in MANY else ''}{of and f'_{of}'}"
    assert command.__name__ == "".join(word.capitalize() for word in handler.split("_"))
    assert getattr(worker.handlers, handler).__module__ == f"worker.handlers.{entity}"

    async def answer(*given: object) -> object:
        return given

    monkeypatch.setattr(worker.handlers, handler, answer)
    session: Any = object()
    payload: Any = command.model_construct()
    assert await handle(session, payload) == (session, payload)


def test_the_kinds_are_words() -> None:
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", command.kind) for command in COMMANDS)
