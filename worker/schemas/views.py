"""What the conditions, orders and fields of a payload may name: the columns and relations of its view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from producers.commands import Command, View
from producers.commands.schema import MAX_RELATIONS, Schema

_NAMING = {"where", "order_by", "fields"}
"""Fields that name columns."""


def with_view(command: type[Command[Any]], schema: dict[str, Any]) -> dict[str, Any]:
    """Add to the schema of a payload what may be named in it, as the schema of a row under `view`."""
    view: type[View] | None = getattr(command, "view", None)
    if view is None or not schema:
        return schema
    if not _NAMING & {*schema.get("properties", {})}:  # but `include` names relations
        relations: dict[str, Any] = {name: {} for name in Schema.of(view).relations}
        return {**schema, "view": {"type": "object", "properties": relations, "additionalProperties": False}}
    definitions: dict[str, Any] = dict(schema.get("$defs", {}))
    return {**schema, "view": _reference(view, definitions, {}), "$defs": definitions}


def _reference(view: type[View], definitions: dict[str, Any], names: dict[type[View], str]) -> dict[str, Any]:
    whole = view.part_of or view
    if whole not in names:
        name = whole.__name__
        while name in definitions:  # of another one
            name += "_"
        names[whole], definitions[name] = name, {}  # before those behind its relations, which may lead back
        known = Schema.of(whole)
        fields = {column: _values(about.adapter, definitions) for column, about in known.columns.items()}
        for relation, about in known.relations.items():
            row = _reference(about.view, definitions, names)
            fields[relation] = {"type": "array", "items": row} if about.many else row
        definitions[name] = {"type": "object", "properties": fields, "additionalProperties": False}
    return {"$ref": f"#/$defs/{names[whole]}"}


def _values(adapter: TypeAdapter[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    try:
        schema = adapter.json_schema()
    except PydanticInvalidForJsonSchema:
        return {}
    for name, shared in schema.pop("$defs", {}).items():
        definitions.setdefault(name, shared)
    return schema


def conditions(schema: Mapping[str, Any], payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a payload with a condition for each column that its view has."""
    if "view" in schema and "where" in schema.get("properties", {}):
        for path in _columns(schema["view"], schema["$defs"], ()):
            yield {**payload, "where": {path: None}}


def _columns(
    row: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...]
) -> Iterator[str]:
    reference = str(row["$ref"])
    if reference in within or len(within) > MAX_RELATIONS:
        return
    for name, field in definitions[reference.rpartition("/")[2]]["properties"].items():
        related = field.get("items", field)
        if "properties" in definitions.get(str(related.get("$ref")).rpartition("/")[2], {}):
            yield from (f"{name}.{column}" for column in _columns(related, definitions, (*within, reference)))
        else:
            yield name
