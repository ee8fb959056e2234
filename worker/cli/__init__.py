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
from .schema import schema
from .status import status
from .tables import tables
from .verify import verify

_INSPECTING = (check, doctor, status, why, dead, queue, refused, verify, dashboard)
for command in (run, migrate, schema, tables, demo, *_INSPECTING):
    cli.add_command(command)
cli.add_command(completion(cli, "crud-worker"))

__all__ = ["cli"]
