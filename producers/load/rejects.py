"""The file beside the input that takes the rows that came to nothing, each with its reason."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from .columns import REASON, Columns
from .rows import Format

_MOST_FILES = 1000


class Rejects:
    """Writes rows as they came, in a column more with the reason: mended, the file can be loaded.

    Where a row has too few cells, empty ones are added; where it has too many, they stand behind the reason.
    `path` is None until there is a row. A file that is there is kept: somebody may be mending it.
    """

    def __init__(self, source: Path, form: Format, columns: Columns) -> None:
        self.path: Path | None = None
        self._source, self._form, self._columns = source, form, columns
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: list[str] | str, reason: str) -> None:
        """Write a row; what no text can hold is written as it was read."""
        if self._file is None:
            self._file = self._open()
            if self._form == "csv":
                self._write_cells(self._columns.header, REASON)
        if isinstance(row, str):
            self._file.write(_with_reason(row, reason) + "\n")
        else:
            self._write_cells(row, reason)
        self._file.flush()

    def _open(self) -> TextIO:
        for number in range(1, _MOST_FILES + 1):
            name = f"{self._source.stem}.rejected{'' if number == 1 else f'-{number}'}.{self._form}"
            self.path = self._source.with_name(name)
            try:
                return self.path.open("x", encoding="utf-8", errors="surrogateescape", newline="")
            except FileExistsError:
                continue
        raise FileExistsError(f"{self.path}: there are too many files of rejected rows")

    def _write_cells(self, cells: Sequence[str], last: str) -> None:
        header = self._columns.header
        missing = [""] * (len(header) - len(cells))
        kept = [
            cell
            for name, cell in zip(header, [*cells, *missing], strict=False)
            if name != REASON or REASON in self._columns.fields
        ]
        surplus = cells[len(header) :]
        csv.writer(self._file, lineterminator="\n").writerow([*kept, last, *surplus])  # type: ignore[arg-type]


def _with_reason(line: str, reason: str) -> str:
    """Put the reason into the object of a line; a line that is none has to be mended by hand."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return line.strip()
    if not isinstance(values, dict):
        return line.strip()
    return json.dumps({**values, REASON: reason}, ensure_ascii=False)
