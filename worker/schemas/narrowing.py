"""Whether all that one JSON schema takes another takes too: as far as the schemas of payloads go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_AT_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_AT_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_SAME_OR_GONE = ("pattern", "format", "multipleOf", "uniqueItems", "propertyNames", "prefixItems", "not")
_JUDGED = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items"),
    *("anyOf", "oneOf", "allOf", "$ref", "$defs", "default", "discriminator", "view"),
    *(*_AT_LEAST, *_AT_MOST, *_SAME_OR_GONE),
}
_TOLD = {"title", "description", "examples", "deprecated", "readOnly", "writeOnly", "contentMediaType"}


def narrowings(old: Schema, new: Schema) -> Iterator[str]:
    """Say where `new` refuses what `old` takes, or means another thing by it: "age: maximum is 9, was 10"."""
    comparison = _Comparison(old.get("$defs", {}), new.get("$defs", {}))
    yield from comparison.compare(old, new, "")
    if "view" in old and "view" in new:
        yield from comparison.compare(old["view"], new["view"], "view")


class _Comparison:
    def __init__(self, old: Mapping[str, Schema], new: Mapping[str, Schema]) -> None:
        self._old, self._new = old, new
        self._within: list[tuple[str, str]] = []

    def compare(self, old: Any, new: Any, at: str) -> Iterator[str]:
        pair = (_name(old), _name(new))
        if (all(pair) and pair in self._within) or not {*_schema(new)} - _TOLD - {"default"}:
            return  # it is being compared, or takes anything
        self._within.append(pair)
        choices = _arms(new, self._new)
        for arm in _arms(old, self._old):
            found = [[*self._one(arm, choice, at)] for choice in choices]
            yield from min(found, key=len)
        self._within.remove(pair)

    def _one(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        if alien := sorted(
            {word for word in {*old, *new} - _JUDGED - _TOLD if old.get(word) != new.get(word)}
        ):
            yield _told(at, f"{', '.join(alien)} changed, which nothing here can judge")
        if not _takes_types(old, new):
            yield _told(at, f"type is {_type(new)}, was {_type(old)}")
            return
        values, known = _values(old), _values(new)
        if known is not None and (values is None or any(value not in known for value in values)):
            gone = "any other" if values is None else [value for value in values if value not in known]
            yield _told(at, f"no longer takes {gone}")
        yield from _limits(old, new, at)
        yield from self._fields(old, new, at)
        if "items" in new:
            yield from self.compare(old.get("items", {}), new["items"], f"{at}[]")

    def _fields(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        others = new.get("additionalProperties", True)
        for name, field in before.items():
            inner = f"{at}.{name}" if at else name
            if name in after:
                yield from self.compare(field, after[name], inner)
                yield from _default(field, after[name], inner)
            elif others is False:
                yield _told(inner, "is gone, and a field too many is refused")
            else:
                yield from self.compare(field, {} if others is True else others, inner)
        for name in sorted({*new.get("required", ())} - {*old.get("required", ())}):
            yield _told(f"{at}.{name}" if at else name, "is now required")
        more = old.get("additionalProperties", True)
        if ("properties" in new or "additionalProperties" in new) and more is not False:
            if others is False:
                yield _told(at, "no longer takes other fields")
            else:
                yield from self.compare(_schema(more), _schema(others), f"{at}.*" if at else "*")


def _limits(old: Schema, new: Schema, at: str) -> Iterator[str]:
    for words, sign in (_AT_LEAST, 1), (_AT_MOST, -1):
        for word in words:
            if word in new and (word not in old or sign * new[word] > sign * old[word]):
                yield _told(at, f"{word} is {new[word]}, was {old.get(word, 'not limited')}")
    for word in _SAME_OR_GONE:
        if word in new and new[word] != old.get(word):
            yield _told(at, f"{word} is {new[word]}, was {old.get(word, 'not there')}")


def _default(old: Schema, new: Schema, at: str) -> Iterator[str]:
    """Tell where what was left out now means another value."""
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield _told(at, f"where it is left out it is {new['default']!r}, was {old['default']!r}")


def _arms(schema: Any, definitions: Mapping[str, Schema]) -> list[Schema]:
    """Take a union, a reference, and several types apart."""
    schema = _schema(schema)
    if name := _name(schema):
        return _arms(definitions[name], definitions)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return [arm for choice in choices for arm in _arms(choice, definitions)]
    if len(parts := schema.get("allOf", ())) == 1:
        return _arms(parts[0], definitions)
    if isinstance(types := schema.get("type"), list):
        return [{**schema, "type": kind} for kind in types]
    return [schema]


def _takes_types(old: Schema, new: Schema) -> bool:
    types = {_type(old), "number"} if _type(old) == "integer" else {_type(old)}
    return _type(new) in {*types, "any"}


def _type(schema: Schema) -> str:
    values = _values(schema)
    if "type" in schema or not values:
        return str(schema.get("type", "any"))
    return {str: "string", bool: "boolean", int: "integer", float: "number"}.get(type(values[0]), "null")


def _values(schema: Schema) -> list[Any] | None:
    """List the values that it takes, where it lists them."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _schema(given: Any) -> Schema:
    if isinstance(given, Mapping):
        return given
    return {} if given else {"enum": []}


def _name(schema: Any) -> str:
    return str(schema["$ref"]).rpartition("/")[2] if isinstance(schema, Mapping) and "$ref" in schema else ""


def _told(at: str, what: str) -> str:
    return f"{at or 'the payload'}: {what}"
