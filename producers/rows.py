"""The rows of a CSV or JSON Lines file, one by one, each with its line and, where it has one, its flaw."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from .commands import Command
from .errors import BadRow
from .fields import Fields, broken

Format = Literal["csv", "jsonl"]

_LONGEST_LINE = 16 * 1024 * 1024
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
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ValueError(f"{path}: name the format, csv or jsonl; the suffix {path.suffix!r} does not") from None


def read_rows(path: Path, fields: Fields, *, key: str | None, form: Format, longest_cell: int) -> Iterator[Row]:
    """Read the rows of a file for a command with these `fields`; raise BadRow where no row can be read any more.

    An empty cell is a field that is not set. The column `key`, where it is no field, is only the key.
    """
    with path.open("rb") as file:
        lines = _Lines(path, file)
        yield from _csv_rows(lines, fields, key, longest_cell) if form == "csv" else _json_rows(lines, fields, key)


class _Lines:
    """The lines of a file as text. Bytes that are not UTF-8 become surrogates, for their row to be named."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self.number = self.end = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(_LONGEST_LINE + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        self.end += len(raw)
        if len(raw) > _LONGEST_LINE:
            raise BadRow(self.path, self.number, f"the line is longer than {_LONGEST_LINE} bytes")
        text = raw.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff") if self.number == 1 else text


def _csv_rows(lines: _Lines, fields: Fields, key: str | None, longest_cell: int) -> Iterator[Row]:
    # The limit belongs to the whole process, so it is only ever raised.
    csv.field_size_limit(max(longest_cell, csv.field_size_limit()))
    reader = csv.reader(lines, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            if not cells:  # a line without anything
                pass
            elif not header:
                header = _header(lines.path, line, cells, fields, key)
            else:
                yield _csv_row(header, cells, fields, key, line, lines.end)
            line = reader.line_num + 1
    except csv.Error as error:
        reason = f"{error}; is a quote missing? What follows cannot be told apart into rows"
        raise BadRow(lines.path, line, reason) from None
    if not header:
        raise BadRow(lines.path, 1, "the file is empty: its first line must name the fields")


def _header(path: Path, line: int, cells: Sequence[str], fields: Fields, key: str | None) -> list[str]:
    flaw = _flaw("".join(cells))
    if flaw:
        raise BadRow(path, line, flaw)
    header = [cell.strip() for cell in cells]
    for number, name in enumerate(header, 1):
        if not name:
            raise BadRow(path, line, f"column {number} has no name")
        if name in header[: number - 1]:
            raise BadRow(path, line, f"the column {name!r} is there twice")
        if name != key:
            try:
                fields.check(name)
            except ValueError as error:
                raise BadRow(path, line, str(error)) from None
    if key is not None and key not in header:
        raise BadRow(path, line, f"there is no column {key!r}, the key; there are: {', '.join(header)}")
    return header


def _csv_row(
    header: Sequence[str], cells: Sequence[str], fields: Fields, key: str | None, line: int, end: int
) -> Row:
    flaw = _flaw("".join(cells))
    if not flaw and len(cells) != len(header):
        flaw = f"{len(cells)} cells, where the header has {len(header)}"
    if flaw:
        return Row(line, end, {}, flaw=flaw)
    texts = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    try:
        values = {name: fields[name].parse(text) for name, text in texts.items() if name in fields}
    except ValueError as error:
        return Row(line, end, {}, flaw=str(error))
    return _keyed(Row(line, end, values), texts, key)


def _json_rows(lines: _Lines, fields: Fields, key: str | None) -> Iterator[Row]:
    for text in lines:
        if text.strip():
            yield _json_row(text, fields, key, lines.number, lines.end)


def _json_row(text: str, fields: Fields, key: str | None, line: int, end: int) -> Row:
    flaw = _flaw(text)
    if flaw:
        return Row(line, end, {}, flaw=flaw)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Row(line, end, {}, flaw=broken(error).replace("at line 1 ", "at "))
    if not isinstance(values, dict):
        return Row(line, end, {}, flaw="not a JSON object, like {\"field\": \"value\"}")
    kept = {name: value for name, value in values.items() if name in fields or name != key}
    return _keyed(Row(line, end, kept), values, key)


def _keyed(row: Row, values: dict[str, Any], key: str | None) -> Row:
    if key is None:
        return row
    value = values.get(key)
    if value is None or value == "":
        return row._replace(flaw=f"nothing in {key!r}, the key")
    return row._replace(key=value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _flaw(text: str) -> str:
    if "\0" in text:
        return "it has a NUL byte: not a text file, or not UTF-8"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8; save the file as UTF-8"
    return ""
