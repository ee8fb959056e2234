"""Several commands as one: all of them, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, PlainSerializer, SerializationInfo, SkipValidation, field_validator

from .base import Command, Items
from .registry import Registry, UnreadableCommand


def _to_wire(commands: Sequence[Command[Any]], info: SerializationInfo) -> list[dict[str, Any]]:
    return [
        {
            "kind": command.kind,
            "version": command.version,
            "payload": command.model_dump(mode="json", exclude_unset=True, context=info.context),
        }
        for command in commands
    ]


def _revive(item: Any, registry: Registry) -> Command[Any]:
    match item:
        case {"kind": str(kind), "version": int(version), "payload": dict(payload)}:
            return registry.revive(kind, version, payload)
        case {"kind": str(kind), "payload": dict(payload), **others} if "version" not in others:
            newest = registry[kind].version if kind in registry else 1  # written by hand, for today's code
            return registry.revive(kind, newest, payload)
        case _:
            message = 'each command of an Atomic is {"kind": ..., "version": ..., "payload": {...}}'
            raise UnreadableCommand(message)


class Atomic(Command[list[Any]]):
    """Run commands in one transaction, in their order; the result is the list of their results."""

    kind: ClassVar[str] = "atomic"

    commands: Annotated[Items[SkipValidation[Command[Any]]], PlainSerializer(_to_wire)] = Field(
        min_length=1, max_length=1000, description='commands, in JSON each {"kind", "version", "payload"}'
    )

    def __init__(self, commands: Sequence[Command[Any]] = (), /, **data: Any) -> None:
        super().__init__(**({"commands": commands} if commands else {}), **data)

    @classmethod
    def revive(cls, payload: dict[str, Any], registry: Registry) -> Self:
        """Make the commands inside again, each by its kind."""
        items = payload.get("commands")
        if not isinstance(items, list):
            return cls.model_validate(payload)
        return cls.model_validate({**payload, "commands": [_revive(item, registry) for item in items]})

    @field_validator("commands")
    @classmethod
    def _flat(cls, commands: Sequence[Any]) -> Sequence[Command[Any]]:
        for command in commands:
            if isinstance(command, Atomic):
                message = "an Atomic cannot hold another Atomic; put its commands in line"
                raise ValueError(message)  # noqa: TRY004  # pydantic reports ValueError, not TypeError
            if not isinstance(command, Command) or not command.kind:
                message = f"{type(command).__name__} is not a command with a kind"
                raise ValueError(message)
        return commands

    def dump_result(self, value: Any) -> list[Any]:
        """Turn each result into JSON values by the command it belongs to."""
        return [command.dump_result(item) for command, item in zip(self.commands, value, strict=True)]

    def parse_result(self, value: Any) -> list[Any]:
        """Parse each result by the command it belongs to."""
        return [command.parse_result(item) for command, item in zip(self.commands, value, strict=True)]
