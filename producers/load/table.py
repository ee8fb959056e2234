"""A CSV file as rows of cells."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import BadRow
from .columns import Columns
from .lines import Lines, flaw


class Cells(NamedTuple):
    """One row: the line it begins on, and its cells in the order of the header, or its flaw."""

    line: int
    cells: list[str]
    flaw: str = ""


def read_table(lines: Lines, columns: Columns, *, longest_cell: int) -> Iterator[Cells]:
    """Read the rows of a table; raise BadRow where the header is wrong or rows cannot be told apart."""
    # The limit belongs to the whole process, so it is only ever raised.
    csv.field_size_limit(max(longest_cell, csv.field_size_limit()))
    reader = csv.reader(lines, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells and not columns.header:
                header = [cell.strip() for cell in cells]
                if wrong := columns.wrong(header):
                    raise BadRow(lines.path, line, wrong)
                columns.header = header
            elif cells:  # a line without anything is no row
                yield Cells(line, cells, _flaw(cells, len(columns.header)))
            line = reader.line_num + 1
    except csv.Error as error:
        reason = f"{error}; is a quote missing? What follows cannot be told apart into rows"
        raise BadRow(lines.path, line, reason) from None
    if not columns.header:
        raise BadRow(lines.path, 1, "the file is empty: its first line must name the fields")


def _flaw(cells: list[str], wanted: int) -> str:
    text = "".join(cells)
    wrong = "" if text.isascii() and "\0" not in text else flaw(text)
    if not wrong and len(cells) != wanted:
        wrong = f"{len(cells)} cells, where the header has {wanted}"
    return wrong
