"""The command ids of a file's rows: the same for the same row, wherever in the file it stands."""

from __future__ import annotations

import sqlite3
from typing import Any, Self
from uuid import UUID, uuid5

from ..commands import Command

_NAMESPACE = UUID("0d9c64b5-5c5f-5d0b-8f43-6a8f5b1e7a52")

_COUNT = """
    INSERT INTO seen (content, times) VALUES (?, 1)
    ON CONFLICT (content) DO UPDATE SET times = times + 1 RETURNING times
"""


class RowIds:
    """Derives a row's id from kind, content and its occurrence among equal rows, or from kind and a key.

    Occurrences are counted in a temporary database that moves from memory to disk by itself, so a file may
    be larger than memory.
    """

    def __init__(self) -> None:
        self._seen = sqlite3.connect("")  # SQLite's name for a database of one's own that is deleted on close
        self._seen.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
            "CREATE TABLE seen (content BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._seen.close()

    def of(self, command: Command[Any], key: str | None) -> UUID:
        """Return the id of the next row."""
        if key is not None:
            return uuid5(_NAMESPACE, f"{command.kind}\nkey\n{key}")
        content = command.content_digest()
        [(times,)] = self._seen.execute(_COUNT, (bytes.fromhex(content),)).fetchall()
        return uuid5(_NAMESPACE, f"{command.kind}\ncontent\n{content}\n{times}")
