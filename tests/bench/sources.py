"""Which code was measured: a table of two versions of it is worth nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

_FOLDERS = ("producers", "worker")
_KINDS = {".py", ".lua"}


def digest() -> str:
    """Return a short name of the sources as they are now."""
    found = hashlib.sha256()
    for folder in _FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in _KINDS:
                found.update(str(path).encode() + path.read_bytes())
    return found.hexdigest()[:12]
