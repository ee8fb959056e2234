"""`F`, by which conditions are written with Python's operators: `(F.age >= 18) & F.username.contains("a")`.

`F` stands for a row; its attributes are the row's fields, and through relations those of other rows:
`F.posts.title` is the title of any of its posts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .conditions import Compare, Condition, Has, Operator
from .schema import Path


class Attribute:
    """A field of a row, or of a row that a relation leads to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Attribute:
        if name.startswith("_"):
            raise AttributeError(name)
        return Attribute((*self._path, name))

    def __getitem__(self, name: str) -> Attribute:
        """Name a field that is called as a method is here: `F["like"]`."""
        return Attribute((*self._path, name))

    __hash__ = None  # type: ignore[assignment]  # == makes a condition
    __iter__ = None  # by __getitem__ alone it would have no end
    __contains__ = None

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compared("==", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compared("!=", value)

    def __lt__(self, value: Any) -> Condition:
        return self._compared("<", value)

    def __le__(self, value: Any) -> Condition:
        return self._compared("<=", value)

    def __gt__(self, value: Any) -> Condition:
        return self._compared(">", value)

    def __ge__(self, value: Any) -> Condition:
        return self._compared(">=", value)

    def __bool__(self) -> bool:
        message = "compare the field: F.is_active == True"
        raise TypeError(message)

    def like(self, pattern: str) -> Condition:
        r"""Match a pattern, in which % stands for any text, _ for one character, and \ escapes."""
        return self._compared("like", pattern)

    def contains(self, text: str) -> Condition:
        """Contain a text as it is."""
        return self._compared("contains", text)

    def startswith(self, text: str) -> Condition:
        """Start with a text as it is."""
        return self._compared("startswith", text)

    def endswith(self, text: str) -> Condition:
        """End with a text as it is."""
        return self._compared("endswith", text)

    def in_(self, values: Iterable[Any]) -> Condition:
        """Be one of the values."""
        return Compare(self._path, "in", _listed(values))

    def not_in(self, values: Iterable[Any]) -> Condition:
        """Be none of the values."""
        return Compare(self._path, "not in", _listed(values))

    def is_(self, value: None) -> Condition:
        """Be null."""
        return Compare(self._path, "==", value)

    def is_not(self, value: None) -> Condition:
        """Be anything but null."""
        return Compare(self._path, "!=", value)

    def between(self, low: Any, high: Any) -> Condition:
        """Be no less than `low` and no more than `high`."""
        from_low: Condition = self >= low
        to_high: Condition = self <= high
        return from_low & to_high

    def any(self, where: Condition | None = None) -> Condition:
        """Have at least one row behind this relation, of which the whole condition holds."""
        return Has(self._path, where)

    def _compared(self, operator: Operator, value: object) -> Condition:
        if isinstance(value, Attribute):
            message = "compare a field with a value, not with another field"
            raise TypeError(message)
        return Compare(self._path, operator, value)


class Row:
    """A row of whatever the query is about."""

    def __getattr__(self, name: str) -> Attribute:
        if name.startswith("_"):
            raise AttributeError(name)
        return Attribute((name,))

    def __getitem__(self, name: str) -> Attribute:
        return Attribute(tuple(name.split(".")))

    __iter__ = None
    __contains__ = None


def _listed(values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, str | bytes):
        message = "in takes a list of values; to look for a part of a text, use contains"
        raise TypeError(message)
    return tuple(values)


F = Row()
"""The row that a condition is about: `F.username == "ada"`."""
