"""`tables`: create or drop the App's tables without migrations, for learning and tests."""

from __future__ import annotations

import click
from sqlalchemy import MetaData

from ..app import App
from .group import Failed, load_app, opened, settle


@click.group()
def tables() -> None:
    """Create or drop the App's own tables from its models, without migrations; for learning and tests."""


@tables.command()
@click.pass_obj
def create(path: str) -> None:
    """Create the tables that are not there."""
    app = load_app(path)
    settle(_act(app, _metadata(app).create_all))
    click.echo(f"created: {', '.join(_metadata(app).tables)}")


@tables.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def drop(path: str, *, yes: bool) -> None:
    """Drop the tables and all that is in them."""
    app = load_app(path)
    names = ", ".join(_metadata(app).tables)
    if not yes:
        click.confirm(f"drop {names} and all their rows?", abort=True, err=True)
    settle(_act(app, _metadata(app).drop_all))
    click.echo(f"dropped: {names}")


def _metadata(app: App) -> MetaData:
    if app.metadata is None:
        raise Failed("this App was made without metadata=...; its tables are yours to create")
    return app.metadata


async def _act(app: App, action: object) -> None:
    async with opened(app), app.engine.begin() as connection:
        await connection.run_sync(action)  # type: ignore[arg-type]  # create_all and drop_all take the connection first
