"""The command ids of a file's rows: the same for the same row, wherever in the file it stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple, Self

import uuid_utils

from ..commands import Command

_NAMESPACE = uuid_utils.UUID("0d9c64b5-5c5f-5d0b-8f43-6a8f5b1e7a52")

_NAME = 16
"""Bytes of a digest that tell rows apart, of a million million million of them."""

_COUNT = """
    INSERT INTO seen (name, times, content) VALUES (?, 1, ?)
    ON CONFLICT (name) DO UPDATE SET times = times + 1 RETURNING times, content
"""


class RowId(NamedTuple):
    """A row's id and the digest of its content; `conflict` where its key came before with another one.

    The id is of the quick kind: Python's own takes several times as long to make.
    """

    id: uuid_utils.UUID
    content: bytes
    conflict: bool = False


class RowIds:
    """Derives a row's id from kind, content and its occurrence among equal rows, or from kind and a key.

    Occurrences are counted in a temporary database that moves from memory to disk by itself, so a file may
    be larger than memory.
    """

    def __init__(self) -> None:
        self._seen = sqlite3.connect("")  # SQLite's name for a database of one's own that is deleted on close
        self._seen.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
            "CREATE TABLE seen (name BLOB PRIMARY KEY, times INTEGER NOT NULL, content BLOB) WITHOUT ROWID;"
            "BEGIN"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._seen.close()

    def of(self, command: Command[Any], key: str | None, wire: Mapping[str, Any] | None = None) -> RowId:
        """Return the id of the next row; `wire` is what its `to_wire` gives, where it is at hand."""
        digest = command.content_digest(wire)
        content = bytes.fromhex(digest)
        if key is not None:
            name = sha256(key.encode()).digest()
            _, first = self._count(name, content)
            return RowId(
                uuid_utils.uuid5(_NAMESPACE, f"{command.kind}\nkey\n{key}"), content, first != content
            )
        times, _ = self._count(content, None)
        return RowId(uuid_utils.uuid5(_NAMESPACE, f"{command.kind}\ncontent\n{digest}\n{times}"), content)

    def _count(self, name: bytes, content: bytes | None) -> tuple[int, bytes | None]:
        [(times, first)] = self._seen.execute(_COUNT, (name[:_NAME], content)).fetchall()
        return times, first
