"""`dead`: read the commands that failed, mend and replay them, or drop them for good."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

import click
from redis.asyncio import Redis
from sqlalchemy import Row

from producers.wire import command_uuid

from ..app import App
from ..dead_letters import WAITING
from ..failures import Choice, page
from ..replay import drop as drop_letter
from ..replay import fetch, payload_of, replay
from ..tables import DEAD_LETTER_STATES
from .group import Failed, load_app, opened, settle

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object for each line.")


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
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, help="Most letters to list, the latest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def list_(path: str, states: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """List the letters, without what may hold values."""
    app = load_app(path)

    async def work() -> list[Row[Any]]:
        async with opened(app), app.sessions() as session:
            choice = Choice(states=states or WAITING)
            return (await page(session, app.tables, choice, limit=limit)).letters

    letters = settle(work())
    for letter in letters:
        if as_json:
            click.echo(json.dumps(_plain(letter)))
        else:
            about = f"{letter.state:<9} {letter.kind or '?':<20} {letter.code}: {letter.message}"
            click.echo(f"{letter.command_id}  {about}")
    if not letters:
        click.echo("no letters", err=True)


@dead.command()
@click.argument("command_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(path: str, command_id: str, *, as_json: bool) -> None:
    """Show one letter whole: the command as it came, and the traceback."""
    app = load_app(path)

    async def work() -> Row[Any]:
        async with opened(app), app.sessions() as session:
            return await fetch(session, app, command_uuid(command_id))

    letter = settle(work())
    body = letter.body.decode(errors="backslashreplace")
    shown = _plain(letter) | {"payload": payload_of(letter.body), "body": body}
    if as_json:
        click.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        if name not in {"traceback", "payload", "body"}:
            click.echo(f"{name:<12} {value}")
    payload = json.dumps(shown["payload"], indent=2)
    click.echo(f"body         {letter.body!r}" if shown["payload"] is None else f"payload      {payload}")
    click.echo(letter.traceback)


@dead.command()
@click.argument("command_ids", nargs=-1, required=True, metavar="COMMAND_ID...")
@click.option("--payload", metavar="JSON", help="Replay with this payload instead; '-' reads it from stdin.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=JSON",
    help="Replay with this field changed; text needs no quotes.",
)
@_as_json
@click.pass_obj
def retry(
    path: str, command_ids: tuple[str, ...], payload: str | None, changes: tuple[str, ...], *, as_json: bool
) -> None:
    """Replay commands, mended if you say how; what they become is validated before anything is sent."""
    app = load_app(path)
    if (payload or changes) and len(command_ids) > 1:
        raise click.UsageError("--payload and --set mend one command at a time")
    edited = _json(sys.stdin.read() if payload == "-" else payload, "--payload") if payload else None

    async def work(redis: Redis) -> None:
        for given in command_ids:
            await replay(app, redis, command_uuid(given), payload=edited, changes=_changes(changes))
            _say(given, "retrying", as_json=as_json)

    settle(_with_redis(app, work))


@dead.command()
@click.argument("command_ids", nargs=-1, required=True, metavar="COMMAND_ID...")
@_as_json
@click.pass_obj
def drop(path: str, command_ids: tuple[str, ...], *, as_json: bool) -> None:
    """Give commands up for good; each ends as `dropped`."""
    app = load_app(path)

    async def work(redis: Redis) -> None:
        for given in command_ids:
            await drop_letter(app, redis, command_uuid(given))
            _say(given, "dropped", as_json=as_json)

    settle(_with_redis(app, work))


def _say(given: str, state: str, *, as_json: bool) -> None:
    told = {"command_id": str(command_uuid(given)), "state": state}
    click.echo(json.dumps(told) if as_json else f"{given}  {state}")


async def _with_redis(app: App, work: Any) -> None:
    async with opened(app) as redis:
        await work(redis)


def _plain(letter: Row[Any]) -> dict[str, Any]:
    values = {name: value for name, value in letter._mapping.items() if name != "body"}  # noqa: SLF001  # a Row's mapping is public
    return {
        name: value
        if value is None or isinstance(value, int | str)
        else (str(value) if isinstance(value, UUID) else value.isoformat())
        for name, value in values.items()
    }


def _changes(given: tuple[str, ...]) -> dict[str, Any]:
    changes = {}
    for change in given:
        name, equals, text = change.partition("=")
        if not equals:
            raise Failed(f"--set {change}: write FIELD=VALUE")
        try:
            changes[name] = json.loads(text)
        except ValueError:
            changes[name] = text
    return changes


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Failed(f"{option}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise Failed(f"{option}: must be a JSON object of fields")
    return value
