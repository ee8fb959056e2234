"""What every command is: frozen data, a kind, a version, and the type of its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID, uuid5

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    WrapSerializer,
    field_validator,
)
from pydantic_core import CoreSchema

if TYPE_CHECKING:
    from .registry import Registry

R_co = TypeVar("R_co", covariant=True)  # so that a list of different commands is a list of commands
P = TypeVar("P", bound="Payload")
Item = TypeVar("Item")

Lift = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the payload of one version into that of the next."""

_FINGERPRINT = "fingerprint"
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Ref:
    """Marks a field that holds the key of a row of another entity: `Annotated[UUID, Ref("user")]`."""

    def __init__(self, entity: str) -> None:
        self.entity = entity


class Key:
    """Marks a field that is the key of the row it is about, or a part of it: `Annotated[str, Key()]`.

    Commands of one entity and key are carried out one after the other, in the order of their acceptance.
    """


class Generated:
    """Marks an id that the producer makes when none is given."""


class Personal:
    """Marks a field that tells of a person: `Annotated[str, Personal()]`.

    Logs, errors, listings and reprs say "hidden" in its place; see personal.py. What names a lane is shown: a
    class where such a field is a `Key`, the first of `unique`, or a `Ref`, cannot be defined (TypeError).
    """


class Secret(Personal):
    """Marks a field that is personal, and shown to nobody; the fingerprint leaves it out."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return WrapSerializer(_unless_fingerprint).__get_pydantic_core_schema__(source, handler)


def _unless_fingerprint(value: Any, serialize: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    return None if info.context == _FINGERPRINT else serialize(value)


@cache
def marked(payload: type[Payload], kind: type[Key | Generated]) -> tuple[str, ...]:
    """List the fields of a payload that bear such a mark."""
    return tuple(
        name
        for name, field in payload.model_fields.items()
        if any(isinstance(mark, kind) for mark in field.metadata)
    )


NewId = Annotated[UUID, Field(description="chosen by the producer"), Key(), Generated()]
"""The id of a new row: a UUIDv7, or derived from the command id where one is given.

The field itself says `= Field(default_factory=uuid7)`: type checkers do not look for it in Annotated.
"""

Items = Annotated[Sequence[Item], AfterValidator(tuple)]
"""A list or tuple, kept as a tuple."""


def storable(text: str) -> str:
    """Return text that a database can hold; raise ValueError for any other."""
    if "\0" in text:
        message = "must not contain the NUL character: no database text can hold it"
        raise ValueError(message)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "must not contain half a surrogate pair: no database text can hold it"
        raise ValueError(message) from None
    return text


class Payload(BaseModel):
    """Frozen data that refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    entity: ClassVar[str] = ""
    """What its key is the key of: by default what the command's kind begins with."""

    @field_validator("*", mode="after")
    @classmethod
    def _storable_text(cls, value: Any) -> Any:
        return storable(value) if isinstance(value, str) else value

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if cls.model_fields:
            from .personal import refuse_hidden_keys  # noqa: PLC0415  # it needs this module

            refuse_hidden_keys(cls)

    def __repr_args__(self) -> Any:
        from .personal import hidden_fields  # noqa: PLC0415  # it needs this module

        return hidden_fields(self, super().__repr_args__())

    def identified(self, seed: UUID | None) -> Self:
        """Return a copy whose generated ids are set: derived from `seed`, or as they are where it is None."""
        update: dict[str, Any] = {}
        given = self.model_fields_set
        for name in marked(type(self), Generated):
            if name not in given:
                update[name] = getattr(self, name) if seed is None else uuid5(seed, name)
        for name in given:
            value = getattr(self, name)
            if isinstance(value, Payload):
                update[name] = value.identified(seed and uuid5(seed, name))
            elif isinstance(value, tuple) and value and isinstance(value[0], Payload):
                within = seed and uuid5(seed, name)
                update[name] = tuple(
                    item if item.has_its_ids else item.identified(within and uuid5(within, str(index)))
                    for index, item in enumerate(value)
                )
        return self.model_copy(update=update) if update else self

    @property
    def has_its_ids(self) -> bool:
        """Whether its own ids are set, and nothing in it could want one: the quick way through many rows."""
        return self.model_fields_set.issuperset(marked(type(self), Generated)) and not any(
            isinstance(value, Payload | tuple) for value in self.__dict__.values()
        )

    def lane_key(self) -> tuple[Any, ...] | None:
        """Return the key of the row that it names, by the fields marked `Key`; None if it names none."""
        key = tuple(getattr(self, name) for name in marked(type(self), Key))
        return key if key and None not in key else None

    def to_wire(self) -> dict[str, Any]:
        """Return the fields that were set, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


class View(BaseModel):
    """A row as the world may see it; `model_dump()` gives it as a dict.

    Its fields are the columns and relations that a query may name. Where it shows only a part of a row,
    `part_of` is the view of the whole, and queries may name what that one shows.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    primary_key: ClassVar[tuple[str, ...]] = ("id",)
    part_of: ClassVar[type[View] | None] = None


