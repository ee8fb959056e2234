"""Cursors: where a page ended, as text that its reader need not understand."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from .schema import Column


def encode(order: Sequence[str], values: Sequence[Any]) -> str:
    """Write down the order and the values that its terms have in the last row."""
    told = json.dumps([list(order), to_jsonable_python(list(values))], separators=(",", ":"))
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def decode(text: str, order: Sequence[str], columns: Sequence[Column]) -> tuple[Any, ...]:
    """Return the values again; raise ValueError where the cursor is broken, or is that of another order."""
    try:
        told = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        of, values = told
        if of == list(order):
            pairs = zip(columns, values, strict=True)
            return tuple(None if value is None else column.parse(value) for column, value in pairs)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        message = "cursor: it is not the next_cursor of a page"
        raise ValueError(message) from None
    message = "cursor: it belongs to a list in another order; give the same order_by and fields"
    raise ValueError(message)
