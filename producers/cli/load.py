"""`load`: a file of rows, with a progress bar."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..commands import Command
from ..commands.schema import nearest
from ..load import load as load_file
from ..load.loaded import Loaded
from ..load.outcomes import OnError
from ..load.rows import Format, format_of
from .caller import Caller
from .output import print_result
from .progress import Watch

_SENT = ("rows", "bad", "accepted", "duplicate", "rejected")
_ANSWERED = ("applied", "dead", "unanswered")
_BAD, _REJECTED, _DEAD = 2, 3, 4


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "kind", required=True, metavar="KIND", help="The kind of command that a row becomes.")
@click.option("--wait", is_flag=True, help="Wait for every result and count them.")
@click.option(
    "--key", metavar="COLUMN", help="The column that names a row; by default its whole content does."
)
@click.option("--by", metavar="FIELD", help="For an upsert: the field that finds the row.")
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="The field that a column is; COLUMN= leaves it out. May be repeated.",
)
@click.option("--ordered", is_flag=True, help="Keep rows of one key in order, with what else is sent for it.")
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the ids of what is sent are put down; by default beside the file.",
)
@click.option("--dry-run", is_flag=True, help="Read and validate every row, and send none.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What a bad row does: stop the load, or be left out.",
)
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl"]), help="By default what the suffix says."
)
@click.pass_obj
def load(
    caller: Caller,
    file: Path,
    kind: str,
    *,
    wait: bool,
    key: str | None,
    by: str | None,
    columns: tuple[str, ...],
    ordered: bool,
    ledger: Path | None,
    dry_run: bool,
    on_error: OnError,
    form: Format | None,
) -> int:
    """Send the rows of a CSV or JSON Lines file, each as one command.

    The header of a CSV names the fields; an empty cell is not set. Load a file again, and only what is new is
    added. Rows that are bad (--on-error skip), or rejected or dead (--wait), land in a file beside it, with
    their reasons: mend it, and load it. Prints how many rows there were, and what became of them.
    """
    command = caller.command(kind)
    try:
        form = form or format_of(file)
    except ValueError as error:
        raise click.UsageError(f"{error} (--format)") from None
    mapped = _mapped(columns, command)
    if by is not None and by not in getattr(command, "unique", ()):
        raise click.UsageError(f"{kind} has no rows to be found by {by!r} (--by)")

    async def run(watch: Watch) -> Loaded:
        async with caller.producer(None if dry_run else ledger or _ledger_of(file)) as producer:
            return await load_file(
                producer,
                file,
                command,
                key=key,
                by=by,
                columns=mapped,
                ordered=ordered,
                dry_run=dry_run,
                on_error=on_error,
                form=form,
                wait=wait,
                report=watch.show,
                registry=caller.registry,
            )

    with _seldom_collecting(), Watch(file, wait=wait, dry_run=dry_run) as watch:
        loaded = asyncio.run(run(watch))
    print_result({name: getattr(loaded, name) for name in (*_SENT, *(_ANSWERED if wait else ()))})
    if dry_run and loaded.bad and on_error == "stop":
        return _BAD
    if loaded.dead:
        return _DEAD
    return _REJECTED if loaded.rejected else 0


def _ledger_of(file: Path) -> Path | None:
    """Name the ledger beside a file, if it can be written there."""
    ledger = file.with_suffix(".ledger")
    if os.access(ledger if ledger.exists() else file.parent, os.W_OK):
        return ledger
    click.echo(f"{ledger} cannot be written, so there is none (--ledger FILE)", err=True)
    return None


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for cycles of garbage less often: rows come and go by the thousand, and are in none.

    It saves the load a fifth of its time.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _mapped(columns: tuple[str, ...], command: type[Command[Any]]) -> dict[str, str]:
    mapped = {}
    for text in columns:
        column, equals, field = text.partition("=")
        if not (column and equals):
            raise click.UsageError(f"{text!r} is no COLUMN=FIELD (--map)")
        if field and field not in command.model_fields:
            raise click.UsageError(f"field {nearest(field, sorted(command.model_fields))} (--map)")
        mapped[column] = field
    return mapped
