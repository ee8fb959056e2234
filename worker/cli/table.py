"""Tables that a person reads: laid out on a terminal, and plain lines of columns for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_WIDEST = 10_000  # a pipe has no edge at which to fold


def console() -> Console:
    """Where results go: stdout, whose lines are folded on a terminal and nowhere else."""
    return Console(width=None if sys.stdout.isatty() else _WIDEST, soft_wrap=False, highlight=False)


def table(*columns: str, rows: Iterable[Sequence[Any]], numbers: Sequence[str] = ()) -> Table:
    """Make a table, with a head if a column has a name; `numbers` are those that line up at the right."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    made.show_header = any(columns)
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def show(*parts: RenderableType) -> None:
    """Print to stdout, without the blanks that fill up a column."""
    out = console()
    with out.capture() as captured:
        out.print(*parts, sep="\n")
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def printable(text: str) -> str:
    """Write out what would not be seen, or would steer a terminal."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def moment(at: datetime | None) -> str:
    """Write a time for a person: UTC, to the second."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    return Text(moment(value) if isinstance(value, datetime) else printable(str(value)))
