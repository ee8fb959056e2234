"""Payloads that a JSON schema takes: the least, the fullest, and each field in each of its forms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

_FORMATS = {
    "uuid": "018bcfe5-687b-7000-8000-000000000001",
    "email": "ada@example.com",
    "date-time": "2024-02-29T12:00:00Z",
    "date": "2024-02-29",
    "time": "12:00:00Z",
    "duration": "PT1S",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "binary": "YWRh",
}
_DEEPEST = 4
_MOST = 3


def instances(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Give JSON values; texts are of one letter, so some patterns have none. Code may refuse them."""
    yield from _of(schema, schema.get("$defs", {}), 0)


def _of(schema: Any, definitions: Mapping[str, Any], depth: int) -> Iterator[Any]:
    if not isinstance(schema, Mapping) or not schema or depth > _DEEPEST:
        yield "any" if schema in (True, {}) else None
        return
    if "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        for choice in choices:
            yield from islice(_of(choice, definitions, depth), _MOST)
        return
    if "const" in schema or "enum" in schema:
        yield from [schema["const"]] if "const" in schema else schema["enum"]
        return
    yield from _typed(schema, definitions, depth)


def _typed(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Iterator[Any]:
    match schema.get("type"):
        case "object":
            yield from _objects(schema, definitions, depth)
        case "array":
            yield from _arrays(schema, definitions, depth)
        case "string":
            yield from _texts(schema)
        case "integer" | "number":
            yield from _numbers(schema)
        case "boolean":
            yield from (True, False)
        case "null":
            yield None
        case _:
            yield "any"


def _objects(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Iterator[Any]:
    fields = schema.get("properties", {})
    forms = {name: [*islice(_of(field, definitions, depth + 1), _MOST)] for name, field in fields.items()}
    if not all(forms.get(name) for name in schema.get("required", ())):
        return  # nothing here can make one
    required = {name: forms[name][0] for name in schema.get("required", ())}
    yield required
    yield {**required, **{name: values[0] for name, values in forms.items() if values}}
    for name, values in forms.items():
        for value in values:
            yield {**required, name: value}
    if isinstance(schema.get("additionalProperties"), Mapping):
        for value in islice(_of(schema["additionalProperties"], definitions, depth + 1), _MOST):
            yield {**required, "other": value}


def _arrays(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Iterator[Any]:
    least = schema.get("minItems", 0)
    if "prefixItems" in schema:
        places = [[*islice(_of(item, definitions, depth + 1), 1)] for item in schema["prefixItems"]]
        yield from [[item for [item] in places]] if all(places) else []
        return
    if not least:
        yield []
    for item in islice(_of(schema.get("items", {}), definitions, depth + 1), _MOST):
        yield [item] * max(1, least)


def _texts(schema: Mapping[str, Any]) -> Iterator[str]:
    if (form := schema.get("format")) in _FORMATS:
        yield _FORMATS[form]
        return
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
    texts = ["a" * max(least, min(most, 1)), "a" * most, *([] if least else [""])]
    yield from (text for text in texts if re.search(schema.get("pattern", ""), text))


def _numbers(schema: Mapping[str, Any]) -> Iterator[int]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1001) - 1)
    step = schema.get("multipleOf", 1)
    yield -(-low // step) * step
    yield high // step * step
