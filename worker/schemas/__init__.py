"""The JSON schemas of all payloads, by kind and version, kept in a file: so that no change loses a command.

What an older producer still sends, and what stands in a queue, has to be read by the code of today.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from producers.commands import Command, Registry

from .instances import instances
from .narrowing import narrowings
from .views import conditions, with_view

Schemas = dict[str, dict[str, Any]]
"""By kind, and by version."""

_TOLD = {"title", "description", "examples"}
_RULES = {"value_error", "assertion_error", "string_pattern_mismatch"}
"""Errors of rules that no schema tells: what it gives as an example may break them."""


def schemas_of(registry: Registry, kept: Mapping[str, Mapping[str, Any]] | None = None) -> Schemas:
    """Write down the schemas of today; of `kept`, those of older versions stay."""
    schemas: Schemas = {}
    for kind in sorted(registry):
        command = registry[kind]
        older = {
            version: schema
            for version, schema in (kept or {}).get(kind, {}).items()
            if int(version) < command.version
        }
        schemas[kind] = {**older, str(command.version): schema_of(command)}
    return schemas


def schema_of(command: type[Command[Any]]) -> dict[str, Any]:
    """Return the JSON schema of a payload, without what is only told; {} where it has none.

    Where it names columns or relations of a view, its `view` says which there are.
    """
    try:
        return dict(_bare(with_view(command, command.model_json_schema())))
    except PydanticInvalidForJsonSchema:
        return {}


def encode(schemas: Schemas) -> str:
    """Write the file: one line for each version, so that a change is seen where it is."""
    kinds = []
    for kind, versions in schemas.items():
        lines = [
            f"    {json.dumps(version)}: {json.dumps(schema, sort_keys=True)}"
            for version, schema in versions.items()
        ]
        kinds.append(f"  {json.dumps(kind)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(kinds) + "\n}\n"


def breaks(registry: Registry, kept: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Say which commands of the `kept` schemas the code of today would not read, and what to do."""
    for kind, versions in sorted(kept.items()):
        if kind not in registry:
            yield (
                f"{kind}: is gone, and who still sends it would be dead; keep the command, or give it up: "
                "schema export --force"
            )
            continue
        command = registry[kind]
        newest = max(map(int, versions))
        if command.version < newest:
            yield f"{kind}: version is {command.version}, was {newest}; raise it again, it only ever grows"
        elif command.version == newest:
            for narrowing in narrowings(versions[str(newest)], schema_of(command)):
                yield (
                    f"{kind}: {narrowing}; take that back (a new field needs a default), or raise `version` "
                    f"to {newest + 1} and add to `lifts` what turns version {newest} into it"
                )
        for version in sorted(int(version) for version in versions if int(version) < command.version):
            yield from _unlifted(command, version, versions[str(version)])


def _unlifted(command: type[Command[Any]], version: int, schema: Mapping[str, Any]) -> Iterator[str]:
    """Say why payloads of an older version are not brought to that of today; each reason once."""
    missing = [older for older in range(version, command.version) if older not in command.lifts]
    if missing:
        yield f"{command.kind}: nothing lifts version {missing[0]} to {missing[0] + 1}; add it to `lifts`"
        return
    payloads = [*instances(schema)]
    asking = [one for payload in payloads[:1] for one in conditions(schema, payload)]
    refusals = [reason for payload in payloads for reason in _refusals(command, version, payload)]
    refusals += [reason for payload in asking for reason in _refusals(command, version, payload, "where")]
    reasons = dict.fromkeys(refusals)
    for reason in reasons:
        yield f"{command.kind}: lifted from version {version}, {reason}; mend the function in `lifts`"


def _refusals(
    command: type[Command[Any]], version: int, payload: dict[str, Any], ruled: str = ""
) -> Iterator[str]:
    """Say what is wrong with a payload; rules count for the field that is `ruled`."""
    try:
        for older in range(version, command.version):
            payload = command.lifts[older](payload)
    except Exception as error:  # noqa: BLE001  # a lift may fail in any way
        yield f"a payload with {', '.join(payload) or 'no fields'} raises {type(error).__name__}"
        return
    try:
        command.model_validate(payload)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            if problem["type"] not in _RULES or problem["loc"][:1] == (ruled,):
                yield f"{'.'.join(map(str, problem['loc'])) or 'the payload'}: {problem['msg']}"


def _bare(schema: Any) -> Any:
    """Leave out what is told to people; a field may have one of these names."""
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {}
    for word, value in schema.items():
        if word in {"properties", "$defs"}:
            bare[word] = {name: _bare(field) for name, field in value.items()}
        elif word in {"default", "const", "enum"}:
            bare[word] = value
        elif word not in _TOLD:
            bare[word] = _bare(value)
    return bare
