"""`python -m producers`: its options, its sub-commands, and what its exit codes say."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from .cli.caller import Caller
from .cli.completion import completion
from .cli.load import load
from .cli.output import say
from .cli.send import send
from .errors import (
    BadRow,
    CommandConflict,
    CommandDead,
    CommandError,
    CommandParked,
    CommandRejected,
    CommandSuperseded,
    DurabilityUnconfirmed,
    InvalidSettings,
    MultipleFound,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    QueueUnavailable,
    ResultExpired,
    ResultTimeout,
)
from .exporting import CannotExport, export

EXIT_CODES: dict[type[CommandError], int] = {
    BadRow: 2,
    InvalidSettings: 2,
    PayloadTooLarge: 2,
    CommandConflict: 3,
    CommandRejected: 3,
    CommandSuperseded: 3,
    NotFound: 3,
    MultipleFound: 3,
    CommandDead: 4,
    CommandParked: 4,
    ResultExpired: 5,
    ResultTimeout: 5,
    DurabilityUnconfirmed: 6,
    QueueFull: 6,
    QueueUnavailable: 6,
}
_INTERRUPTED = 130


@click.group(
    epilog="Exit codes: 0 accepted or applied, 2 usage, 3 rejected, 4 dead, 5 timeout, 6 unavailable."
)
@click.option(
    "--commands",
    metavar="MODULE",
    envvar="PRODUCER_COMMANDS",
    show_envvar=True,
    default="producers.commands",
    show_default=True,
    help="The module that has the commands.",
)
@click.option("--redis-url", metavar="URL", help="By default $REDIS_URL.")
@click.option("--queue", metavar="NAME", help="By default $QUEUE_NAME.")
@click.pass_context
def producers(ctx: click.Context, commands: str, redis_url: str | None, queue: str | None) -> None:
    """Send CRUD commands to the queue; the worker applies each exactly once."""
    ctx.obj = Caller(commands, redis_url, queue)
    try:
        export("crud-producer")
    except CannotExport as error:
        say(f"no traces: {error}")


producers.add_command(send)
producers.add_command(load)
producers.add_command(completion(producers, "crud-producer"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = producers.main(arguments, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CommandError as error:
        say(_explain(error))
        return EXIT_CODES.get(type(error), 1)
    return code if isinstance(code, int) else 0


def _explain(error: CommandError) -> str:
    about = {"field": error.field, "command id": error.command_id}
    told = ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)
    return f"{error.code}: {error}" + (f" ({told})" if told else "")


if __name__ == "__main__":
    sys.exit(main())
