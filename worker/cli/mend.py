"""`dead retry` and `dead drop`: what a person does about letters, one or many."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import click
from redis.asyncio import Redis

from producers.errors import CommandError

from ..app import App
from ..replay import NotSent, replay
from ..replay import drop as drop_letter
from .choosing import Chosen, chosen_by, ids_of, many, named
from .edit import json_object
from .group import Failed, load_app, opened, settle

_all = click.option("--all", "everything", is_flag=True, help="All that wait for a person.")
_yes = click.option("--yes", is_flag=True, help="Do not ask, where many are chosen.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object for each line.")


@click.command()
@click.argument("command_ids", nargs=-1, metavar="[COMMAND_ID]...")
@click.option("--payload", metavar="JSON", help="Replay with this payload instead; '-' reads it from stdin.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=JSON",
    help="Replay with this field changed; text needs no quotes.",
)
@chosen_by
@_all
@_yes
@_json
@click.pass_obj
def retry(
    path: str,
    /,
    command_ids: tuple[str, ...],
    payload: str | None,
    changes: tuple[str, ...],
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
    **given: str | None,
) -> None:
    """Replay commands, mended if you say how; what they become is validated before anything is sent.

    Many are chosen by --group, --kind, --code, --place or --all, and go in the order of their acceptance. One
    that fails does not stop the others; the exit code is 1 then.
    """
    app, said = load_app(path), Chosen(**given)
    by_choice = many(command_ids, said, everything=everything)
    if (payload or changes) and (by_choice or len(command_ids) > 1):
        raise click.UsageError("--payload and --set mend one command at a time")
    edited = json_object(sys.stdin.read() if payload == "-" else payload, "--payload") if payload else None

    async def act(redis: Redis, command_id: UUID) -> None:
        await replay(app, redis, command_id, payload=edited, changes=_changes(changes))

    ids = _asked(app, said, "replay", yes=yes) if by_choice else named(command_ids)
    _each(app, ids, act, "retrying", as_json=as_json)


@click.command()
@click.argument("command_ids", nargs=-1, metavar="[COMMAND_ID]...")
@chosen_by
@_all
@_yes
@_json
@click.pass_obj
def drop(
    path: str,
    /,
    command_ids: tuple[str, ...],
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
    **given: str | None,
) -> None:
    """Give commands up for good; each ends as `dropped`, and what stands behind it goes on.

    Many are chosen by --group, --kind, --code, --place or --all. One that fails does not stop the others; the
    exit code is 1 then.
    """
    app, said = load_app(path), Chosen(**given)
    by_choice = many(command_ids, said, everything=everything)

    async def act(redis: Redis, command_id: UUID) -> None:
        await drop_letter(app, redis, command_id)

    ids = _asked(app, said, "drop", yes=yes) if by_choice else named(command_ids)
    _each(app, ids, act, "dropped", as_json=as_json)


def _asked(app: App, said: Chosen, verb: str, *, yes: bool) -> list[UUID]:
    """Find the letters that are chosen; say how many there are, and ask whether they are meant."""

    async def work() -> list[UUID]:
        async with opened(app):
            return await ids_of(app, said)

    ids = settle(work())
    if not ids:
        click.echo("no letters", err=True)
    elif not yes:
        click.confirm(f"{verb} {len(ids)} command{'s' if len(ids) > 1 else ''}?", abort=True, err=True)
    return ids


def _each(
    app: App, ids: list[UUID], act: Callable[[Redis, UUID], Awaitable[None]], state: str, *, as_json: bool
) -> None:
    """Do it to each; one that fails is told and does not stop the others, unless Redis does not take it."""

    async def work() -> bool:
        well = True
        async with opened(app) as redis:
            for done, command_id in enumerate(ids):
                try:
                    await act(redis, command_id)
                except CommandError as error:
                    well = False
                    _tell(command_id, "failed", as_json=as_json, code=error.code, message=error.message)
                    if isinstance(error, NotSent) and len(ids) - done > 1:
                        raise Failed(
                            f"Redis takes none now: the last {len(ids) - done - 1} were not tried"
                        ) from None
                else:
                    _tell(command_id, state, as_json=as_json)
        return well

    if not settle(work()):
        sys.exit(1)


def _tell(command_id: UUID, state: str, *, as_json: bool, **why: str) -> None:
    if as_json:
        click.echo(json.dumps({"command_id": str(command_id), "state": state, **why}))
    elif why:
        click.echo(f"crud-worker: {why['message']}", err=True)
    else:
        click.echo(f"{command_id}  {state}")


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
