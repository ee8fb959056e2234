"""The rows of a CSV or JSON Lines file, one by one, each with its line and, where it has one, its flaw."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..commands import Command
from ..fields import Fields, broken
from .lines import Lines, flaw
from .table import read_table

Format = Literal["csv", "jsonl"]

_SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Row(NamedTuple):
    """One row: the line it begins on, the bytes of the file up to its end, and its values or its flaw."""

    line: int
    end: int
    values: dict[str, Any]
    key: str | None = None
    flaw: str = ""

    def command(self, fields: Fields) -> Command[Any]:
        """Make its command; raise ValueError with what is wrong."""
        if self.flaw:
            raise ValueError(self.flaw)
        return fields.command(self.values)


def format_of(path: Path) -> Format:
    """Tell the format from the suffix; raise ValueError where it does not say."""
    form = _SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"{path}: the suffix does not say whether it is csv or jsonl; name the format")
    return form


def read_rows(
    path: Path, fields: Fields, *, key: str | None, form: Format, longest_cell: int
) -> Generator[Row, None, None]:
    """Read the rows of a file for a command with these `fields`; raise BadRow where none can be read.

    An empty cell is a field that is not set. The column `key`, where it is no field, is only the key.
    """
    with path.open("rb") as file:
        lines = Lines(path, file)
        if form == "csv":
            for cells in read_table(lines, fields, key=key, longest_cell=longest_cell):
                row = Row(cells.line, lines.end, {}, flaw=cells.flaw)
                yield row if row.flaw else _from_cells(row, cells.by_column, fields, key)
        else:
            for text in lines:
                row = Row(lines.number, lines.end, {}, flaw=flaw(text))
                if text.strip():
                    yield row if row.flaw else _from_json(row, text, fields, key)


def _from_cells(row: Row, cells: Mapping[str, str], fields: Fields, key: str | None) -> Row:
    try:
        values = {name: fields[name].parse(text) for name, text in cells.items() if name in fields}
    except ValueError as error:
        return row._replace(flaw=str(error))
    return _keyed(row._replace(values=values), cells, key)


def _from_json(row: Row, text: str, fields: Fields, key: str | None) -> Row:
    try:
        values = json.loads(text.strip())
    except (ValueError, RecursionError) as error:
        return row._replace(flaw=broken(error).replace("at line 1 ", "at "))
    if not isinstance(values, dict):
        return row._replace(flaw='it is not a JSON object, like {"field": "value"}')
    kept = {name: value for name, value in values.items() if name in fields or name != key}
    return _keyed(row._replace(values=kept), values, key)


def _keyed(row: Row, values: Mapping[str, Any], key: str | None) -> Row:
    if key is None:
        return row
    value = values.get(key)
    if value is None or value == "":
        return row._replace(flaw=f"nothing in {key!r}, the key")
    return row._replace(key=value if isinstance(value, str) else json.dumps(value, sort_keys=True))
