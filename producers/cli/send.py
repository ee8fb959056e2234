"""`send`: a sub-command per kind, whose options are the fields of its command."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import click

from ..commands import Command
from ..errors import ResultExpired
from ..fields import Fields
from .caller import Caller
from .output import print_result, say
from .payload import payload

_FIELD = "field_"
_SECONDS = click.FloatRange(min=0)


class Kinds(click.Group):
    """The kinds of the caller's commands, as sub-commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every kind."""
        return sorted(_caller(ctx).registry)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Make the sub-command of a kind."""
        caller = _caller(ctx)
        return _sub_command(caller, caller.command(cmd_name))


class SendKind(click.Command):
    """The sub-command of one kind: its help tells its fields from the options that all kinds have."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the fields first."""
        for title, of_fields in ("Fields", True), ("Options", False):
            records = [
                record
                for param in self.get_params(ctx)
                if (param.name or "").startswith(_FIELD) is of_fields
                and (record := param.get_help_record(ctx))
            ]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


@click.command(cls=Kinds, subcommand_metavar="KIND [--FIELD VALUE ...] [JSON | -]")
def send() -> None:
    """Send one command; `send KIND --help` lists its fields."""


def _caller(ctx: click.Context) -> Caller:
    caller = ctx.find_object(Caller)
    assert caller is not None  # noqa: S101  # the group above made it
    return caller


def _sub_command(caller: Caller, command: type[Command[Any]]) -> click.Command:
    fields = Fields(command, caller.registry)
    params: list[click.Parameter] = [
        click.Argument(["json"], required=False, metavar="[JSON | -]"),
        click.Option(
            ["--null"], multiple=True, metavar="FIELD", help="Set a field to null; may be repeated."
        ),
        click.Option(["--wait"], is_flag=True, help="Wait for the result and print it."),
        click.Option(
            ["--timeout"], type=_SECONDS, help="Seconds to wait at most; without a limit by default."
        ),
        click.Option(["--command-id"], help="A UUID or any text: sent twice, the command runs once."),
        click.Option(["--delay"], type=_SECONDS, help="Seconds from now at which it is due."),
        click.Option(
            ["--ordering-key"], help="Run one after the other with all that are sent under this text."
        ),
        click.Option(["--deadline"], type=_SECONDS, help="Seconds from now after which it is not begun."),
    ]
    taken = {"help", *(param.name for param in params if isinstance(param, click.Option))}
    hidden = sorted(taken.intersection(fields))
    options = [
        click.Option(
            [f"--{name.replace('_', '-')}", f"{_FIELD}{name}"],
            metavar=field.label,
            multiple=field.is_list,
            help=field.description + ("  [required]" if field.required else ""),
        )
        for name, field in fields.items()
        if name not in taken
    ]
    return SendKind(
        command.kind,
        params=[*options, *params],
        callback=partial(_send, caller, fields),
        help=command.__dict__.get("__doc__") or "",
        epilog=f"In JSON only, as an option has this name: {', '.join(hidden)}." if hidden else None,
        context_settings={"token_normalize_func": lambda token: token.replace("_", "-")},
    )


def _send(caller: Caller, fields: Fields, /, **given: Any) -> None:
    if given["timeout"] is not None and not given["wait"]:
        message = "--timeout needs --wait"
        raise click.UsageError(message)
    options = {name: given[dest] for name in fields if given.get(dest := f"{_FIELD}{name}") not in {None, ()}}
    try:
        command = fields.command(payload(fields, given["json"], options, given["null"]))
    except ValueError as error:
        raise click.UsageError(f"{fields.of.kind}: {error}") from None
    asyncio.run(_run(caller, command, given))


async def _run(caller: Caller, command: Command[Any], given: dict[str, Any]) -> None:
    async with caller.producer() as producer:
        options = {name: given[name] for name in ("command_id", "delay", "deadline", "ordering_key")}
        receipt = await producer.send(command, **options)
        if not given["wait"]:
            print_result({"command_id": receipt.command_id, "status": receipt.status})
            return
        if sys.stderr.isatty():
            say(f"{receipt.status}: {receipt.command_id}; waiting for the result")
        try:
            print_result(await receipt.result(given["timeout"]))
        except ResultExpired as error:
            if error.summary is None:
                raise
            say(str(error))
            print_result(error.summary)
