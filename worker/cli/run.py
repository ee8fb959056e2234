"""`run`: one worker process, or several."""

from __future__ import annotations

import sys

import click

from producers.errors import CommandError

from ..app import App
from ..health import ensure_ready
from .group import Failed, load_app, opened, settle


@click.command()
@click.option("--processes", type=click.IntRange(min=1), default=1, help="Worker processes.")
@click.option(
    "--concurrency", type=click.IntRange(min=1), help="Commands side by side in each; $WORKER_CONCURRENCY."
)
@click.option("--burst", is_flag=True, help="Stop when the queue is empty.")
@click.pass_obj
def run(path: str, processes: int, concurrency: int | None, *, burst: bool) -> None:
    """Run workers until SIGTERM or Ctrl-C; then what runs may finish. A second signal hands it back."""
    app = load_app(path)
    if concurrency is not None:
        app.options = app.options.model_copy(update={"concurrency": concurrency})
    if processes > 1:
        from ..supervisor import Supervisor  # noqa: PLC0415  # one process needs none

        settle(_ready(app))  # else each of them would say it, again and again
        options = [f"--concurrency={app.options.concurrency}", *(["--burst"] if burst else [])]
        command = [sys.executable, "-m", "worker", "--app", path, "run", *options]
        sys.exit(Supervisor(command, processes, restart=not burst).run())
    from ..process import run as run_worker  # noqa: PLC0415  # arq and uvloop are for this command alone

    try:
        run_worker(app, burst=burst)
    except CommandError as error:
        raise Failed(str(error)) from None


async def _ready(app: App) -> None:
    async with opened(app) as redis:
        await ensure_ready(app, redis)
