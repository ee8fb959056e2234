"""What all commands share: which App they are about, and how an error reaches the terminal."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from producers.connection import connect
from producers.errors import CommandError, InvalidSettings

from .. import tracing
from ..app import App
from ..logs import configure, log
from ..retry import classify
from ..sqlstates import sqlstate_of

T = TypeVar("T")
EXAMPLE_APP = "worker.main:app"


class Failed(click.ClickException):
    """An error that is told in one line."""

    def show(self, file: Any = None) -> None:
        """Print it to stderr."""
        click.echo(f"crud-worker: {self.message}", file=file or sys.stderr)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--app",
    "path",
    default=EXAMPLE_APP,
    envvar="WORKER_APP",
    metavar="MODULE:NAME",
    help="The App to serve; $WORKER_APP.",
)
@click.pass_context
def cli(context: click.Context, path: str) -> None:
    """Carry out the commands that producers send."""
    context.obj = path


def load_app(path: str) -> App:
    """Import the App that MODULE:NAME names, and read its settings."""
    app = import_app(path)
    try:
        configure(app.options)
        _ = app.queue
    except InvalidSettings as error:
        raise Failed(str(error)) from None
    tracing.begin()
    return app


def import_app(path: str) -> App:
    """Import the App that MODULE:NAME names; the current folder is looked in first."""
    module, _, name = path.partition(":")
    if not module or module.startswith("."):
        raise Failed(f"--app {path!r}: write MODULE:NAME, such as {EXAMPLE_APP}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        raise Failed(
            f"--app {path}: there is no module {error.name!r} here or among what is installed"
        ) from None
    except InvalidSettings as error:  # an `app.worker_settings` in that module reads them
        raise Failed(str(error)) from None
    app = getattr(found, name or "app", None)
    if not isinstance(app, App):
        what = "there is no such name" if app is None else f"that is a {type(app).__name__}"
        raise Failed(f"--app {path}: {what}, and it must be a worker.app.App")
    return app


def settle(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; what goes wrong outside of us is told in a line, and our own bugs with a traceback."""
    try:
        return asyncio.run(work)
    except CommandError as error:
        raise Failed(str(error)) from None
    except RedisError as error:
        raise Failed(f"Redis: {type(error).__name__}; see `python -m worker check`") from None
    except Exception as error:
        if not isinstance(error, SQLAlchemyError | OSError) and sqlstate_of(error) is None:
            raise
        failure = classify(error)
        if failure.sqlstate == "42P01":
            raise Failed("the database is not migrated; run `python -m worker migrate`") from None
        raise Failed(
            f"database: {failure.error_class}: {failure.message}; see `python -m worker check`"
        ) from None


@asynccontextmanager
async def opened(app: App) -> AsyncIterator[Redis]:
    """Give a Redis client, and close it and the engine at the end."""
    redis = connect(app.queue, Redis)
    try:
        yield redis
    finally:
        await redis.aclose()
        await app.close()


def log_revealed(command_id: UUID, kind: str) -> None:
    """Log that somebody is shown what a letter says of a person."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        user = str(os.getuid())
    log.warning("letter.revealed", command_id=str(command_id), kind=kind, user=user)
