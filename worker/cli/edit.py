"""`dead edit`: a failed command in an editor."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click

from producers.commands.hiding import restored
from producers.commands.personal import hidden
from producers.wire import command_uuid

from ..app import App
from ..replay import editable, fetch, replay
from .group import Failed, load_app, log_revealed, opened, settle


@click.command()
@click.argument("command_id")
@click.pass_obj
def edit(path: str, command_id: str) -> None:
    """Mend a command in $EDITOR, as JSON, and replay it; what it becomes is validated first.

    Personal fields are shown there, which is logged; secrets are not, and stay as they are if you leave them.
    """
    app, given = load_app(path), command_uuid(command_id)

    async def read() -> tuple[str, dict[str, Any]]:
        async with opened(app), app.sessions() as session:
            letter = await fetch(session, app, given)
            return letter.kind, editable(app, letter)

    kind, payload = settle(read())
    log_revealed(given, kind)
    before = hidden(app.registry.get(kind), payload, app.registry, reveal=True)
    text = json.dumps(before, indent=2, ensure_ascii=False) + "\n"
    while True:
        typed = click.edit(text, extension=".json")
        if typed is None or typed == text:
            click.echo("nothing was changed, and nothing is sent", err=True)
            return
        text = typed
        try:
            edited = json_object(text, "the payload")
            if edited == before:
                click.echo("nothing was changed, and nothing is sent", err=True)
                return
            settle(_sent(app, given, _restored(edited, before, payload)))
        except Failed as error:
            error.show()
            click.confirm("edit it again?", default=True, abort=True, err=True)
        else:
            click.echo(f"{given}  retrying")
            return


def _restored(edited: dict[str, Any], before: Any, payload: Any) -> dict[str, Any]:
    try:
        whole: dict[str, Any] = restored(edited, before, payload)
    except ValueError as error:
        raise Failed(f"the payload: {error}") from None
    return whole


async def _sent(app: App, command_id: UUID, payload: dict[str, Any]) -> None:
    async with opened(app) as redis:
        await replay(app, redis, command_id, payload=payload)


def json_object(text: str, what: str) -> dict[str, Any]:
    """Read an object of fields that a person wrote; `what` names where it stood."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Failed(f"{what}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise Failed(f"{what}: must be a JSON object of fields")
    return value
