"""Reads as SQL: every query becomes one SELECT here, or two where NULLs are sorted behind an index.

Only chosen fields join, and what they join, conditions and order can speak of; see criteria.py for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true, union_all
from sqlalchemy.sql.base import ExecutableOption

from producers.commands.listing import Listing
from producers.commands.query import Filtering, Ordering

from ..models import Base
from ..types import MARIADB
from .criteria import bound, criterion
from .dialects import sort_key
from .joins import Joins


class Selects:
    """Makes the SELECTs of one model on one kind of database."""

    def __init__(self, model: type[Base], shown: Sequence[ColumnElement[Any]], dialect: str) -> None:
        self._model, self._shown, self._dialect = model, shown, dialect

    def whole(self, options: Sequence[ExecutableOption] = ()) -> Select[Any]:
        """Select the columns of a view, or with `options` whole objects."""
        return select(self._model).options(*options) if options else select(*self._shown)

    def rows(self, command: Filtering, options: Sequence[ExecutableOption] = ()) -> Select[Any]:
        """Select the rows for which the condition holds."""
        return self._where(self.whole(options), command, Joins(self._model))

    def count(self, command: Filtering) -> Select[Any]:
        """Count the rows."""
        return self._where(select(func.count()).select_from(self._model), command, Joins(self._model))

    def keys(self, command: Filtering, key: Sequence[str]) -> Select[Any]:
        """Select the keys of the rows, in their order."""
        columns = [getattr(self._model, name) for name in key]
        return self._where(select(*columns), command, Joins(self._model)).order_by(*columns)

    def ordered(self, command: Ordering, options: Sequence[ExecutableOption] = ()) -> Iterator[Select[Any]]:
        """Select rows in their order, each followed by the values of the order's terms.

        Where there are two SELECTs, the rows of the second come behind those of the first: NULLs come last,
        and apart from the others both find their rows by an index on the first term.
        """
        joins = Joins(self._model)
        chosen = isinstance(command, Listing) and bool(command.fields)
        if isinstance(command, Listing):
            for path in command.joined:
                joins.add(path, command.join)
        statement = self.rows(command, options) if not chosen else self._chosen(command, joins)
        for term in command.order:
            for end in range(1, len(term.path)):
                joins.add(term.path[:end], "left")  # what only the order crosses leads to one row at most
        keys = [_Key(joins.at(term.path), joins.nullable(term.path), term.down) for term in command.order]
        statement, keys = self._joined(statement, joins, keys)
        if isinstance(command, Listing) and command.distinct:
            statement, keys = _distinct(statement, command, keys, self._dialect)
        yield from self._segments(statement.add_columns(*(key.column for key in keys)), command, keys)

    def _chosen(self, command: Ordering, joins: Joins) -> Select[Any]:
        assert isinstance(command, Listing)  # noqa: S101  # others have no fields
        return self._where(select(*map(joins.at, command.paths)), command, joins)

    def _joined(
        self, statement: Select[Any], joins: Joins, keys: list[_Key]
    ) -> tuple[Select[Any], list[_Key]]:
        """Add the joins; for full ones that a database lacks, take the rows from a union."""
        if not (joins.are_full and self._dialect in MARIADB):
            return joins.onto(statement), keys
        shown = len(statement.selected_columns)
        columns = [*statement.selected_columns, *(key.column for key in keys)]
        labelled = statement.with_only_columns(
            *(column.label(f"field_{place}") for place, column in enumerate(columns))
        )
        rows = union_all(*joins.in_parts(labelled)).subquery()
        kept = [replace(key, column=column) for key, column in zip(keys, [*rows.c][shown:], strict=True)]
        return select(*[*rows.c][:shown]), kept

    def _segments(self, statement: Select[Any], command: Ordering, keys: list[_Key]) -> Iterator[Select[Any]]:
        after = command.after() if isinstance(command, Listing) else None
        offset = command.offset if isinstance(command, Listing) else 0
        first, rest = keys[0], keys[1:]
        if offset or not first.nullable:
            behind = true() if after is None else self._behind(keys, after)
            yield statement.where(behind).order_by(*self._sorted(keys)).offset(offset or None)
            return
        present = replace(first, nullable=False)
        if after is None or after[0] is not None:
            behind = true() if after is None else self._behind([present, *rest], after)
            yield statement.where(first.column.is_not(None), behind).order_by(*self._sorted([present, *rest]))
        among_nulls = after is not None and after[0] is None
        behind = self._behind(rest, after[1:]) if after is not None and among_nulls else true()
        yield statement.where(first.column.is_(None), behind).order_by(*self._sorted(rest))

    def _sorted(self, keys: Sequence[_Key]) -> list[ColumnElement[Any]]:
        return [
            sort_key(key.column, down=key.down, nullable=key.nullable, dialect=self._dialect) for key in keys
        ]

    def _behind(self, keys: Sequence[_Key], values: Sequence[Any]) -> ColumnElement[bool]:
        """Say that a row comes behind one with these values.

        A first key without NULLs stands by itself in it, so that an index on it finds where to begin.
        """
        if not keys:
            return false()
        key, value = keys[0], values[0]
        deeper = self._behind(keys[1:], values[1:])
        if value is None:
            return and_(key.column.is_(None), deeper)
        column, at = key.column, bound(key.column, value)
        beyond = column < at if key.down else column > at
        if not key.nullable:
            from_here = column <= at if key.down else column >= at
            return and_(from_here, or_(beyond, deeper))
        return or_(beyond, column.is_(None), and_(column == at, deeper))

    def _where(self, statement: Select[Any], command: Filtering, joins: Joins) -> Select[Any]:
        if command.where is None:
            return statement
        return statement.where(criterion(command.where, self._model, joins.entities))


_ALL = 2**63 - 1


@dataclass(frozen=True)
class _Key:
    """A term of the order as a column."""

    column: ColumnElement[Any]
    nullable: bool
    down: bool


def _distinct(
    statement: Select[Any], command: Listing, keys: Sequence[_Key], dialect: str
) -> tuple[Select[Any], list[_Key]]:
    """Take equal rows together first, so that what follows orders and skips what is left."""
    labelled = [column.label(f"field_{place}") for place, column in enumerate(statement.selected_columns)]
    distinct = statement.with_only_columns(*labelled).distinct()
    if (
        dialect in MARIADB
    ):  # else it moves a cursor's condition inside, where its "index for group-by" loses rows
        distinct = distinct.limit(_ALL)
    rows = distinct.subquery()
    by_path = dict(zip(command.paths, rows.c, strict=True))
    order = [term.path for term in command.order]
    kept = [replace(key, column=by_path[path]) for path, key in zip(order, keys, strict=True)]
    return select(*rows.c), kept
