"""What a producer sent, and what it was told, on paper: by it one finds out whether anything was lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

SENT, REFUSED, ACCEPTED = "sent", "refused", "accepted"
"""What a line says of an id: about to be sent; told that it was not taken; told that it was."""
_AT, _EVERY = "at", 60
"""The word of a line that says when those after it were written, and how many seconds may be between."""


class Line(NamedTuple):
    """One line of a ledger: what is said of an id, and when, in seconds since 1970."""

    word: str
    command_id: UUID
    at: float


class Ledger:
    """A file that grows: a line for each id before it is sent, and one for its answer.

    A process that is killed loses nothing that it wrote; several may write to one file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":  # a line that was cut off
            os.write(self._file, b"\n")
        self._told_at = 0.0

    def write(self, word: str, command_ids: Iterable[UUID]) -> None:
        """Write one line for each."""
        lines = "".join(f"{word} {command_id}\n" for command_id in command_ids).encode()
        if (now := time.time()) - self._told_at > _EVERY:
            self._told_at, lines = now, f"{_AT} {now:.0f}\n".encode() + lines
        while lines:
            lines = lines[os.write(self._file, lines) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path | str, size: int = 10_000) -> Iterator[Sequence[Line]]:
    """Read a ledger, so many lines at a time; one that was cut off, as by a full disk, is left out."""
    batch: list[Line] = []
    at = math.inf
    with Path(path).open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            word, _, text = line.rstrip("\n").partition(" ")
            with suppress(ValueError):
                if word in {SENT, REFUSED, ACCEPTED}:
                    batch.append(Line(word, UUID(text), at))
                elif word == _AT:
                    at = float(text)
            if len(batch) == size:
                yield batch
                batch = []
    yield batch
