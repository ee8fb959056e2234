"""The lanes that a command stands in, one for each row it names by its key; the rows it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin
from uuid import UUID

from .address import Addressed
from .base import Command, Key, Payload, Ref, marked

_PLAIN = {str, int, float, bool, bytes, UUID, datetime, date, Decimal, type(None)}


class Reference(NamedTuple):
    """A row that a command needs: its `entity`, and the `field` that has its `key`."""

    entity: str
    field: str
    key: Any


class Standing(NamedTuple):
    """Names of lanes: `lanes` it stands in, `refs` are those of rows that it needs; each name once."""

    lanes: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()


NOWHERE = Standing()


def standing(command: Command[Any], ordering_key: str | None = None) -> Standing:
    """Say where a command stands whose ids are set; nowhere, if it is a read that may be stale."""
    if command.read_only and getattr(command, "stale_ok", False):
        return NOWHERE
    lanes: dict[str, None] = {}
    refs: dict[str, Reference] = {}
    _walk(command, "", lanes, refs)
    if ordering_key is not None:
        if "\0" in ordering_key:
            message = "ordering_key holds a NUL"
            raise ValueError(message)
        lanes[f":{ordering_key}"] = None
    return Standing((*lanes,), (*refs,))


def referred(command: Command[Any]) -> dict[str, Reference]:
    """List the rows that a command refers to, by the names of their lanes."""
    refs: dict[str, Reference] = {}
    _walk(command, "", {}, refs)
    return refs


def lane(entity: str, key: object) -> str:
    """Name the lane of a row: its key is a UUID, an int, a str, or a tuple of these."""
    parts = key if isinstance(key, tuple) else (key,)
    return ":".join([entity, *map(str, parts)])


@cache
def references(payload: type[Payload]) -> tuple[tuple[str, str], ...]:
    """List the fields that hold the key of another row, each with the entity of that row."""
    return tuple(
        (name, mark.entity)
        for name, field in payload.model_fields.items()
        for mark in (*field.metadata, *_within(field.annotation))
        if isinstance(mark, Ref)
    )


def _within(annotation: Any) -> Iterator[Any]:
    """Give the marks inside `Annotated[UUID, Ref("user")] | None`."""
    for part in get_args(annotation):
        yield from getattr(part, "__metadata__", ())


def _walk(payload: Payload, outer: str, lanes: dict[str, None], refs: dict[str, Reference]) -> None:
    plan = _plan(type(payload))
    entity = plan.entity or outer
    if (key := payload.lane_key()) is not None:
        lanes[lane(entity, key)] = None
    addressed_by = payload.address if plan.references and isinstance(payload, Addressed) else ""
    for name, other in plan.references:
        if (value := getattr(payload, name)) is not None and name != addressed_by:
            refs[lane(other, value)] = Reference(other, name, value)
    by = None
    for name in plan.with_payloads:
        value = getattr(payload, name)
        if value is None or value == ():
            continue
        if isinstance(value, Payload):
            _walk(value, entity, lanes, refs)
        elif isinstance(value, tuple) and value and isinstance(value[0], Payload):
            by = by or getattr(payload, "by", None)
            if by and by not in marked(type(value[0]), Key):
                continue  # the rows are found by another field
            for item in value:
                _walk(item, entity, lanes, refs)


class _Plan(NamedTuple):
    """What is known of a class of payloads: its entity, if it says so, and the fields to look at."""

    entity: str
    references: tuple[tuple[str, str], ...]
    with_payloads: tuple[str, ...]


@cache
def _plan(payload: type[Payload]) -> _Plan:
    kind = payload.kind.partition(".")[0] if issubclass(payload, Command) else ""
    return _Plan(payload.entity or kind, references(payload), _with_payloads(payload))


def _with_payloads(payload: type[Payload]) -> tuple[str, ...]:
    """List the fields that may hold payloads: all but those that can be seen to hold none."""
    fields = payload.model_fields.items()
    return tuple(name for name, field in fields if not _is_plain(field.annotation))


def _is_plain(annotation: Any) -> bool:
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return True
    if get_origin(annotation) is Annotated:
        return _is_plain(parts[0])
    return all(map(_is_plain, parts)) if parts else annotation in _PLAIN
