"""What the annotations of a model say of its fields: the types that a value may have, and their marks."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AliasChoices, AliasPath, BaseModel

from .base import Command, Personal, View


class Arm(NamedTuple):
    """One type that a value may have, with the marks it bears there."""

    type: Any
    marks: tuple[Any, ...]


def marked_names(kind: Any) -> frozenset[str]:
    """List the fields, of a model and of all that it holds, that are marked or hold a condition."""
    names: set[str] = set()
    seen: set[Any] = set()

    def look(model: Any) -> None:
        if model in seen:
            return
        seen.add(model)
        for name, arms in members(model).items():
            for arm in deep(arms):
                if is_condition(arm.type) or any(isinstance(mark, Personal) for mark in arm.marks):
                    names.add(name)
                elif members(arm.type):
                    look(arm.type)

    look(kind)
    return frozenset(names)


def result_arms(command: type[Command[Any]]) -> list[Arm]:
    """List the types of a command's result."""
    return [*arms_of(command.returns())]


def field_arms(model: Any, name: str) -> Sequence[Arm]:
    """List the types of a field; `posts.title` is that of the rows behind a view's relation."""
    own = members(model)
    if name in own:
        return own[name]
    first, _, rest = name.partition(".")
    whole = members(_whole(model))
    if not rest:
        return whole.get(first, ())
    behind = [arm.type for arm in deep(whole.get(first, ())) if is_model(arm.type)]
    return [arm for view in behind for arm in field_arms(view, rest)]


def is_condition(kind: Any) -> bool:
    """Whether it is the type of conditions."""
    from .conditions import Condition  # noqa: PLC0415  # as above

    return isinstance(kind, type) and issubclass(kind, Condition)


_UNIONS = {Union, types.UnionType}


def _whole(model: Any) -> Any:
    return (model.part_of if isinstance(model, type) and issubclass(model, View) else None) or model


@cache
def members(kind: Any) -> dict[str, tuple[Arm, ...]]:
    """List the fields of a model, a dataclass or a TypedDict, by every name that they go by."""
    if is_model(kind):
        found = {}
        for name, field in kind.model_fields.items():
            arms = (*arms_of(field.annotation, tuple(field.metadata)),)
            for alias in (name, *_aliases(field.alias, field.validation_alias, field.serialization_alias)):
                found[alias] = arms
        for name, computed in kind.model_computed_fields.items():
            found[name] = (*arms_of(computed.return_type),)
        return found
    if isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "__total__")):  # or a TypedDict
        return {name: (*arms_of(hint),) for name, hint in get_type_hints(kind, include_extras=True).items()}
    return {}


def _aliases(*given: Any) -> Iterator[str]:
    for alias in given:
        if isinstance(alias, str):
            yield alias
        elif isinstance(alias, AliasChoices):
            yield from _aliases(*alias.choices)
        elif isinstance(alias, AliasPath):
            yield str(alias.path[0])


def arms_of(annotation: Any, marks: tuple[Any, ...] = ()) -> Iterator[Arm]:
    """Take unions and Annotated apart."""
    if (aliased := getattr(annotation, "__value__", None)) is not None:
        yield from arms_of(aliased, marks)
    elif get_origin(annotation) is Annotated:
        inner, *others = get_args(annotation)
        yield from arms_of(inner, (*marks, *others))
    elif get_origin(annotation) in _UNIONS:
        for part in get_args(annotation):
            yield from arms_of(part, marks)
    else:
        yield Arm(annotation, marks)


def deep(arms: Iterable[Arm]) -> Iterator[Arm]:
    """Give types, and those of what they hold."""
    for arm in arms:
        yield arm
        if get_origin(arm.type) is not Literal:
            for part in get_args(arm.type):
                yield from deep(arms_of(part))


def is_model(kind: Any) -> bool:
    """Whether it is a model of pydantic."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_plain(kind: Any) -> bool:
    """Whether its values are no objects or lists."""
    if get_origin(kind) is Literal:
        return True
    return kind is not types.NoneType and not members(kind) and not is_model(kind) and not get_args(kind)


def is_mapping(kind: Any) -> bool:
    """Whether it is a mapping that says what it holds."""
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_of_many(kind: Any) -> bool:
    """Whether it is a list, tuple or set that says what it holds."""
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Sequence | AbstractSet)
