"""What reads have in common: conditions, order, page, and the relations to bring along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from .base import Items, Payload, Personal, Query, View
from .conditions import Condition
from .schema import Path, Schema, nearest

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list: its rows, where it began, and whether more follow.

    `next_cursor`, given as `cursor` to the same list, reads on behind the last row.
    """

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    limit: int
    offset: int
    has_more: bool
    next_cursor: Annotated[str | None, Personal()] = None


class Term(NamedTuple):
    """One term of an order: the column, and whether it is sorted downwards."""

    path: Path
    down: bool = False

    @classmethod
    def of(cls, name: str) -> Self:
        """Read it as people write it: `-created_at` is downwards."""
        return cls(tuple(name.removeprefix("-").split(".")), name.startswith("-"))

    def __str__(self) -> str:
        return "-" * self.down + ".".join(self.path)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[Items[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]


class Viewed(Payload):
    """A command about rows that are seen as a `view`: its columns and relations are what may be named."""

    view: ClassVar[type[View]]

    @classmethod
    def named(cls) -> Schema:
        """Return what may be named."""
        return Schema.of(cls.view)


class Filtering(Viewed):
    """A command about the rows for which a condition holds; a read is about all by default."""

    where: Condition | None = Field(default=None, description="such as: age >= 18 and email is not None")

    @field_validator("where")
    @classmethod
    def _fits(cls, where: Condition | None) -> Condition | None:
        return None if where is None else where.bound(cls.named())


class Reading(Viewed):
    """A read."""

    stale_ok: bool = Field(default=False, description="may be answered by a replica that is behind")


class Including(Reading):
    """A read that can bring relations along."""

    include: Names = Field(
        default=(), max_length=10, description="relations to bring along, with all of their rows"
    )

    @field_validator("include")
    @classmethod
    def _known_relations(cls, include: Sequence[str]) -> Sequence[str]:
        relations = cls.named().relations
        for name in include:
            if name not in relations:
                raise ValueError(nearest(name, list(relations)))
        return include


class Counting(Filtering, Reading, Query[int]):
    """Count the rows for which a condition holds."""


class Finding(Filtering, Including):
    """A read of whole rows for which a condition holds."""


class Ordering(Finding):
    """A read whose rows come in an order; rows that compare equal come in that of their key."""

    order_by: Names = Field(
        default=(), max_length=10, description='fields to order by; "-created_at" is newest first'
    )

    @field_validator("order_by")
    @classmethod
    def _known_columns(cls, order_by: Sequence[str]) -> Sequence[str]:
        for name in order_by:
            cls.named().column(Term.of(name).path)
        return order_by

    @property
    def order(self) -> tuple[Term, ...]:
        """The whole order: what was asked, then what tells equal rows apart."""
        asked = {term.path: term for term in reversed([Term.of(name) for name in self.order_by])}
        terms = dict.fromkeys(Term.of(name).path for name in self.order_by)
        return (*(asked[path] for path in terms), *(Term(path) for path in self._key() if path not in asked))

    def _key(self) -> Sequence[Path]:
        return [(name,) for name in self.named().key]

    @model_validator(mode="after")
    def _one_row_to_order_by(self) -> Self:
        for name in self.order_by:
            self._check_order(Term.of(name).path)
        return self

    def _check_order(self, path: Path) -> None:
        if self.named().many(path[:-1]):
            message = f"order_by: a row has many {'.'.join(path[:-1])}; choose fields to get one row for each"
            raise ValueError(message)
