"""PostgreSQL's names for its error codes, and which columns an error is about."""

from __future__ import annotations

import re
from functools import cache

from asyncpg import exceptions

_KEY = re.compile(r"^[^(]*\(([^()]*)\)=")


@cache
def condition(sqlstate: str) -> str:
    """The condition name of a SQLSTATE, such as "unique_violation" of 23505; the code itself if it has none."""
    for error in vars(exceptions).values():
        if isinstance(error, type) and vars(error).get("sqlstate") == sqlstate:
            words = re.findall(r"[A-Z][a-z0-9]*", error.__name__.removesuffix("Error"))
            return "_".join(words).lower()
    return f"sqlstate_{sqlstate.lower()}"


def first_columns(detail: str | None) -> str | None:
    """The columns that a DETAIL names, as in "Key (username)=(ada) already exists.", without their values."""
    found = _KEY.match(detail or "")
    return found.group(1).replace('"', "") if found else None
