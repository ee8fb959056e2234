"""Commands by their kind, and the way back from JSON to a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from .base import Command
from .personal import leaves, personal_names, personal_values, refuse_hidden_keys, without
from .schema import nearest


class UnreadableCommand(ValueError):
    """A command that this process cannot read, though a newer one might."""


class Registry(Mapping[str, type[Command[Any]]]):
    """The commands that a process knows: a mapping of kind to class."""

    def __init__(self, commands: Iterable[type[Command[Any]]]) -> None:
        self._by_kind: dict[str, type[Command[Any]]] = {}
        for command in commands:
            if not command.kind:
                message = f"{command.__qualname__} has no kind; give it one, such as kind = 'invoice.create'"
                raise TypeError(message)
            command.model_rebuild(raise_errors=False)  # its types may have been unknown when it was defined
            refuse_hidden_keys(command)
            known = self._by_kind.setdefault(command.kind, command)
            if known is not command:
                message = f"{known.__qualname__} and {command.__qualname__} are both of kind {command.kind!r}"
                raise TypeError(message)

    @classmethod
    def of(cls, module: ModuleType) -> Registry:
        """Collect the commands with a kind that stand in a module's namespace."""
        found = [
            value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Command)
        ]
        return cls(dict.fromkeys(command for command in found if command.kind))

    def __getitem__(self, kind: str) -> type[Command[Any]]:
        return self._by_kind[kind]

    def __iter__(self) -> Any:
        return iter(self._by_kind)

    def __len__(self) -> int:
        return len(self._by_kind)

    def revive(self, kind: str, version: int, payload: dict[str, Any]) -> Command[Any]:
        """Make the command again that was sent; an older version is lifted. Raise UnreadableCommand."""
        command, lifted = self.lifted(kind, version, payload)
        try:
            return command.revive(lifted, self)
        except UnreadableCommand:
            raise
        except ValidationError as error:
            raise UnreadableCommand(explain(error, command)) from None
        except Exception as error:  # a validator with a bug
            raise _unreadable(kind, version, error) from error

    def lifted(
        self, kind: str, version: int, payload: dict[str, Any]
    ) -> tuple[type[Command[Any]], dict[str, Any]]:
        """Find the class of what was sent, and its payload as of the newest version; it is not validated.

        Raise UnreadableCommand.
        """
        try:
            command = self[kind]
        except KeyError:
            message = f"kind {nearest(kind, sorted(self))}"
            raise UnreadableCommand(message) from None
        if version > command.version:
            message = (
                f"{kind} version {version} is newer than version {command.version}, the newest known here"
            )
            raise UnreadableCommand(message)
        for older in range(version, command.version):
            if older not in command.lifts:
                message = f"{kind} version {older} is too old: nothing lifts it to version {older + 1}"
                raise UnreadableCommand(message)
        try:
            for older in range(version, command.version):
                payload = command.lifts[older](payload)
        except Exception as error:  # a lift with a bug
            raise _unreadable(kind, version, error) from error
        return command, payload


def _unreadable(kind: str, version: int, error: Exception) -> UnreadableCommand:
    """Say that code of ours or an adopter's failed: a newer one may be able to read it."""
    return UnreadableCommand(f"{kind} version {version} cannot be read: {type(error).__name__}")


def explain(error: ValidationError, command: type[Command[Any]]) -> str:
    """Say what is wrong with which field, without its value."""
    told = [(".".join(where) or "payload", what) for where, what in problems(error, command)]
    return "; ".join(f"{where}: {what}" for where, what in told)


def problems(error: ValidationError, command: type[Command[Any]]) -> Iterator[tuple[list[str], str]]:
    """Say what is wrong where, without values: the path to a field, which is empty for the whole, and why."""
    for problem in error.errors(include_url=False, include_context=False):
        yield [*map(str, problem["loc"])], _told(problem, command)


def _told(problem: Any, command: type[Command[Any]]) -> str:
    said = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return without(said, personal_values(command, problem["input"]))
    if personal_names(command).isdisjoint(problem["loc"]):
        return said
    # Behind a colon, a backquote or a quotation mark libraries quote parts of the value.
    own = re.split(r"[:`'\"(]", said)[0].strip(" ,")
    return without(own, leaves(problem["input"])) or "is not valid"
