"""The dashboard in a process of its own, served by uvicorn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

from ..logs import log
from .app import dashboard

if TYPE_CHECKING:
    from ..app import App
    from .settings import DashboardSettings

_GRACE = 2
"""Seconds that browsers which listen get to hear of the end."""


def serve(app: App, settings: DashboardSettings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    config = uvicorn.Config(
        dashboard(app, settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=_GRACE,
    )
    listening = config.bind_socket()
    listening.listen(config.backlog)  # who reads that it is started may connect
    log.info(
        "dashboard.started",
        url=f"http://{settings.host}:{listening.getsockname()[1]}{settings.base_path}/",
        queue=app.queue.name,
        writes=settings.write,
    )
    uvicorn.Server(config).run(sockets=[listening])