class Command(Payload, Generic[R_co]):
    """One request to change or read data; `R_co` is the type of its result.

    A subclass names its `kind` (stable on the wire: "entity.verb") and, once its fields have changed,
    a `version` with the `lifts` that turn the payload of an older version into the next one.
    """

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1
    lifts: ClassVar[Mapping[int, Lift]] = {}
    read_only: ClassVar[bool] = False
    parks: ClassVar[bool] = True
    """Whether what stands behind it waits, once it is dead, until it is replayed or dropped."""
    imported_by: ClassVar[type[Command[Any]] | None] = None
    """The command that takes many rows of this one as its `rows`, with an `Imported` as its result.

    It is what `load` sends. Its rows have the fields of this command, or some of them; and where this one
    has a `by`, so has the other.
    """

    @classmethod
    def revive(cls, payload: dict[str, Any], registry: Registry) -> Self:  # noqa: ARG003  # Atomic needs it
        """Make the command again from the JSON values of `to_wire`."""
        return cls.model_validate(payload)

    @classmethod
    def returns(cls) -> Any:
        """Return the type of its result, as it is written in the class; Any where it is not."""
        for base in cls.__mro__:
            arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args")
            if arguments:
                return arguments[0]
        return Any

    @classmethod
    def result_type(cls) -> TypeAdapter[Any]:
        """Return the adapter that checks and parses this command's result."""
        adapter = cls.__dict__.get("_result_adapter")
        if adapter is None:
            adapter = TypeAdapter(cls.returns())
            type.__setattr__(cls, "_result_adapter", adapter)
        return adapter

    def dump_result(self, value: Any) -> Any:
        """Turn a handler's result into JSON values; one of another type raises PydanticSerializationError."""
        return self.result_type().dump_python(value, mode="json", warnings="error")

    def parse_result(self, value: Any) -> R_co:
        """Parse the JSON value that the worker sent back."""
        result: R_co = self.result_type().validate_python(value)
        return result

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the canonical JSON of kind, version and set fields, without secrets."""
        payload = self.model_dump(mode="json", exclude_unset=True, context=_FINGERPRINT)
        return _digest(self.kind, self.version, payload)

    def content_digest(self, wire: Mapping[str, Any] | None = None) -> str:
        """SHA-256 of kind and all set fields, whatever the version: the same content in years to come.

        `wire` is what `to_wire` gives, where it is at hand.
        """
        return _digest(self.kind, self.to_wire() if wire is None else wire)


def _digest(*about: Any) -> str:
    return hashlib.sha256(_CANONICAL.encode(about).encode()).hexdigest()


class Query(Command[R_co]):
    """A command that only reads: it runs in a read-only transaction and leaves no record."""

    read_only: ClassVar[bool] = True
