"""The dashboard as an ASGI application: which page is where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import commands, events, failures, overview, sign_in, workers
from .board import Board, board_of
from .guard import Guard

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ..app import App
    from .settings import DashboardSettings

_PATIENCE = 3.0
"""Seconds that a page waits for Redis or the database, each."""


def dashboard(app: App, settings: DashboardSettings) -> Starlette:
    """Make the dashboard of an App and its queue."""
    app.options = app.options.model_copy(update={"concurrency": 5, "commit_timeout": _PATIENCE})
    app.queue = app.queue.model_copy(update={"redis_timeout": _PATIENCE, "redis_retries": 1})
    board = Board(app, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await board.close()

    get, post = ["GET"], ["POST"]
    routes = [
        Route("/", overview.overview, methods=get),
        Route("/sign-in", sign_in.sign_in, methods=[*get, *post]),
        Route("/sign-out", sign_in.sign_out, methods=post),
        Route("/commands", commands.commands, methods=get),
        Route("/commands/{command_id:path}", commands.command, methods=get),
        Route("/entity", commands.entity, methods=get),
        Route("/workers", workers.workers, methods=get),
        Route("/failures", failures.groups, methods=get),
        Route("/failures/confirm", failures.confirm, methods=post),
        Route("/failures/act", failures.act, methods=post),
        Route("/failures/letters/{command_id:uuid}", failures.letter, methods=get),
        Route("/failures/letters/{command_id:uuid}", failures.mend, methods=post),
        Route("/failures/{group_id}", failures.group, methods=get),
        Route("/events/{page}", events.events, methods=get),
        Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
    ]
    guard = Middleware(Guard, settings=settings, sessions=board.sessions, throttle=board.throttle)
    handlers = {400: _not_taken, 404: _missing, 405: _missing, 413: _not_taken}
    made = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan)
    made.router.redirect_slashes = False  # it knows nothing of the base path
    made.state.board = board
    return made


async def _missing(request: Request, _: Exception) -> Response:
    told = "There is no such page."
    return board_of(request).page(
        request, "error.html", status=404, problems=[], title="Not found", told=told
    )


async def _not_taken(request: Request, error: Exception) -> Response:
    status, told = (error.status_code, error.detail) if isinstance(error, HTTPException) else (400, "")
    return board_of(request).page(
        request, "error.html", status=status, problems=[], title="Not taken", told=told
    )
