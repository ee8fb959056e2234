"""The walk through the JSON of a payload or a result that hides what its types mark; and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from .annotations import (
    Arm,
    arms_of,
    deep,
    field_arms,
    is_condition,
    is_mapping,
    is_model,
    is_of_many,
    is_plain,
    members,
)
from .base import Command, Personal, Secret

HIDDEN = "hidden"
"""What is shown in place of a value."""


class _Plan(NamedTuple):
    """What the types of a value say of it; conditions are about `views`."""

    kinds: Sequence[Any]
    views: Sequence[Any]
    is_marked: bool
    is_condition: bool
    is_plain: bool


class Hiding:
    """Hides values, and keeps those that it has hidden in `values`; field names are kept as they are.

    With `reveal` only secrets are hidden. The parts of an Atomic are of kinds that `registry` knows; what is
    of an unknown kind, or has a shape or a field that its type has not, is hidden whole.
    """

    def __init__(self, registry: Mapping[str, type[Command[Any]]], *, reveal: bool = False) -> None:
        self._registry = registry
        self._mark = Secret if reveal else Personal
        self.values: list[Any] = []
        self._plans: dict[tuple[Any, ...], dict[str, _Plan | None]] = {}

    def everything(self, value: Any) -> Any:
        """Hide all values in it."""
        if isinstance(value, Mapping):
            return {name: self.everything(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.everything(item) for item in value]
        self.values += leaves(value)
        return HIDDEN

    def model(self, models: Sequence[Any], value: Any) -> Any:
        """Hide in an object of one of these models, or in its JSON; a field is hidden where any hides it."""
        if isinstance(value, BaseModel):
            return self.model([type(value)], {name: getattr(value, name) for name in value.model_fields_set})
        if not isinstance(value, Mapping):
            return self.everything(value)
        if any(issubclass(model, Command) and not model.kind for model in models):  # a part of an Atomic
            return self._part(value)
        plans = self._plans.setdefault((*models,), {})  # one for all rows of a bulk command
        told = {}
        for name, item in value.items():
            if name not in plans:
                plans[name] = self._field(models, name)
            plan = plans[name]
            told[name] = self.everything(item) if plan is None else self._planned(plan, item)
        return told

    def _part(self, value: Mapping[str, Any]) -> Any:
        about = {name: item for name, item in value.items() if name in {"kind", "version"}}
        part = self._registry.get(str(value.get("kind")))
        others = {name: item for name, item in value.items() if name not in about and name != "payload"}
        payload = value.get("payload")
        told = self.everything(payload) if part is None else self.model([part], payload)
        return {**about, "payload": told, **self.everything(others)}

    def _field(self, models: Sequence[Any], name: str) -> _Plan | None:
        declared = [arm for model in models for arm in field_arms(model, name)]
        views = [model.view for model in models if hasattr(model, "view")]
        return self._plan(declared, views) if declared else None

    def _plan(self, arms: Sequence[Arm], views: Sequence[Any] = ()) -> _Plan:
        kinds = [arm.type for arm in arms]
        is_marked = any(isinstance(mark, self._mark) for arm in arms for mark in arm.marks)
        return _Plan(kinds, views, is_marked, any(map(is_condition, kinds)), any(map(is_plain, kinds)))

    def value(self, arms: Sequence[Arm], value: Any, views: Sequence[Any] = ()) -> Any:
        """Hide in a value that has one of these types; conditions are about `views`."""
        return self._planned(self._plan(arms, views), value)

    def _planned(self, plan: _Plan, value: Any) -> Any:
        if plan.is_marked:
            self.values += leaves(value)
            return HIDDEN
        if plan.is_condition and value is not None:
            return self._condition(plan.views, value)
        match value:
            case BaseModel():
                return self.model(plan.kinds, value)
            case Mapping():
                return self._mapping(plan.kinds, value)
            case list() | tuple():
                return self._list(plan.kinds, value)
        return value if value is None or plan.is_plain else self.everything(value)

    def _list(self, kinds: Sequence[Any], value: Sequence[Any]) -> Any:
        items = [
            arm for kind in kinds if is_of_many(kind) for item in get_args(kind) for arm in arms_of(item)
        ]
        if items:
            plan = self._plan(items)
            return [self._planned(plan, item) for item in value]
        return value if Any in kinds or list in kinds else self.everything(value)

    def _mapping(self, kinds: Sequence[Any], value: Mapping[str, Any]) -> Any:
        if models := [kind for kind in kinds if members(kind) or is_model(kind)]:
            return self.model(models, value)
        if items := [arm for kind in kinds if is_mapping(kind) for arm in arms_of(get_args(kind)[1])]:
            return {name: self.value(items, item) for name, item in value.items()}
        return value if Any in kinds or dict in kinds else self.everything(value)

    def _condition(self, views: Sequence[Any], written: Any) -> Any:
        from .conditions import Condition, read  # noqa: PLC0415  # it needs base.py, and base.py this

        if isinstance(written, str | Condition):
            try:
                written = read(written).to_json()
            except ValueError:
                return self.everything(written)
        if not isinstance(written, Mapping):
            return self.everything(written)
        return {name: self._about(views, name, value) for name, value in written.items()}

    def _about(self, views: Sequence[Any], name: str, value: Any) -> Any:
        if name in {"and", "or"} and isinstance(value, list | tuple):
            return [self._condition(views, part) for part in value]
        if name == "not":
            return self._condition(views, value)
        arms = [arm for view in views for arm in field_arms(view, name)]
        if not isinstance(value, Mapping):
            return self._compared(arms, value)
        behind = [arm.type for arm in deep(arms) if is_model(arm.type)]
        return {
            word: (self._condition(behind, operand) if operand else operand)
            if word == "any"
            else self._compared(arms, operand)
            for word, operand in value.items()
        }

    def _compared(self, arms: Sequence[Arm], value: Any) -> Any:
        is_marked = any(isinstance(mark, self._mark) for arm in arms for mark in arm.marks)
        if is_marked or not arms or isinstance(value, Mapping):
            self.values += leaves(value)
            return HIDDEN
        return value


def leaves(value: Any) -> list[Any]:
    """List the values in it, but for nothing, empty texts, and true and false, which tell of nobody."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list | tuple | AbstractSet):
        return [leaf for item in value for leaf in leaves(item)]
    return [] if value is None or value == "" or isinstance(value, bool) else [value]


def restored(given: Any, shown: Any, before: Any) -> Any:
    """Put back what was hidden in an edited value, from the value before; `shown` is what a person saw of it.

    Items of a list have no names: in one that was changed nobody can tell whose a hidden value is, and
    ValueError is raised.
    """
    if given == shown:
        return before
    if isinstance(given, dict) and isinstance(shown, dict):
        return {
            name: restored(value, shown[name], before[name]) if name in shown else _written(value)
            for name, value in given.items()
        }
    if isinstance(given, list) and isinstance(shown, list) and len(given) == len(shown):
        pairs = zip(given, shown, before, strict=True)
        return [was if item == seen else _written(item) for item, seen, was in pairs]
    return _written(given)


def _written(value: Any) -> Any:
    """Return what a person wrote, if nothing of it is hidden."""
    if _holds_hidden(value):
        raise ValueError(f"write the values anew that are {HIDDEN!r}: a list was changed, or a field added")
    return value


def _holds_hidden(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_hidden, value.values()))
    if isinstance(value, list):
        return any(map(_holds_hidden, value))
    return bool(value == HIDDEN)
