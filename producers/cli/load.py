"""`load`: a file of rows, with a progress bar."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ..load import load as load_file
from ..load.batches import OnError
from ..load.loaded import Loaded
from ..load.rows import Format, format_of
from .caller import Caller
from .output import print_result
from .progress import Watch

_SENT = ("rows", "bad", "accepted", "duplicate", "rejected")
_ANSWERED = ("applied", "dead", "unanswered")
_REJECTED, _DEAD = 3, 4


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "kind", required=True, metavar="KIND", help="The kind of command that a row becomes.")
@click.option("--wait", is_flag=True, help="Wait for every result and count them.")
@click.option(
    "--key", metavar="COLUMN", help="The column that names a row; by default its whole content does."
)
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
    on_error: OnError,
    form: Format | None,
) -> int:
    """Send each row of a CSV or JSON Lines file as one command.

    The header of a CSV names the fields; an empty cell is not set. Load a file again, and only what is new is
    added. Prints how many rows there were, and what became of them.
    """
    command = caller.command(kind)
    try:
        form = form or format_of(file)
    except ValueError as error:
        raise click.UsageError(f"{error} (--format)") from None

    async def run(watch: Watch) -> Loaded:
        async with caller.producer() as producer:
            return await load_file(
                producer,
                file,
                command,
                key=key,
                on_error=on_error,
                form=form,
                wait=wait,
                report=watch.show,
                registry=caller.registry,
            )

    with Watch(file, wait=wait) as watch:
        loaded = asyncio.run(run(watch))
    print_result({name: getattr(loaded, name) for name in (*_SENT, *(_ANSWERED if wait else ()))})
    if loaded.dead:
        return _DEAD
    return _REJECTED if loaded.rejected else 0
