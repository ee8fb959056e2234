"""A file of rows becomes commands: each row once, however often and in whatever order it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ..client import Producer
from ..commands import Command, Registry
from ..errors import BadRow
from ..fields import Fields
from .batches import Batches, OnError, RowCommand
from .loaded import Loaded
from .row_ids import RowIds
from .rows import Format, format_of, read_rows


async def load(
    producer: Producer,
    path: Path | str,
    command: type[Command[Any]],
    *,
    key: str | None = None,
    on_error: OnError = "stop",
    form: Format | None = None,
    wait: bool = False,
    report: Callable[[Loaded], None] | None = None,
    registry: Registry | None = None,
) -> Loaded:
    """Send each row of a CSV (its header names the fields) or JSON Lines file as one `command`.

    A row's command id derives from its content, or from its value in the column `key`: of a file that is
    loaded again only what is new is added. A bad row raises BadRow, once the rows before it are sent, or is
    skipped. A full queue is waited for and, with `wait`, so is every result; `report` is told of each step.
    `registry` makes the commands inside an Atomic.

    Raises BadRow, whose `loaded` says what was sent before, QueueUnavailable and OSError.
    """
    path = Path(path)
    limit = producer.settings.payload_limit
    fields = Fields(command, registry)
    rows = read_rows(path, fields, key=key, form=form or format_of(path), longest_cell=limit)
    batches = Batches(producer, path, on_error=on_error, wait=wait, report=report)
    with RowIds() as ids, closing(rows):
        try:
            for row in rows:
                batches.loaded.rows += 1
                batches.loaded.read = row.end
                try:
                    made = row.command(fields)
                except ValueError as error:
                    batches.refuse(row.line, str(error))
                else:
                    await batches.add(RowCommand(row.line, made, ids.of(made, row.key)))
            await batches.finish()
        except BadRow as error:
            await batches.finish()
            error.loaded = batches.loaded
            raise
    return batches.loaded
