"""What must not be shown: fields marked `Personal` or `Secret`, and their values wherever a text quotes them.

    email: Annotated[str, Personal()]               # "hidden", unless a person asks to see it
    hashed_password: Annotated[str, Secret()]       # "hidden", always

Every log, listing, error and screen takes what it tells of a payload from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import chain
from typing import Any

from pydantic import BaseModel

from .annotations import arms_of, deep, field_arms, marked_names, result_arms
from .base import Command, Key, Payload, Personal, Ref, Secret
from .hiding import HIDDEN, Hiding, leaves

_NOBODY: Mapping[str, type[Command[Any]]] = {}
_SHORT = 4
"""A value with fewer characters is looked for as a word of its own."""


def hidden(
    command: type[Command[Any]] | None,
    payload: Any,
    registry: Mapping[str, type[Command[Any]]] = _NOBODY,
    *,
    reveal: bool = False,
) -> Any:
    """Return the JSON of a payload with "hidden" in place of what must not be shown.

    `command` is None where the kind is unknown: every value is hidden then. The parts of an Atomic are known
    by `registry`. With `reveal` only secrets are hidden.
    """
    hiding = Hiding(registry, reveal=reveal)
    return hiding.everything(payload) if command is None else hiding.model([command], payload)


def hidden_result(
    command: type[Command[Any]] | None,
    result: Any,
    payload: Any = None,
    registry: Mapping[str, type[Command[Any]]] = _NOBODY,
    *,
    reveal: bool = False,
) -> Any:
    """Return the JSON of a result with "hidden" in place of what must not be shown.

    Of an Atomic, `payload` says of which command each result is; without it every value is hidden, and so
    where a command does not say the type of its result.
    """
    hiding = Hiding(registry, reveal=reveal)
    parts = payload.get("commands") if isinstance(payload, Mapping) else None
    if isinstance(parts, list) and isinstance(result, list) and len(parts) == len(result):
        commands = [registry.get(str(part.get("kind"))) if isinstance(part, dict) else None for part in parts]
        pairs = zip(commands, result, strict=True)
        return [hidden_result(part, told, None, registry, reveal=reveal) for part, told in pairs]
    arms = [] if command is None else result_arms(command)
    if any(arm.type in {Any, list[Any], dict[str, Any]} for arm in arms) or not arms:
        return hiding.everything(result)
    return hiding.value(arms, result)


def hidden_fields(
    payload: Payload, shown: Iterable[tuple[str | None, Any]]
) -> Iterator[tuple[str | None, Any]]:
    """Hide in what the repr of a payload says; payloads within hide what is theirs."""
    hiding = Hiding(_NOBODY)
    views = [view] if (view := getattr(payload, "view", None)) else []
    for name, value in shown:
        if name is None or name not in payload.model_fields_set or _holds_models(value):
            yield name, value
        else:
            yield name, hiding.value(field_arms(type(payload), name), value, views)


def personal_values(
    command: type[Command[Any]], payload: Any, registry: Mapping[str, type[Command[Any]]] = _NOBODY
) -> list[Any]:
    """List the values that must not be shown in a command, or in the JSON of its payload."""
    hiding = Hiding(registry)
    hiding.model([command], payload)
    return hiding.values


def refuse_hidden_keys(payload: type[Payload]) -> None:
    """Raise TypeError where a field is to be hidden that names a lane: lanes stand in logs and listings."""
    first: tuple[str, ...] = getattr(payload, "unique", ())[:1]
    for name, field in payload.model_fields.items():
        arms = deep(arms_of(field.annotation, tuple(field.metadata)))
        marks = [mark for arm in arms for mark in arm.marks]
        hidden_by = next((mark for mark in marks if isinstance(mark, Personal)), None)
        if hidden_by and (name in first or any(isinstance(mark, Key | Ref) for mark in marks)):
            mark, does = type(hidden_by).__name__, "names a row, and its key is shown wherever its lane is"
            mend = "use a key that tells of nobody, such as an id, or take the mark away"
            raise TypeError(f"{payload.__qualname__}.{name} is marked {mark}(), but {does}; {mend}")


@cache
def personal_names(command: type[Command[Any]]) -> frozenset[str]:
    """List the fields of a command, and of what it holds, whose values must not be shown."""
    return marked_names(command)


def without(text: str, values: Iterable[Any]) -> str:
    """Hide these values wherever a text quotes them, in whatever case."""
    return hider(text, values)(text)


def hider(text: str, values: Iterable[Any]) -> Callable[[str], str]:
    """Return what hides these values in a text, and in each of its parts."""
    folded = text.casefold()
    # The same value often comes twice: as JSON has it, and as the command does.
    distinct = {value if isinstance(value, str) else (str(value), repr(value)) for value in values}
    forms = {form for form in chain(*map(_forms, distinct)) if form.casefold() in folded}
    if not forms:
        return str
    choices = "|".join(
        rf"(?<!\w){re.escape(form)}(?!\w)" if len(form) < _SHORT else re.escape(form)
        for form in sorted(forms, key=len, reverse=True)
    )
    return partial(re.compile(choices, re.IGNORECASE).sub, HIDDEN)


def _forms(value: str | tuple[str, ...]) -> Iterable[str]:
    """List the ways in which a text may quote a value; those of any but a text are given."""
    return {value, repr(value)[1:-1], json.dumps(value)[1:-1]} if isinstance(value, str) else value


def _holds_models(value: Any) -> bool:
    return isinstance(value, BaseModel) or (
        isinstance(value, tuple | list) and bool(value) and all(isinstance(item, BaseModel) for item in value)
    )


__all__ = [
    "HIDDEN",
    "Personal",
    "Secret",
    "hidden",
    "hidden_fields",
    "hidden_result",
    "hider",
    "leaves",
    "personal_names",
    "personal_values",
    "refuse_hidden_keys",
    "without",
]
