"""The fields of a command as a person writes them: text after an option, or in a cell of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from .commands import Command, Registry
from .commands.registry import explain
from .commands.schema import nearest

_ANY = frozenset({"any"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field: which JSON types it takes, and what to say about it."""

    name: str
    types: frozenset[str]
    label: str
    description: str = ""
    required: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it takes a list, which may also be written as one item after the other."""
        return "array" in self.types

    @property
    def is_text(self) -> bool:
        """Whether what it takes is written as it is: no list, object or anything."""
        return not self.types & {"array", "object", "any"}

    def parse(self, text: str) -> Any:
        """Turn text into the value it means: JSON where the field takes a list, an object or anything."""
        if self.is_list and not text.lstrip().startswith(("[", "{")):
            return [text]
        if self.is_list or self.types & {"object", "any"}:
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                if self.types & {"string", "any"}:
                    return text
                raise ValueError(f"{self.name}: {broken(error)}") from None
        return text

    def parse_all(self, texts: tuple[str, ...]) -> list[Any]:
        """Turn the texts of a field that takes a list into one list."""
        values = [self.parse(text) for text in texts]
        return [item for value in values for item in (value if isinstance(value, list) else [value])]


class Fields(Mapping[str, Field]):
    """The fields of one command, by name."""

    def __init__(self, command: type[Command[Any]], registry: Registry | None = None) -> None:
        self.of = command
        self._registry = registry if registry is not None else Registry([command])
        try:
            schema = command.model_json_schema()
        except PydanticInvalidForJsonSchema:
            schema = {}
        described = schema.get("properties", {})
        self._fields = {
            name: _field(name, described.get(name, {}), schema.get("$defs", {}), required=info.is_required())
            for name, info in command.model_fields.items()
        }

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def unknown(self, name: str) -> str:
        """Say that there is no such field, and which was probably meant."""
        return (
            f"field {nearest(name, sorted(self))}" if self else f"field {name!r} is unknown; there are none"
        )

    def check(self, name: str) -> None:
        """Raise ValueError where there is no such field."""
        if name not in self:
            raise ValueError(self.unknown(name))

    def command(self, data: dict[str, Any]) -> Command[Any]:
        """Make the command; raise ValueError with what is wrong with which field, without its value."""
        if not self._fields.keys() >= data.keys():
            for name in data:
                self.check(name)
        try:
            return self.of.revive(data, self._registry)
        except ValidationError as error:
            raise ValueError(explain(error, self.of)) from None


def broken(error: Exception) -> str:
    """Say where JSON is broken, without the JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"broken JSON at line {error.lineno} column {error.colno}: {error.msg}"
    return f"broken JSON: {'nested too deeply' if isinstance(error, RecursionError) else error}"


def _field(name: str, schema: dict[str, Any], definitions: dict[str, Any], *, required: bool) -> Field:
    parts = _parts(schema, definitions)
    types = frozenset(str(part.get("type", "any")) for part in parts) - {"null"} or _ANY
    if types & {"array", "object"}:
        label = "JSON"
    else:
        label = "|".join(
            sorted({str(part.get("format", part.get("type", "any"))) for part in parts} - {"null"})
        )
    description = next((part["description"] for part in (schema, *parts) if "description" in part), "")
    return Field(name, types, label.upper(), description, required)


def _parts(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Take a union apart."""
    if "$ref" in schema:
        definition = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
        # What a definition says of itself is about the type, not about the field.
        return [{key: value for key, value in definition.items() if key != "description"}]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return [part for choice in choices for part in _parts(choice, definitions)]
    return [schema]
