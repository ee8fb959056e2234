"""The lines of a file as text, with their numbers, however damaged the file is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import BadRow

_LONGEST = 16 * 1024 * 1024


class Lines:
    """The lines of a UTF-8 file, with or without a BOM: `number` of them, up to the byte `end`, are read.

    Bytes that are not UTF-8 become surrogates, so that `flaw` can tell of them row by row.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self.number = self.end = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(_LONGEST + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        self.end += len(raw)
        if len(raw) > _LONGEST:
            raise BadRow(self.path, self.number, f"the line is longer than {_LONGEST} bytes")
        text = raw.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff") if self.number == 1 else text


def flaw(text: str) -> str:
    """Say what keeps `text` from being text, or nothing."""
    if "\0" in text:
        return "it has a NUL byte; is this a text file in UTF-8?"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8; save the file as UTF-8"
    return ""
