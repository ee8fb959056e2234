"""What the caller chose for all sub-commands: the commands, the Redis and the queue."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from ..client import Producer
from ..commands import Atomic, Command, Registry
from ..commands.schema import nearest


@dataclass
class Caller:
    """The options before the sub-command."""

    commands: str
    redis_url: str | None = None
    queue: str | None = None

    @cached_property
    def registry(self) -> Registry:
        """The commands of the caller's module, and Atomic."""
        here = str(Path.cwd())
        if here not in sys.path:  # a console script does not look there by itself
            sys.path.insert(0, here)
        try:
            found = Registry.of(importlib.import_module(self.commands))
        except Exception as error:  # whatever the module of somebody else does on import
            message = f"cannot import {self.commands!r} (--commands): {type(error).__name__}: {error}"
            raise click.UsageError(message) from error
        if not found:
            message = f"{self.commands!r} (--commands) has no commands: no subclass of Command with a kind"
            raise click.UsageError(message)
        return Registry([*found.values(), Atomic])

    def command(self, kind: str) -> type[Command[Any]]:
        """Find the command of a kind."""
        if kind not in self.registry:
            message = f"kind {nearest(kind, sorted(self.registry))}"
            raise click.UsageError(message)
        return self.registry[kind]

    def producer(self, ledger: Path | None = None) -> Producer:
        """Make the producer; nothing is sent yet."""
        return Producer(self.redis_url, queue=self.queue, ledger=ledger)
