"""The rows of a CSV or JSON Lines file, one by one, each with its line and, where it has one, its flaw."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..commands import Command
from ..fields import Field, Fields, broken
from .columns import Columns
from .lines import Lines, flaw
from .table import read_table

Format = Literal["csv", "jsonl"]

_SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Row(NamedTuple):
    """One row: the line it begins on, the bytes of the file up to its end, and its values or its flaw.

    `source` is what the file has: the cells of a table, or the line of JSON.
    """

    line: int
    end: int
    source: list[str] | str
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


def read_rows(path: Path, columns: Columns, *, form: Format, longest_cell: int) -> Generator[Row, None, None]:
    """Read the rows of a file; raise BadRow where none can be read.

    An empty cell is a field that is not set.
    """
    with path.open("rb") as file:
        lines = Lines(path, file)
        if form == "csv":
            table = read_table(lines, columns, longest_cell=longest_cell)
            of_cells: _OfCells | None = None
            for line, cells, wrong in table:
                of_cells = of_cells or _OfCells(columns)
                yield (
                    Row(line, lines.end, cells, {}, flaw=wrong)
                    if wrong
                    else of_cells.row(line, lines.end, cells)
                )
        else:
            for text in lines:
                if text.strip():
                    row = Row(lines.number, lines.end, text, {}, flaw=flaw(text))
                    yield row if row.flaw else _of_json(row, text, columns)


class _OfCells:
    """Makes rows of the cells under one header."""

    def __init__(self, columns: Columns) -> None:
        self._key = columns.key
        self._place = columns.header.index(columns.key) if columns.key is not None else -1
        self._fields: list[tuple[int, str, Field | None]] = []
        for place, column in enumerate(columns.header):
            name = columns.field(column)
            if name is not None:
                field = columns.fields[name]
                self._fields.append((place, name, None if field.is_text else field))

    def row(self, line: int, end: int, cells: list[str]) -> Row:
        """Make one row."""
        values: dict[str, Any] = {}
        key = None
        try:
            for place, name, field in self._fields:
                if text := cells[place]:
                    values[name] = text if field is None else field.parse(text)
            if self._key is not None:
                key = _key_of(cells[self._place], self._key)
        except ValueError as error:
            return Row(line, end, cells, {}, flaw=str(error))
        return Row(line, end, cells, values, key)


def _of_json(row: Row, text: str, columns: Columns) -> Row:
    try:
        given = json.loads(text.strip())
    except (ValueError, RecursionError) as error:
        return row._replace(flaw=broken(error).replace("at line 1 ", "at "))
    if not isinstance(given, dict):
        return row._replace(flaw='it is not a JSON object, like {"field": "value"}')
    values = {}
    for column, value in given.items():
        name = columns.field(column)
        if name in values:
            return row._replace(flaw=f"{column!r} and another name are both the field {name!r}")
        if name is not None:
            values[name] = value
    try:
        key = None if columns.key is None else _key_of(given.get(columns.key), columns.key)
    except ValueError as error:
        return row._replace(flaw=str(error))
    return row._replace(values=values, key=key)


def _key_of(value: Any, name: str) -> str:
    if value is None or value == "":
        raise ValueError(f"nothing in {name!r}, the key")
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
