"""The worker's command line."""

from .dead import dead
from .group import cli
from .operate import check, demo, migrate, status, why
from .queue import queue
from .refused import refused
from .run import run
from .schema import schema
from .tables import tables
from .verify import verify

for command in (run, migrate, check, status, why, dead, queue, refused, verify, schema, tables, demo):
    cli.add_command(command)

__all__ = ["cli"]
