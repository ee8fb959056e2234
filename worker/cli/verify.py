"""`verify`: whether anything was lost."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from uuid import UUID

import click

from ..verify import Verified
from ..verify import verify as compare
from .group import load_app, opened, settle


@click.command()
@click.option(
    "--ledger",
    "ledgers",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A ledger of what was sent; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def verify(path: str, ledgers: tuple[Path, ...], *, as_json: bool) -> None:
    """Look whether every write that was accepted has an ending or is on its way; name those that are lost.

    Exit 1 where one is lost.
    """
    app = load_app(path)

    def tell(command_id: UUID) -> None:
        click.echo(f"lost {command_id}", err=as_json)

    async def work() -> Verified:
        async with opened(app) as redis:
            return await compare(app, redis, ledgers, tell)

    found = settle(work())
    counted = {"accepted": found.accepted, "unanswered": found.unanswered, "outbox": found.outbox}
    if as_json:
        click.echo(json.dumps({**counted, "refused": found.refused, "lost": found.lost}))
    else:
        if not ledgers:
            click.echo("direct sends cannot be checked without a ledger (--ledger FILE)")
        for name, counts in counted.items():
            click.echo(f"{name:<11}{counts.total()}: {_told(counts)}")
        click.echo(f"{'refused':<11}{found.refused}")
        click.echo(f"{'lost':<11}{found.lost}")
    sys.exit(1 if found.lost else 0)


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "none"
