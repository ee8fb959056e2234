"""How times, numbers and ids are written on the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

_LONG = 30
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def span(seconds: float | None) -> str:
    """Write a span of time, in seconds, in the unit that fits: `4 ms`, `2.5 s`, `3 min`, `5.2 h`, `2 d`."""
    if seconds is None:
        return "–"  # noqa: RUF001  # a dash is what a table shows for nothing
    if seconds <= 0:
        return "0 s"
    if seconds < 0.01:  # noqa: PLR2004
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit, size in ((_MINUTE, "s", 1), (_HOUR, "min", _MINUTE), (2 * _DAY, "h", _HOUR)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / _DAY:.1f} d"


def number(value: float | None) -> str:
    """Write a number with its thousands apart."""
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def moment(at: datetime | None) -> Markup:
    """Write a time in UTC, to the second; its title has the rest."""
    if at is None:
        return Markup('<span class="none">–</span>')  # noqa: RUF001
    at = at.astimezone(UTC)
    whole = at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(at.isoformat(), whole, whole[:19])


def clock(at: datetime) -> str:
    """Write a time of the day in UTC, to the millisecond."""
    return f"{at.astimezone(UTC):%H:%M:%S}.{at.microsecond // 1000:03}"


def short(command_id: Any) -> str:
    """Write the ends of an id, by which a person tells it from others."""
    text = str(command_id)
    return f"{text[:8]}…{text[-6:]}"


def lane(name: str) -> str:
    """Write the name of a row, with a long key cut as an id is."""
    entity, _, key = name.partition(":")
    return name if len(key) < _LONG else f"{entity}:{short(key)}"


def pretty(value: Any) -> str:
    """Write JSON for a person."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


FILTERS: dict[str, Callable[..., Any]] = {
    "span": span,
    "number": number,
    "moment": moment,
    "clock": clock,
    "short": short,
    "lane": lane,
    "pretty": pretty,
}
"""By the names that the templates call them."""
