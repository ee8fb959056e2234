"""A CSV file as cells under the names of fields."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import BadRow
from ..fields import Fields
from .lines import Lines, flaw


class Cells(NamedTuple):
    """One row: the line it begins on, and its cells by column, without the empty ones, or its flaw."""

    line: int
    by_column: dict[str, str]
    flaw: str = ""


def read_table(lines: Lines, fields: Fields, *, key: str | None, longest_cell: int) -> Iterator[Cells]:
    """Read the rows of a table; raise BadRow where the header is wrong or rows cannot be told apart."""
    # The limit belongs to the whole process, so it is only ever raised.
    csv.field_size_limit(max(longest_cell, csv.field_size_limit()))
    reader = csv.reader(lines, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            if cells and not header:
                header = [cell.strip() for cell in cells]
                wrong = _wrong_header(header, fields, key)
                if wrong:
                    raise BadRow(lines.path, line, wrong)
            elif cells:  # a line without anything is no row
                yield _cells(line, header, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        reason = f"{error}; is a quote missing? What follows cannot be told apart into rows"
        raise BadRow(lines.path, line, reason) from None
    if not header:
        raise BadRow(lines.path, 1, "the file is empty: its first line must name the fields")


def _cells(line: int, header: Sequence[str], cells: Sequence[str]) -> Cells:
    wrong = flaw("".join(cells))
    if not wrong and len(cells) != len(header):
        wrong = f"{len(cells)} cells, where the header has {len(header)}"
    if wrong:
        return Cells(line, {}, wrong)
    return Cells(line, {name: cell for name, cell in zip(header, cells, strict=True) if cell})


def _wrong_header(header: Sequence[str], fields: Fields, key: str | None) -> str:
    wrong = flaw("".join(header))
    if wrong:
        return wrong
    for number, name in enumerate(header, 1):
        if not name:
            return f"column {number} has no name"
        if name in header[: number - 1]:
            return f"the column {name!r} is there twice"
        if name != key and name not in fields:
            return fields.unknown(name)
    if key is not None and key not in header:
        return f"there is no column {key!r}, the key; there are: {', '.join(header)}"
    return ""
