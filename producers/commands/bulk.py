"""What commands about many rows have in common: how many, what becomes of each, and what finds a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .base import Items, Payload, View

MOST_ROWS = 1000

OnDuplicate = Literal["reject", "skip"]
"""What a row does whose key or unique field is taken: reject the whole command, or be left out."""


class Refusal(View):
    """Why rows of an import were refused: `rows` has their places, from 0."""

    code: str
    field: str | None
    message: str
    rows: tuple[int, ...]


class Imported(View):
    """What became of the rows of an import: how many were written, the places of those that were not.

    `duplicates` were there already, by their key. Places count from 0.
    """

    written: int
    duplicates: tuple[int, ...] = ()
    rejected: tuple[Refusal, ...] = ()


class UpsertingMany(Payload):
    """Rows that `by` finds, the key or one unique field: each is created, or changed in what it sets."""

    unique: ClassVar[tuple[str, ...]] = ("id",)

    rows: Items[Payload] = Field(min_length=1, max_length=MOST_ROWS)
    by: str = Field(default="", description="the field that finds the rows; needed when two could")

    @model_validator(mode="before")
    @classmethod
    def _choose(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("by") or not isinstance(data.get("rows"), Sequence):
            return data
        named = [name for name in cls.unique if all(_has(row, name) for row in data["rows"])]
        if named[:1] != [cls.unique[0]] and len(named) != 1:
            message = f"say which field finds the rows: set by to one of {', '.join(cls.unique)}"
            raise ValueError(message)
        return {**data, "by": named[0]}

    @model_validator(mode="after")
    def _found_by_values_of_their_own(self) -> Self:
        if self.by not in self.unique:
            message = f"by must be one of {', '.join(self.unique)}"
            raise ValueError(message)
        places: dict[Any, int] = {}
        for place, row in enumerate(self.rows):
            if not _has(row, self.by):
                message = f"rows.{place}.{self.by} must be set: it finds the row"
                raise ValueError(message)
            first = places.setdefault(getattr(row, self.by), place)
            if first != place:
                message = f"rows.{place}.{self.by} is that of rows.{first}: a command writes a row once"
                raise ValueError(message)
        return self


def _has(row: Any, name: str) -> bool:
    if isinstance(row, Payload):
        return name in row.model_fields_set and getattr(row, name) is not None
    return isinstance(row, dict) and row.get(name) is not None
