"""What reads have in common: order, page, and the relations to bring along."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from .base import Items, Payload

T = TypeVar("T")

MAX_LIMIT = 1000


class Page(BaseModel, Generic[T]):
    """One page of a list: its rows, where it began, and whether more follow."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    limit: int
    offset: int
    has_more: bool


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which of the `known` names was probably meant, and which there are."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{name!r} is unknown; {hint}there are: {', '.join(known)}"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[Items[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]


class Including(Payload):
    """A read that can bring relations along."""

    relations: ClassVar[tuple[str, ...]] = ()

    include: Names = Field(default=(), description="relations to bring along")

    @field_validator("include")
    @classmethod
    def _known_relations(cls, include: Sequence[str]) -> Sequence[str]:
        for name in include:
            if name not in cls.relations:
                raise ValueError(nearest(name, cls.relations))
        return include


class Listing(Including):
    """A read of many rows; rows that compare equal come in the order of their key."""

    columns: ClassVar[tuple[str, ...]] = ()

    order_by: Names = Field(default=(), description='fields to order by; "-created_at" is newest first')
    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="rows of a page")
    offset: int = Field(default=0, ge=0, description="rows to skip")

    @field_validator("order_by")
    @classmethod
    def _known_columns(cls, order_by: Sequence[str]) -> Sequence[str]:
        for name in order_by:
            if name.removeprefix("-") not in cls.columns:
                raise ValueError(nearest(name.removeprefix("-"), cls.columns))
        return order_by
