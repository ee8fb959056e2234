"""What a producer sent, and what it was told, on paper: by it one finds out whether anything was lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

SENT, REFUSED, ACCEPTED = "sent", "refused", "accepted"
"""What a line says of an id: about to be sent; told that it was not taken; told that it was."""


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

    def write(self, word: str, command_ids: Iterable[UUID]) -> None:
        """Write one line for each."""
        lines = "".join(f"{word} {command_id}\n" for command_id in command_ids).encode()
        while lines:
            lines = lines[os.write(self._file, lines) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path | str, size: int = 10_000) -> Iterator[Sequence[tuple[str, UUID]]]:
    """Read a ledger, so many lines at a time; one that was cut off, as by a full disk, is left out."""
    batch: list[tuple[str, UUID]] = []
    with Path(path).open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            word, _, text = line.rstrip("\n").partition(" ")
            with suppress(ValueError):
                if word in {SENT, REFUSED, ACCEPTED}:
                    batch.append((word, UUID(text)))
            if len(batch) == size:
                yield batch
                batch = []
    yield batch
