"""The joins of a SELECT: which relations it crosses, and where NULLs come from by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, and_, exists, inspect, select
from sqlalchemy.orm import aliased
from sqlalchemy.orm import join as join_of

from producers.commands.listing import Join
from producers.commands.schema import Path

from ..models import Base
from .criteria import Entity


@dataclass(frozen=True)
class _Step:
    """One relation that is crossed, with the table between for many-to-many."""

    path: Path
    kind: Join
    target: Entity
    on: ColumnElement[bool]
    between: Any = None
    near: ColumnElement[bool] | None = None

    def onto(self, statement: Select[Any], kind: Join) -> Select[Any]:
        outer = kind != "inner"
        if self.between is not None:
            statement = statement.join(self.between, self.near, isouter=outer)
        return statement.join(self.target, self.on, isouter=outer, full=kind == "full")


class Joins:
    """The relations that a SELECT joins, by their paths; the model itself is at the empty path."""

    def __init__(self, model: type[Base]) -> None:
        self.entities: dict[Path, Entity] = {(): model}
        self._steps: list[_Step] = []

    def add(self, path: Path, kind: Join) -> None:
        """Join the relation at the end of a path, once."""
        if path in self.entities:
            return
        source = self.entities[path[:-1]]
        relation = getattr(source, path[-1])
        target = self.entities[path] = aliased(relation.property.mapper.class_)
        if relation.property.secondary is None:
            on = cast("ColumnElement[bool]", join_of(source, target, relation.of_type(target)).onclause)
            self._steps.append(_Step(path, kind, target, on))
        else:
            between = relation.property.secondary.alias()
            near = _matching(source, between, relation.property.synchronize_pairs)
            far = _matching(target, between, relation.property.secondary_synchronize_pairs)
            self._steps.append(_Step(path, kind, target, far, between, near))

    @property
    def are_full(self) -> bool:
        """Whether rows of a far side stand without a partner too."""
        return any(step.kind == "full" for step in self._steps)

    def onto(self, statement: Select[Any]) -> Select[Any]:
        """Add the joins to a SELECT."""
        statement = statement.select_from(self.entities[()])
        for step in self._steps:
            statement = step.onto(statement, step.kind)
        return statement

    def in_parts(self, statement: Select[Any]) -> list[Select[Any]]:
        """Add full joins for a database that has none, as SELECTs whose rows together are those.

        The first has all rows of this side, with their partners; there is one more for each relation, with
        the rows behind it that have no partner here: whatever is not behind them too is NULL.
        """
        whole = statement.select_from(self.entities[()])
        for step in self._steps:
            whole = step.onto(whole, "left")
        return [whole, *(self._alone(statement, step) for step in self._steps if step.kind == "full")]

    def _alone(self, statement: Select[Any], first: _Step) -> Select[Any]:
        alone = statement.select_from(first.target)
        for step in self._steps:
            if step.path[: len(first.path)] == first.path and step is not first:
                alone = step.onto(alone, "left")
        for path, entity in self.entities.items():
            if path[: len(first.path)] != first.path:
                never = and_(_key(first.target).is_(None), _key(first.target) == _key(entity))
                alone = alone.outerjoin(entity, never)
        return alone.where(~self._partner(first))

    def _partner(self, step: _Step) -> ColumnElement[bool]:
        """Whether a row behind a relation has a partner, asked of tables that are not joined here."""
        source = aliased(inspect(self.entities[step.path[:-1]]).mapper.class_)
        own = Joins(source)
        own.add(step.path[-1:], "inner")
        [there] = own._steps  # of the same class
        key = inspect(step.target).mapper.primary_key
        same = and_(*(_column(there.target, column) == _column(step.target, column) for column in key))
        return exists(own.onto(select(1)).where(same).correlate(step.target))

    def at(self, path: Path) -> ColumnElement[Any]:
        """Return the column at a path."""
        return cast("ColumnElement[Any]", getattr(self.entities[path[:-1]], path[-1]))

    def nullable(self, path: Path) -> bool:
        """Whether the column at a path can be NULL here."""
        crossed, name = path[:-1], path[-1]
        outer = self.are_full or any(
            step.kind != "inner" and crossed[: len(step.path)] == step.path for step in self._steps
        )
        return outer or bool(inspect(self.entities[crossed]).mapper.columns[name].nullable)


def _matching(entity: Entity, between: Any, pairs: Iterable[tuple[Any, Any]]) -> ColumnElement[bool]:
    return and_(*(_column(entity, there) == between.c[here.name] for there, here in pairs))


def _column(entity: Entity, column: Any) -> Any:
    return getattr(entity, inspect(entity).mapper.get_property_by_column(column).key)


def _key(entity: Entity) -> Any:
    return _column(entity, inspect(entity).mapper.primary_key[0])
