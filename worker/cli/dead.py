"""`dead`: what failed, by groups and one by one; mend.py has what is done about it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click
from sqlalchemy import Row

from producers.commands.personal import hidden
from producers.wire import command_uuid

from ..body import Body
from ..dead_letters import WAITING
from ..failures import RETRIED, Group, Page, groups, page
from ..replay import fetch
from ..tables import DEAD_LETTER_STATES
from .choosing import Chosen, chosen_by
from .edit import edit
from .group import load_app, log_revealed, opened, settle
from .mend import drop, retry
from .table import printable, show, table


@click.group()
def dead() -> None:
    """Read, mend, replay and drop the commands that failed."""


@dead.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(DEAD_LETTER_STATES),
    help="All that wait by default.",
)
@chosen_by
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, help="Most letters to list, the latest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def list_(path: str, /, states: tuple[str, ...], limit: int, *, as_json: bool, **given: str | None) -> None:
    """List the letters, the latest first, without what may hold values."""
    app = load_app(path)

    async def work() -> Page:
        async with opened(app), app.sessions() as session:
            choice = (await Chosen(**given).choice(session, app)).narrowed(states=states or WAITING)
            return await page(session, app.tables, choice, limit=limit)

    letters, more = settle(work())
    if as_json:
        for letter in letters:
            click.echo(json.dumps(_plain(letter)))
    elif letters:
        columns = "command", "state", "kind", "code", "message", "died (UTC)"
        rows = [
            (one.command_id, one.state, one.kind or "?", one.code, one.message, one.died_at)
            for one in letters
        ]
        show(table(*columns, rows=rows))
    if not letters:
        click.echo("no letters", err=True)
    if more:
        click.echo(f"and more: these are the latest {limit}; --limit shows as many as you say", err=True)


@dead.command("groups")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def groups_(path: str, *, as_json: bool) -> None:
    """Count the letters that wait for a person, by kind, error and place in the code."""
    app = load_app(path)

    async def work() -> tuple[list[Group], bool]:
        async with opened(app), app.sessions() as session:
            retried = await page(session, app.tables, RETRIED, limit=1)
            return await groups(session, app.tables), bool(retried.letters)

    found, is_retrying = settle(work())
    if as_json:
        for one in found:
            times = {"first_at": one.first_at.isoformat(), "last_at": one.last_at.isoformat()}
            click.echo(json.dumps({"group": one.id, **one._asdict(), **times}))
    elif found:
        columns = "group", "letters", "kind", "code", "error", "place", "first (UTC)", "last (UTC)"
        show(table(*columns, rows=[(one.id, one.size, *_about(one)) for one in found], numbers=["letters"]))
    else:
        click.echo("no letters wait", err=True)
    if is_retrying:
        click.echo("and some are being retried: `dead list --state retrying`", err=True)


def _about(group: Group) -> tuple[Any, ...]:
    return group.kind or "?", group.code, group.error_class, group.place or "-", group.first_at, group.last_at


@dead.command("show")
@click.argument("command_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--reveal",
    is_flag=True,
    help="Show personal fields, and bytes that nobody can read; it is logged. Secrets stay hidden.",
)
@click.pass_obj
def show_(path: str, command_id: str, *, as_json: bool, reveal: bool) -> None:
    """Show one letter whole: the command, with personal fields hidden, and the traceback."""
    app = load_app(path)

    async def work() -> Row[Any]:
        async with opened(app), app.sessions() as session:
            return await fetch(session, app, command_uuid(command_id))

    letter = settle(work())
    if reveal:
        log_revealed(letter.command_id, letter.kind)
    payload = Body.known(letter.body).payload
    shown = _plain(letter) | {
        "payload": payload and hidden(app.registry.get(letter.kind), payload, app.registry, reveal=reveal)
    }
    if payload is None:
        shown["body"] = repr(letter.body) if reveal else f"{len(letter.body)} bytes, shown by --reveal"
    if as_json:
        click.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        if name not in {"traceback", "payload"}:
            click.echo(f"{name:<12} {'-' if value is None or value == '' else printable(str(value))}")
    if payload is not None:
        click.echo(f"{'payload':<12} {json.dumps(shown['payload'], indent=2)}")
    click.echo("\n".join(map(printable, letter.traceback.splitlines())))


for command in (retry, edit, drop):
    dead.add_command(command)


def _plain(letter: Row[Any]) -> dict[str, Any]:
    values = {name: value for name, value in letter._mapping.items() if name != "body"}  # noqa: SLF001  # a Row's mapping is public
    return {
        name: value
        if value is None or isinstance(value, int | str)
        else (str(value) if isinstance(value, UUID) else value.isoformat())
        for name, value in values.items()
    }
