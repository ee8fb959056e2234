"""Lists: pages of whole views or of chosen fields, in an order, with cursors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, TypeAdapter, field_validator, model_validator

from . import cursor
from .base import Personal, Query
from .query import Names, Ordering, Page
from .schema import Path

MAX_LIMIT = 1000
MAX_FIELDS = 100

Join = Literal["inner", "left", "full"]


class Listing(Ordering):
    """A read of a page of rows: whole views, or the chosen `fields` as dicts.

    Fields may cross relations, of which one may lead to many rows: there is one row for each pair then, and
    conditions and order that cross the same relation speak of the row in the pair. `join` says what becomes
    of rows without a partner: "inner" leaves them out, "left" keeps this side's, "full" keeps both sides'.
    """

    fields: Names = Field(
        default=(), max_length=MAX_FIELDS, description="fields to read instead of whole views"
    )
    distinct: bool = Field(default=False, description="each combination of the chosen fields once")
    join: Join = Field(default="inner", description="what becomes of rows without a partner")
    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="rows of a page")
    offset: int = Field(default=0, ge=0, lt=2**63, description="rows to skip")
    cursor: Annotated[str | None, Personal()] = Field(
        default=None, description="next_cursor of the page before"
    )

    @classmethod
    def pick(cls, *fields: str, **options: Any) -> Query[Page[dict[str, Any]]]:
        """List chosen fields: the same as `fields=...`, but the type checker knows that rows are dicts."""
        return cast("Query[Page[dict[str, Any]]]", cls(fields=fields, **options))

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, fields: Sequence[str]) -> Sequence[str]:
        for name in fields:
            cls.named().column(tuple(name.split(".")))
        return tuple(dict.fromkeys(fields))

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.fields:
            for name in ("distinct", "join"):
                if (
                    name in self.model_fields_set
                    and getattr(self, name) != type(self).model_fields[name].default
                ):
                    raise ValueError(f"{name} is about chosen fields; choose some: fields=[...]")
        if self.fields and self.include:
            message = (
                "include brings relations to whole views; with fields, choose theirs, such as posts.title"
            )
            raise ValueError(message)
        many = self._many()
        if any(shorter != longer[: len(shorter)] for shorter, longer in pairwise(many)):
            message = "fields: only one relation may lead to many rows"
            raise ValueError(message)
        if self.cursor is not None:
            if self.offset:
                message = "give offset or cursor, not both"
                raise ValueError(message)
            self.after()
        return self

    @property
    def paths(self) -> tuple[Path, ...]:
        """The chosen fields."""
        return tuple(tuple(name.split(".")) for name in self.fields)

    @property
    def joined(self) -> tuple[Path, ...]:
        """The relations that the chosen fields cross, the shorter paths first."""
        crossed = {path[:end] for path in self.paths for end in range(1, len(path))}
        return tuple(sorted(crossed, key=lambda path: (len(path), path)))

    def after(self) -> tuple[Any, ...] | None:
        """Return the values, in the order's terms, of the row that this page begins behind."""
        if self.cursor is None:
            return None
        schema = self.named()
        columns = [schema.column(term.path) for term in self.order]
        return cursor.decode(self.cursor, [str(term) for term in self.order], columns)

    def cursor_behind(self, values: Sequence[Any]) -> str:
        """Make the cursor behind a row with these values of the order's terms."""
        return cursor.encode([str(term) for term in self.order], values)

    def _many(self) -> list[Path]:
        """Find the joined relations that lead from one row to many."""
        return [path for path in self.joined if self.named().across(path[:-1]).relations[path[-1]].many]

    def _key(self) -> Sequence[Path]:
        if self.distinct:
            return self.paths
        behind = self.joined if self.join == "full" else self._many()
        return [
            *super()._key(),
            *((*path, name) for path in behind for name in self.named().across(path).key),
        ]

    def _check_order(self, path: Path) -> None:
        if self.distinct and path not in self.paths:
            message = f"order_by: distinct rows can be ordered by chosen fields only, not by {'.'.join(path)}"
            raise ValueError(message)
        if path[:-1] not in self.joined:
            super()._check_order(path)

    @classmethod
    def result_type(cls) -> TypeAdapter[Any]:
        """Return the adapter of either result: a page of views, or of dicts."""
        return _page_of(cls.view | dict[str, Any])

    def dump_result(self, value: Any) -> Any:
        """Turn the page into JSON values."""
        return self._page_type().dump_python(value, mode="json", warnings="error")

    def parse_result(self, value: Any) -> Any:
        """Parse the page; chosen fields get the types of their columns."""
        page = self._page_type().validate_python(value)
        if not self.fields:
            return page
        columns = {
            name: self.named().column(path) for name, path in zip(self.fields, self.paths, strict=True)
        }
        items = tuple(
            {name: None if told is None else columns[name].parse(told) for name, told in item.items()}
            for item in page.items
        )
        return page.model_copy(update={"items": items})

    def _page_type(self) -> TypeAdapter[Any]:
        return _page_of(dict[str, Any] if self.fields else self.view)


@cache
def _page_of(item: Any) -> TypeAdapter[Any]:
    return TypeAdapter(Page[item])
