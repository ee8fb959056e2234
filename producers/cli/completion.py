"""`completion`: the script that has a shell complete a command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


def completion(cli: click.Group, program: str) -> click.Command:
    """Make the command that prints the script for `program`, the console script of `cli`."""

    @click.command(
        help=f"""Print the script that has a shell complete `{program}`.

        Load it where your shell starts, as in: eval "$({program} completion bash)"; for fish:
        {program} completion fish | source
        """
    )
    @click.argument("shell", type=click.Choice(_SHELLS))
    def completion(shell: str) -> None:
        kind = get_completion_class(shell)
        if kind is None:
            raise click.UsageError(f"click knows nothing of {shell}")
        variable = f"_{program}_complete".replace("-", "_").upper()
        click.echo(kind(cli, {}, program, variable).source())

    return completion
