"""Writes to all rows for which a condition holds."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from .address import Changing
from .conditions import Condition
from .query import Filtering

MOST_ROWS = 10_000


class WritingWhere(Filtering):
    """A write to the rows for which a condition holds: to all of them, or where they are too many to none."""

    where: Condition = Field(description="such as: age >= 18 and email is not None")
    limit: int = Field(
        default=1000, ge=1, le=MOST_ROWS, description="most rows; where there are more, it is rejected"
    )
    dry_run: bool = Field(default=False, description="count the rows, and write nothing")


class UpdatingWhere(WritingWhere, Changing):
    """An update of rows: what is set is written to each of them."""

    @property
    def changes(self) -> dict[str, Any]:
        """The values to write, by field."""
        return self.values(without=tuple(WritingWhere.model_fields))

    @model_validator(mode="after")
    def _something_to_change(self) -> Self:
        if not self.changes:
            message = "nothing to change: set at least one field"
            raise ValueError(message)
        return self
