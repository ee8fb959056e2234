"""`run`: one worker process, or several."""

from __future__ import annotations

import sys

import click

from producers.errors import CommandError

from ..app import App
from ..health import ensure_ready
from ..settings import host_and_port
from .group import Failed, load_app, opened, settle


@click.command()
@click.option("--processes", type=click.IntRange(min=1), default=1, help="Worker processes.")
@click.option(
    "--concurrency", type=click.IntRange(min=1), help="Commands side by side in each; $WORKER_CONCURRENCY."
)
@click.option("--burst", is_flag=True, help="Stop when the queue is empty.")
@click.option("--http", metavar="HOST:PORT", help="Serve /metrics, /livez and /readyz; $WORKER_HTTP.")
@click.option("--report-to", type=int, hidden=True)
@click.pass_obj
def run(
    path: str,
    processes: int,
    concurrency: int | None,
    http: str | None,
    report_to: int | None,
    *,
    burst: bool,
) -> None:
    """Run workers until SIGTERM or Ctrl-C; then what runs may finish. A second signal hands it back."""
    app = load_app(path)
    given = {"concurrency": concurrency, "http": _checked(http)}
    update = {name: value for name, value in given.items() if value is not None}
    app.options = app.options.model_copy(update=update)
    try:
        if processes > 1:
            sys.exit(_supervise(app, path, processes, burst=burst))
        from ..process import run as run_worker  # noqa: PLC0415  # arq and uvloop are for this command alone

        run_worker(app, burst=burst, report_to=report_to)
    except CommandError as error:
        raise Failed(str(error)) from None


def _supervise(app: App, path: str, processes: int, *, burst: bool) -> int:
    """Run several processes; what they report is served here."""
    from ..monitoring.reports import Reports  # noqa: PLC0415  # one process needs none of it
    from ..supervisor import Supervisor  # noqa: PLC0415  # as above

    settle(_ready(app))  # else each of them would say it, again and again
    options = [f"--concurrency={app.options.concurrency}", "--http=", *(["--burst"] if burst else [])]
    command = [sys.executable, "-m", "worker", "--app", path, "run", *options]
    reports = Reports()
    supervisor = Supervisor(command, processes, reports, restart=not burst)
    if not app.options.http:
        return supervisor.run()
    from ..monitoring.endpoint import serving  # noqa: PLC0415  # as above

    with serving(app, reports):
        return supervisor.run()


def _checked(http: str | None) -> str | None:
    try:
        if http:
            host_and_port(http)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--http") from None
    return http


async def _ready(app: App) -> None:
    async with opened(app) as redis:
        await ensure_ready(app, redis)
