"""Conditions as SQL, their values always bound.

A condition that crosses a relation is an EXISTS, so that it never multiplies rows: "some post of the user
has this title".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Integer, and_, bindparam, literal, not_, or_
from sqlalchemy.orm import aliased
from sqlalchemy.types import TypeEngine

from producers.commands.conditions import Compare, Condition, Has, Junction, Not
from producers.commands.schema import Path

Entity = Any
"""A model or an alias of one: columns and relations are its attributes."""

_OPERATORS: dict[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "==": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "like": lambda column, pattern: column.like(pattern, escape="\\"),
    "contains": lambda column, text: column.contains(text, autoescape=True),
    "startswith": lambda column, text: column.startswith(text, autoescape=True),
    "endswith": lambda column, text: column.endswith(text, autoescape=True),
    "in": lambda column, values: column.in_(values),
    "not in": lambda column, values: column.not_in(values),
}
_OF_VALUES = {"==", "!=", "<", "<=", ">", ">="}


def criterion(
    condition: Condition, entity: Entity, joined: Mapping[Path, Entity] | None = None
) -> ColumnElement[bool]:
    """Write a condition on the rows of an entity, or of those that are `joined` to it, by their paths."""
    joined = joined or {(): entity}
    match condition:
        case Junction(word=word, conditions=conditions):
            parts = [criterion(part, entity, joined) for part in conditions]
            return and_(*parts) if word == "and" else or_(*parts)
        case Not(condition=negated):
            return not_(criterion(negated, entity, joined))
        case Has(path=path, where=where):
            start = _joined_part(path[:-1], joined)
            return _exists(joined[start], path[len(start) :], where)
        case Compare(path=path):
            start = _joined_part(path[:-1], joined)
            crossed, last = path[len(start) : -1], replace(condition, path=path[-1:])
            if crossed:
                return _exists(joined[start], crossed, last)
            return _compared(getattr(joined[start], path[-1]), last)
    raise TypeError(f"{type(condition).__name__} is no condition")


def bound(column: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    """Bind a value to compare a column with; a number may be larger than the column's type."""
    return literal(value, _type(column))


def _joined_part(path: Path, joined: Mapping[Path, Entity]) -> Path:
    """Find how far a path leads through what is joined: what lies behind belongs to the joined row."""
    return next(path[:end] for end in range(len(path), -1, -1) if path[:end] in joined)


def _exists(entity: Entity, path: Path, where: Condition | None) -> ColumnElement[bool]:
    relation = getattr(entity, path[0])
    target = aliased(relation.property.mapper.class_)
    within: ColumnElement[bool] | None = None
    if len(path) > 1:
        within = _exists(target, path[1:], where)
    elif where is not None:
        within = criterion(where, target)
    rows = relation.of_type(target)
    return cast("ColumnElement[bool]", rows.any(within) if relation.property.uselist else rows.has(within))


def _compared(column: ColumnElement[Any], condition: Compare) -> ColumnElement[bool]:
    operator, value = condition.operator, condition.value
    if value is None:
        return column.is_(None) if operator == "==" else column.is_not(None)
    if isinstance(value, tuple):
        return _OPERATORS[operator](column, _bound_all(column, value))
    if operator in _OF_VALUES:
        value = bound(column, value)
    return _OPERATORS[operator](column, value)


def _bound_all(column: ColumnElement[Any], values: Sequence[Any]) -> BindParameter[Any]:
    return bindparam("values", list(values), _type(column), expanding=True, unique=True)


def _type(column: ColumnElement[Any]) -> TypeEngine[Any]:
    return BigInteger() if isinstance(column.type, Integer) else column.type
