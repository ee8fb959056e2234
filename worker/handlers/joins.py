"""The joins of a SELECT: which relations it crosses, and where NULLs come from by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, and_, inspect
from sqlalchemy.orm import aliased

from producers.commands.query import Join
from producers.commands.schema import Path

from ..models import Base
from .criteria import Entity


class Joins:
    """The relations that a SELECT joins, by their paths; the model itself is at the empty path."""

    def __init__(self, model: type[Base]) -> None:
        self.entities: dict[Path, Entity] = {(): model}
        self._outer: set[Path] = set()
        self._steps: list[Callable[[Select[Any]], Select[Any]]] = []

    def add(self, path: Path, kind: Join) -> None:
        """Join the relation at the end of a path, once."""
        if path in self.entities:
            return
        relation = getattr(self.entities[path[:-1]], path[-1])
        target = self.entities[path] = aliased(relation.property.mapper.class_)
        if kind == "full" and relation.property.secondary is not None:
            # A row of the far side that nothing between leads to is a row without a partner as well.
            self._steps += _across(relation, self.entities[path[:-1]], target)
        else:
            self._steps.append(
                lambda statement: statement.join(
                    relation.of_type(target), isouter=kind != "inner", full=kind == "full"
                )
            )
        if kind != "inner":
            self._outer.add(path)
        if kind == "full":
            self._outer.add(())

    def onto(self, statement: Select[Any]) -> Select[Any]:
        """Add the joins to a SELECT."""
        statement = statement.select_from(self.entities[()])
        for step in self._steps:
            statement = step(statement)
        return statement

    def at(self, path: Path) -> ColumnElement[Any]:
        """Return the column at a path."""
        return cast("ColumnElement[Any]", getattr(self.entities[path[:-1]], path[-1]))

    def nullable(self, path: Path) -> bool:
        """Whether the column at a path can be NULL here."""
        *crossed, name = path
        outer = any(tuple(crossed[:end]) in self._outer for end in range(len(crossed) + 1))
        return outer or bool(inspect(self.entities[tuple(crossed)]).mapper.columns[name].nullable)


def _across(relation: Any, source: Entity, target: Entity) -> list[Callable[[Select[Any]], Select[Any]]]:
    """Join a many-to-many relation in two steps: to the table between, then fully to the far side."""
    between = relation.property.secondary.alias()
    near = [
        _end(source, there) == between.c[here.name] for there, here in relation.property.synchronize_pairs
    ]
    far = [
        _end(target, there) == between.c[here.name]
        for there, here in relation.property.secondary_synchronize_pairs
    ]
    return [
        lambda statement: statement.join(between, and_(*near), isouter=True),
        lambda statement: statement.join(target, and_(*far), full=True),
    ]


def _end(entity: Entity, column: ColumnElement[Any]) -> Any:
    mapper = inspect(entity).mapper
    return getattr(entity, mapper.get_property_by_column(column).key)
