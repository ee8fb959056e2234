"""What may be named in a query: the columns of a view, and through its relations those of others."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from .base import View, storable

MAX_RELATIONS = 3
"""How many relations a path may cross."""

_BEYOND = 2**63

Path = tuple[str, ...]
"""The way to a column: ("posts", "title") is `posts.title`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may be named, and the type of its values."""

    adapter: TypeAdapter[Any]
    is_text: bool
    is_truth: bool

    def parse(self, value: Any) -> Any:
        """Return a value of the column's type; raise ValueError where it can be none."""
        if isinstance(value, bool) and not self.is_truth:
            message = "it is no truth value; compare it with a value of its own"
            raise ValueError(message)
        try:
            parsed = self.adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(error.errors(include_url=False, include_input=False)[0]["msg"]) from None
        if isinstance(parsed, str):
            storable(parsed)
        if isinstance(parsed, int) and abs(parsed) >= _BEYOND:
            message = "is larger than any number in a database"
            raise ValueError(message)
        if isinstance(parsed, datetime):
            try:
                return parsed.astimezone(UTC)
            except OverflowError:
                message = "is beyond the calendar"
                raise ValueError(message) from None
        return parsed


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that may be crossed: to one row or to many."""

    view: type[View]
    many: bool


@dataclass(frozen=True)
class Schema:
    """The columns and relations of one view."""

    columns: dict[str, Column]
    relations: dict[str, Relation]
    key: Path

    @staticmethod
    @cache
    def of(view: type[View]) -> Schema:
        """Take it from a view, or from the one that the view is a part of."""
        whole = view.part_of or view
        columns, relations = {}, {}
        for name, field in whole.model_fields.items():
            related = views_in(field.annotation)
            if related:
                relations[name] = Relation(related[0], _is_many(field.annotation))
            else:
                columns[name] = _column(field.annotation)
        return Schema(columns, relations, whole.primary_key)

    def column(self, path: Path) -> Column:
        """Find the column at the end of a path; raise ValueError that names the nearest."""
        *crossed, last = path
        schema = self.across(crossed)
        if last in schema.columns:
            return schema.columns[last]
        if last in schema.relations:
            message = f"{'.'.join(path)} is a relation; name one of its fields, such as {'.'.join(path)}.id"
            raise ValueError(message)
        raise ValueError(nearest(".".join(path), [".".join([*crossed, name]) for name in schema.columns]))

    def across(self, relations: Sequence[str]) -> Schema:
        """Find the schema behind relations."""
        if len(relations) > MAX_RELATIONS:
            message = f"{'.'.join(relations)} crosses more than {MAX_RELATIONS} relations"
            raise ValueError(message)
        schema = self
        for place, name in enumerate(relations):
            if name not in schema.relations:
                known = [".".join([*relations[:place], other]) for other in schema.relations]
                raise ValueError(f"relation {nearest('.'.join(relations[: place + 1]), known)}")
            schema = Schema.of(schema.relations[name].view)
        return schema

    def many(self, relations: Sequence[str]) -> bool:
        """Whether the relations lead to more than one row."""
        return any(
            self.across(relations[:place]).relations[name].many for place, name in enumerate(relations)
        )


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which of the `known` names was probably meant, and which there are."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{name!r} is unknown; {hint}there are: {', '.join(known)}"


def _column(annotation: Any) -> Column:
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType] or [annotation]
    kind = AwareDatetime if kinds[0] is datetime else kinds[0]
    return Column(TypeAdapter(kind), is_text=kind is str, is_truth=kind is bool)


def _is_many(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_many(part) for part in get_args(annotation))


def views_in(annotation: Any) -> list[type[View]]:
    """Find the views in an annotation: PostView in `tuple[PostView, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, View):
        return [annotation]
    return [view for part in get_args(annotation) for view in views_in(part)]
