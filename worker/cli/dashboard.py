"""`dashboard`: the queue, its workers and its failures in a browser."""

from __future__ import annotations

import click

from producers.errors import InvalidSettings

from .group import Failed, load_app


@click.command()
@click.option("--host", help="The address to listen on; $WORKER_DASHBOARD_HOST, or 127.0.0.1.")
@click.option("--port", type=int, help="The port; $WORKER_DASHBOARD_PORT, or 8080.")
@click.option(
    "--base-path", help="The path that a reverse proxy shows it under; $WORKER_DASHBOARD_BASE_PATH."
)
@click.option("--write", is_flag=True, help="Let who signs in retry, mend and drop; $WORKER_DASHBOARD_WRITE.")
@click.pass_obj
def dashboard(path: str, host: str | None, port: int | None, base_path: str | None, *, write: bool) -> None:
    """Show the queue in a browser, to who signs in with WORKER_DASHBOARD_PASSWORD or _TOKEN."""
    app = load_app(path)
    try:
        from ..dashboard.server import serve  # noqa: PLC0415  # it needs the extra [dashboard]
        from ..dashboard.settings import DashboardSettings  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise Failed(
            f"the dashboard needs {missing.name}; run: pip install 'crud-worker[worker,dashboard]'"
        ) from None
    given = {"host": host, "port": port, "base_path": base_path, "write": write or None}
    try:
        settings = DashboardSettings.load(**given)
    except InvalidSettings as error:
        raise Failed(str(error)) from None
    serve(app, settings)
