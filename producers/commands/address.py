"""How a verb names its row: by the primary key, or by exactly one unique field."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from .base import Payload


class Addressed(Payload):
    """A command about one row.

    `unique` lists the fields that can name it, the primary key first: exactly one of them is set.
    Where `key_first`, the key may be set beside others, which then are values, and so is every null.
    """

    unique: ClassVar[tuple[str, ...]] = ("id",)
    key_first: ClassVar[bool] = False

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        key, *others = self.unique
        named = self._named()
        if len(named) != 1 and not (self.key_first and key in named):
            message = f"name the row by {key}" + (
                f", or by exactly one of {', '.join(others)}" if others else ""
            )
            raise ValueError(message)
        if getattr(self, self.address) is None:
            message = f"{self.address} names the row, so it cannot be null"
            raise ValueError(message)
        return self

    def _named(self) -> list[str]:
        named = [name for name in self.unique if name in self.model_fields_set]
        return [name for name in named if getattr(self, name) is not None] if self.key_first else named

    @property
    def address(self) -> str:
        """The name of the field that names the row."""
        return self._named()[0]

    def lane_key(self) -> tuple[Any, ...] | None:
        """Return the key, where that is what names the row."""
        address = self.address
        return (getattr(self, address),) if address == self.unique[0] else None


class Changing(Payload):
    """A command that carries new values: only what was set is written, null included."""

    required: ClassVar[frozenset[str]] = frozenset()
    """Fields whose column takes no null."""

    @model_validator(mode="after")
    def _no_null_where_required(self) -> Self:
        for name in self.required & self.model_fields_set:
            if getattr(self, name) is None:
                message = f"{name} cannot be null; leave it out to keep it as it is"
                raise ValueError(message)
        return self

    def values(self, *, without: tuple[str, ...]) -> dict[str, Any]:
        """Return the values that were set, by field."""
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name in self.model_fields_set and name not in without
        }


class Updating(Addressed, Changing):
    """An update: the row may be missing (the result is then None) unless `must_exist` is set.

    `by` says which field names the row where another unique one is to be changed.
    """

    key_first: ClassVar[bool] = True

    by: str = Field(default="", description="the field that names the row; needed when two could")
    must_exist: bool = Field(default=False, description="reject the update of a missing row")

    @property
    def changes(self) -> dict[str, Any]:
        """The values to write, by field."""
        return self.values(without=(self.address, "must_exist", "by"))

    @field_validator("by")
    @classmethod
    def _known(cls, by: str) -> str:
        if by and by not in cls.unique:
            message = f"must be one of {', '.join(cls.unique)}"
            raise ValueError(message)
        return by

    def _named(self) -> list[str]:
        return [self.by] if self.by else super()._named()

    @model_validator(mode="after")
    def _something_to_change(self) -> Self:
        if not self.changes:
            message = "nothing to change: set at least one field besides the one that names the row"
            raise ValueError(message)
        return self


class UpdatingVersion(Updating):
    """An update of a row that counts its versions: of that one only that is expected, if one is."""

    expected_version: int | None = Field(
        default=None, ge=1, description="change this version of the row, and no other"
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The values to write, by field."""
        return {name: value for name, value in super().changes.items() if name != "expected_version"}


class Upserting(Changing):
    """Create a row, or change what is set of the one that `by` finds: the key, or one unique field."""

    unique: ClassVar[tuple[str, ...]] = ("id",)

    by: str = Field(default="", description="the field that finds the row; needed when two could")

    @model_validator(mode="before")
    @classmethod
    def _choose(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("by"):
            return data
        named = [name for name in cls.unique if data.get(name) is not None]
        if named[:1] != [cls.unique[0]] and len(named) != 1:
            message = f"say which field finds the row: set by to one of {', '.join(cls.unique)}"
            raise ValueError(message)
        return {**data, "by": named[0]}

    @model_validator(mode="after")
    def _found_by_a_value(self) -> Self:
        if self.by not in self.unique or getattr(self, self.by) is None:
            message = f"by must be one of {', '.join(self.unique)}, and that field must be set"
            raise ValueError(message)
        return self

    def lane_key(self) -> tuple[Any, ...] | None:
        """Return the key, where that is what finds the row."""
        return (getattr(self, self.by),) if self.by == self.unique[0] else None

    @property
    def changes(self) -> dict[str, Any]:
        """The values to write to a row that is there."""
        return self.values(without=(self.unique[0], self.by, "by"))
