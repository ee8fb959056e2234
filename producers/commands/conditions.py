"""Conditions on rows, and their JSON. Python code writes them by the operators of `F`, see attributes.py.

In JSON a condition is an object:

    {"age": {">=": 18}, "username": {"contains": "a"}}          all of them hold
    {"or": [{"email": null}, {"posts.title": "First"}]}         a bare value is compared by ==
    {"not": {"posts": {"any": {"title": "First", "content": ""}}}}

NULL is as in SQL: a comparison with it neither holds nor fails, so neither it nor its `not` finds the row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema, to_jsonable_python

from .schema import Path, Schema, nearest

MAX_DEPTH = 32
"""How deep conditions may be nested."""
MAX_PARTS = 500
"""How many comparisons a condition may hold; SQLite takes an expression of a thousand, one in another."""
MAX_VALUES = 1000
"""How many values an `in` may have; all of a condition ten times as many, as drivers bound them."""

Operator = Literal[
    "==", "!=", "<", "<=", ">", ">=", "like", "contains", "startswith", "endswith", "in", "not in"
]

_OPERATORS = get_args(Operator)
_OF_TEXT = {"like", "contains", "startswith", "endswith"}
_OF_MANY = {"in", "not in"}
_WORDS = ("and", "or", "not")


class Condition(ABC):
    """A condition on a row; combine it by `&`, `|` and `~`, and put comparisons in parentheses."""

    def __and__(self, other: Condition) -> Condition:
        return _joined("and", self, other)

    def __or__(self, other: Condition) -> Condition:
        return _joined("or", self, other)

    def __invert__(self) -> Condition:
        return Not(self)

    def __bool__(self) -> bool:
        message = (
            "a condition is neither true nor false here: use &, | and ~ for and, or and not, and no chains"
        )
        raise TypeError(message)

    @abstractmethod
    def bound(self, schema: Schema) -> Condition:
        """Return it with values of the columns' types; raise ValueError where it does not fit the schema."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Write it as JSON values."""

    def parts(self) -> Iterator[tuple[int, Condition]]:
        """Each condition in it, itself first, with its depth."""
        yield 1, self

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda condition: condition.to_json()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "object"}, {"type": "string"}]}


@dataclass(frozen=True)
class Compare(Condition):
    """A column compared with a value, or with the values of `in`."""

    path: Path
    operator: Operator
    value: Any

    def bound(self, schema: Schema) -> Compare:  # noqa: D102
        column, named = schema.column(self.path), ".".join(self.path)
        if self.operator in _OF_TEXT and not column.is_text:
            raise ValueError(f"{named} is no text, so it takes no {self.operator}")
        if self.value is None:
            if self.operator not in {"==", "!="}:
                raise ValueError(f"{named} {self.operator} null holds for no row; compare null by == or !=")
            return self
        try:
            if self.operator in _OF_MANY:
                return replace(self, value=tuple(column.parse(value) for value in self._values()))
            value = column.parse(self.value)
        except ValueError as error:
            raise ValueError(f"{named}: {error}") from None
        if self.operator == "like" and (len(value) - len(value.rstrip("\\"))) % 2:
            raise ValueError(f"{named} like: the pattern ends in a \\ that escapes nothing; write \\\\")
        return replace(self, value=value)

    def _values(self) -> Iterable[Any]:
        if not isinstance(self.value, list | tuple | set | frozenset):
            raise ValueError(f"{self.operator} takes a list of values")  # noqa: TRY004  # pydantic's way
        if len(self.value) > MAX_VALUES:
            raise ValueError(f"{self.operator} takes at most {MAX_VALUES} values")
        return self.value

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return {".".join(self.path): {self.operator: to_jsonable_python(self.value)}}


@dataclass(frozen=True)
class Has(Condition):
    """Whether a relation has a row for which a condition holds, or any row at all."""

    path: Path
    where: Condition | None = None

    def bound(self, schema: Schema) -> Has:  # noqa: D102
        behind = schema.across(self.path)
        return self if self.where is None else replace(self, where=self.where.bound(behind))

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return {".".join(self.path): {"any": {} if self.where is None else self.where.to_json()}}

    def parts(self) -> Iterator[tuple[int, Condition]]:  # noqa: D102
        yield 1, self
        yield from _deeper([] if self.where is None else [self.where])


