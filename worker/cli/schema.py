"""`schema`: keep the JSON schemas of all payloads in a file, and see that no change breaks what was sent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..schemas import breaks, encode, schemas_of
from .group import Failed, import_app

_file = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default="schemas.json",
    help="Where they are kept.",
)


@click.group()
def schema() -> None:
    """Keep the schemas of payloads, and check that what was sent before can still be read."""


@schema.command()
@_file
@click.option("--force", is_flag=True, help="Also where commands that were sent before cannot be read then.")
@click.pass_obj
def export(path: str, file: Path, *, force: bool) -> None:
    """Write the schemas of today to the file; those of older versions stay in it."""
    app, kept = import_app(path), _read(file)
    if not force and (found := [*breaks(app.registry, kept)]):
        _refuse(found)
    file.write_text(encode(schemas_of(app.registry, kept)))
    click.echo(f"{file}: {len(app.registry)} kinds")


@schema.command()
@_file
@click.pass_obj
def check(path: str, file: Path) -> None:
    """Fail where an older producer's or a queued command could not be read, or the file is not current."""
    app = import_app(path)
    if not file.exists():
        raise Failed(f"{file} is not there; run `python -m worker schema export --file {file}`")
    kept = _read(file)
    if found := [*breaks(app.registry, kept)]:
        _refuse(found)
    if schemas_of(app.registry, kept) != kept:
        raise Failed(
            f"{file} is not current, though nothing is broken; run "
            f"`python -m worker schema export --file {file}`"
        )
    click.echo(f"{file}: {len(app.registry)} kinds, as they were")


def _refuse(found: list[str]) -> None:
    for finding in found:
        click.echo(finding, err=True)
    sys.exit(1)


def _read(file: Path) -> dict[str, dict[str, Any]]:
    if not file.exists():
        return {}
    try:
        kept = json.loads(file.read_text())
        if all(int(version) > 0 for versions in kept.values() for version in versions):
            return dict(kept)
    except (ValueError, TypeError, AttributeError):
        pass
    raise Failed(f"{file} is no file of schemas; restore it, or remove it and run `schema export`")
