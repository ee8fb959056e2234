"""The columns of a file: which field of the command each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..fields import Fields
from .lines import flaw

REASON = "_error"
"""The column of a file of rejected rows that says why; it is no field, so such a file can be loaded."""


class Columns:
    """Gives columns their fields: by their own name, or by another one that they are `mapped` to.

    A column mapped to "" is left out. The column `key`, where it is no field, is only the key.
    """

    def __init__(
        self, fields: Fields, mapped: Mapping[str, str] | None = None, key: str | None = None
    ) -> None:
        self.fields, self.key = fields, key
        self.header: Sequence[str] = ()
        self._mapped = dict(mapped or {})
        for field in filter(None, self._mapped.values()):
            fields.check(field)

    def field(self, column: str) -> str | None:
        """Name the field of a column; None where it is left out."""
        if column in self._mapped:
            return self._mapped[column] or None
        if column not in self.fields and column in {self.key, REASON}:
            return None
        return column

    def wrong(self, header: Sequence[str]) -> str:
        """Say what is wrong with the header of a table, or nothing."""
        wrong = flaw("".join(header)) or self._wrong_column(header)
        if wrong:
            return wrong
        for name in (*self._mapped, *filter(None, [self.key])):
            if name not in header:
                role = "the key" if name == self.key else "which is mapped"
                return f"there is no column {name!r}, {role}; there are: {', '.join(header)}"
        return ""

    def _wrong_column(self, header: Sequence[str]) -> str:
        of_field: dict[str, str] = {}
        for number, name in enumerate(header, 1):
            if not name:
                return f"column {number} has no name"
            if name in header[: number - 1]:
                return f"the column {name!r} is there twice"
            field = self.field(name)
            if field is not None and field not in self.fields:
                return self.fields.unknown(field)
            if field is not None and of_field.setdefault(field, name) != name:
                return f"the columns {of_field[field]!r} and {name!r} are both the field {field!r}"
        return ""
