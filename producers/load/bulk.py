"""Many rows of a file as one command."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple, get_args
from uuid import UUID, uuid4, uuid5

import uuid_utils

from ..client import Producer, Receipt
from ..commands import Command, Imported, Payload
from ..commands.lanes import NOWHERE, Standing, standing

_NAMESPACE = UUID("7c0f5d0e-2f0b-5b6b-9d0f-0b7e6a1f4c3d")


class RowCommand(NamedTuple):
    """A row that became a command: its fields as they travel, their digest, and what the file has of it."""

    line: int
    command: Command[Any]
    wire: dict[str, Any]
    id: uuid_utils.UUID
    content: bytes
    source: list[str] | str


class Bulk:
    """Puts the rows of one kind of command together into the command that imports them, in one load."""

    def __init__(self, command: type[Command[Any]], *, ordered: bool) -> None:
        self.of, self._ordered = command.imported_by, ordered
        self._run = uuid4().hex
        if self.of is None:
            return
        self._row = _row_type(self.of)
        self._fields = frozenset(self._row.model_fields) | ({"by"} & command.model_fields.keys())
        self._has_id = "id" in self._row.model_fields
        self._has_by = "by" in self._fields

    def takes(self, command: Command[Any]) -> bool:
        """Whether a row fits; one that sets what the import knows nothing of goes by itself."""
        return self.of is not None and command.model_fields_set <= self._fields

    def by(self, command: Command[Any]) -> str | None:
        """Return what finds the row; an import has one for all of its rows."""
        return getattr(command, "by", None) if self._has_by else None

    async def send(self, producer: Producer, rows: Sequence[RowCommand]) -> Receipt[Imported]:
        """Send rows with the same `by` as one command.

        Its id is this run's own: what the rows came to in an earlier load says nothing of today. The rows
        were validated as they were read and the worker validates them again, so here they are not gone
        through once more.
        """
        of = self.of
        assert of is not None  # noqa: S101  # whoever sends has asked `takes`
        by = self.by(rows[0].command)
        digest = sha256(f"{self._run}\n{of.kind}\n{by}".encode())
        wanted = []
        for row in rows:
            values = dict(row.wire)
            values.pop("by", None)
            if self._has_id and values.get("id") is None:
                values["id"] = str(uuid_utils.uuid5(row.id, "id"))
            digest.update(row.id.bytes + row.content)
            wanted.append(values)
        payload: dict[str, Any] = {"rows": wanted}
        if by is not None:
            payload["by"] = by
        fingerprint = digest.hexdigest()
        command_id = uuid5(_NAMESPACE, fingerprint)
        stands = self._standing(of, wanted, by) if self._ordered else NOWHERE
        return await producer.send_wired(
            of, payload, command_id=command_id, fingerprint=fingerprint, stands=stands
        )

    def _standing(self, of: type[Command[Any]], rows: Sequence[dict[str, Any]], by: str | None) -> Standing:
        """Say in which lanes these rows stand: their keys are text here, which is what lanes are named by."""
        made = tuple(self._row.model_construct(**values) for values in rows)
        values: dict[str, Any] = {"rows": made, "by": by}
        return standing(of.model_construct(None, **values))


def _row_type(command: type[Command[Any]]) -> type[Payload]:
    """Find NewUser in `Items[NewUser]`."""
    for part in get_args(command.model_fields["rows"].annotation):
        if isinstance(part, type) and issubclass(part, Payload):
            return part
    raise TypeError(f"{command.__qualname__}: its field rows must be a sequence of a Payload")
