"""The worker's command line."""

from producers.cli.completion import completion

from .dashboard import dashboard
from .dead import dead
from .doctor import doctor
from .group import cli
from .operate import check, demo, migrate, why
from .queue import queue
from .refused import refused
from .run import run
from .status import status
from .tables import tables
from .verify import verify

commands = run, migrate, check, doctor, status, why, dead, queue, refused, dashboard, verify, tables, demo
for command in commands:
    cli.add_command(command)
cli.add_command(completion(cli, "crud-worker"))

__all__ = ["cli"]