@dataclass(frozen=True)
class Junction(Condition):
    """Conditions of which all hold ("and"), or at least one ("or")."""

    word: Literal["and", "or"]
    conditions: tuple[Condition, ...]

    def bound(self, schema: Schema) -> Junction:  # noqa: D102
        return replace(self, conditions=tuple(condition.bound(schema) for condition in self.conditions))

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return {self.word: [condition.to_json() for condition in self.conditions]}

    def parts(self) -> Iterator[tuple[int, Condition]]:  # noqa: D102
        yield 1, self
        yield from _deeper(self.conditions)


@dataclass(frozen=True)
class Not(Condition):
    """The opposite of a condition."""

    condition: Condition

    def bound(self, schema: Schema) -> Not:  # noqa: D102
        return Not(self.condition.bound(schema))

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return {"not": self.condition.to_json()}

    def parts(self) -> Iterator[tuple[int, Condition]]:  # noqa: D102
        yield 1, self
        yield from _deeper([self.condition])


def read(written: Any) -> Condition:
    """Read a condition from its JSON or from text; raise ValueError that says what is wrong."""
    if isinstance(written, str):
        from .expression import parse  # noqa: PLC0415  # it needs this module

        written = parse(written)
    condition = written if isinstance(written, Condition) else _from_json(written, 1)
    values = 0
    for number, (depth, part) in enumerate(condition.parts(), 1):
        values += len(part.value) if isinstance(part, Compare) and isinstance(part.value, tuple) else 0
        if depth > MAX_DEPTH:
            raise ValueError(f"conditions are nested more than {MAX_DEPTH} deep")
        if number > MAX_PARTS:
            raise ValueError(f"more than {MAX_PARTS} conditions in one")
        if values > 10 * MAX_VALUES:
            raise ValueError(f"more than {10 * MAX_VALUES} values in one condition")
    return condition


def _from_json(written: Any, depth: int) -> Condition:
    if not isinstance(written, Mapping) or not written:
        message = 'a condition is an object like {"age": {">=": 18}}, or text like "age >= 18"'
        raise ValueError(message)
    if depth > MAX_DEPTH:
        raise ValueError(f"conditions are nested more than {MAX_DEPTH} deep")
    conditions = [_entry(str(name), value, depth) for name, value in written.items()]
    return conditions[0] if len(conditions) == 1 else _junction("and", conditions)


def _entry(name: str, value: Any, depth: int) -> Condition:
    if name == "not":
        return Not(_from_json(value, depth + 1))
    if name in _WORDS:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{name} takes a list of conditions")
        return _junction(cast("Any", name), [_from_json(item, depth + 1) for item in value])
    path = tuple(name.split("."))
    if not isinstance(value, Mapping):
        return Compare(path, "==", value)
    if not value:
        raise ValueError(f"{name}: name an operator: {', '.join(_OPERATORS)}")
    conditions = [_operation(path, operator, operand, depth) for operator, operand in value.items()]
    return conditions[0] if len(conditions) == 1 else _junction("and", conditions)


def _operation(path: Path, operator: Any, operand: Any, depth: int) -> Condition:
    if operator == "any":
        return Has(path, None if operand == {} else _from_json(operand, depth + 1))
    if operator not in _OPERATORS:
        raise ValueError(f"operator {nearest(str(operator), [*_OPERATORS, 'any'])}")
    return Compare(path, operator, tuple(operand) if isinstance(operand, list) else operand)


def _joined(word: Literal["and", "or"], *conditions: Any) -> Condition:
    for condition in conditions:
        if not isinstance(condition, Condition):
            message = "& and | join conditions; put each comparison in parentheses: (F.age > 1) & (F.age < 9)"
            raise TypeError(message)
    return _junction(word, conditions)


def _junction(word: Literal["and", "or"], conditions: Iterable[Condition]) -> Junction:
    """Join conditions; a & b & c is one junction of three, not one in another."""
    flat: list[Condition] = []
    for condition in conditions:
        same = isinstance(condition, Junction) and condition.word == word
        flat += cast("Junction", condition).conditions if same else [condition]
    return Junction(word, tuple(flat))


def _deeper(conditions: Iterable[Condition]) -> Iterator[tuple[int, Condition]]:
    for condition in conditions:
        for depth, part in condition.parts():
            yield depth + 1, part
