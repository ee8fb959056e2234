"""A file of rows becomes commands: each row once, however often and in whatever order it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ..client import Producer
from ..commands import Command, Registry
from ..errors import BadRow
from ..fields import Fields
from .batches import Batches
from .bulk import RowCommand
from .columns import Columns
from .loaded import Loaded
from .outcomes import OnError, Outcomes
from .rejects import Rejects
from .row_ids import RowIds
from .rows import Format, Row, format_of, read_rows

_CONFLICT = "its key came before in this file, with other content"
_STEP = 1000


async def load(
    producer: Producer,
    path: Path | str,
    command: type[Command[Any]],
    *,
    key: str | None = None,
    by: str | None = None,
    columns: Mapping[str, str] | None = None,
    on_error: OnError = "stop",
    form: Format | None = None,
    wait: bool = False,
    dry_run: bool = False,
    ordered: bool = False,
    report: Callable[[Loaded], None] | None = None,
    registry: Registry | None = None,
) -> Loaded:
    """Send the rows of a CSV (its header names the fields) or JSON Lines file, each as one `command`.

    Where the command has an import (`Command.imported_by`), rows go a thousand at a time, in one transaction,
    each judged by itself. A row's id derives from its content, or from its value in the column `key`: of a
    file that is loaded again only what is new is added; rows that were refused are tried again. `by` is for
    an upsert: the field that finds the row. `columns` says which field a column is, "" for none.

    A bad row raises BadRow, once the rows before it are sent, or is skipped. A full queue is waited for and,
    with `wait`, so is every result. Rows that came to nothing go into a file beside the input
    (`Loaded.rejects`). Rows keep no order, with each other or with what else is sent, unless they are
    `ordered`: then those of one key do. `report` is told of each step. With `dry_run` all rows are read, and
    none is sent. `registry` makes the commands inside an Atomic.

    Raises BadRow, whose `loaded` says what was sent before, QueueUnavailable and OSError.
    """
    path, form = Path(path), form or format_of(Path(path))
    fields = Fields(command, registry)
    if by is not None:
        fields.check("by")
    of_columns = Columns(fields, columns, key)
    rows = read_rows(path, of_columns, form=form, longest_cell=producer.settings.payload_limit)
    loaded = Loaded(size=path.stat().st_size)
    with RowIds() as ids, closing(rows), Rejects(path, form, of_columns) as rejects:
        outcomes = Outcomes(path, loaded, on_error=on_error, rejects=rejects)
        if dry_run:
            outcomes = Outcomes(path, loaded, on_error="skip")
        report = report or (lambda _: None)
        batches = Batches(producer, outcomes, command, wait=wait, ordered=ordered, report=report)
        try:
            for command_of_row in _commands(rows, fields, ids, outcomes, by=by):
                if not dry_run:
                    await batches.add(command_of_row)
                elif loaded.rows % _STEP == 0:
                    batches.report()
            await batches.finish()
        except BadRow as error:
            await batches.finish()
            error.loaded = loaded
            raise
    return loaded


def _commands(
    rows: Iterable[Row], fields: Fields, ids: RowIds, outcomes: Outcomes, *, by: str | None
) -> Iterator[RowCommand]:
    """Make the command of each row; count the rows that are none."""
    for row in rows:
        outcomes.loaded.rows += 1
        outcomes.loaded.read = row.end
        try:
            if by is not None:
                row.values.setdefault("by", by)
            made = row.command(fields)
        except ValueError as error:
            outcomes.bad(row.line, row.source, str(error))
            continue
        wire = made.to_wire()
        identified = ids.of(made, row.key, wire)
        if identified.conflict:
            outcomes.add(row.line, row.source, "rejected", _CONFLICT)
        else:
            yield RowCommand(row.line, made, wire, identified.id, identified.content, row.source)
