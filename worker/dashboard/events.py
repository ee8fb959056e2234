"""The live parts of pages, as server-sent events: drawn here, put in place by the browser.

Everybody who looks at a page hears the same drawing of it: however many look, it is made once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, StreamingResponse

from ..logs import log
from . import overview, workers
from .board import Board, board_of
from .guard import BEARER
from .sessions import COOKIE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Look = Callable[[Board], Awaitable[dict[str, Any]]]

EVERY = 2.0
"""Seconds between two drawings."""
MOST = 100
"""Browsers that may listen at once."""
_ALIVE = 15.0
_LIVE: dict[str, Look] = {"overview": overview.look, "workers": workers.look}
"""The pages with a live part, `_NAME.html`, and how what it shows is found out."""


class Drawings:
    """The latest drawing of each live part, made anew for who asks once it is old."""

    def __init__(self) -> None:
        self.listening = 0
        self._made: dict[str, tuple[float, str]] = {}
        self._one = asyncio.Lock()

    async def latest(self, request: Request, page: str) -> str:
        """Return the drawing of a page's live part, at most as old as the time between two."""
        async with self._one:
            at, text = self._made.get(page, (0.0, ""))
            if not text or time.monotonic() - at >= EVERY * 0.9:
                board = board_of(request)
                text = board.drawn(request, f"_{page}.html", **await _LIVE[page](board))
                self._made[page] = time.monotonic(), text
            return text


async def events(request: Request) -> Response:
    """Stream the drawings of a page until the browser leaves, or its session is over."""
    page, drawings = request.path_params["page"], _drawings(request)
    if page not in _LIVE:
        return PlainTextResponse("there is no such live part\n", 404)
    if drawings.listening >= MOST:
        return PlainTextResponse("too many browsers listen\n", 503, {"Retry-After": "30"})
    headers = {"X-Accel-Buffering": "no"}  # nginx hands each event on at once
    return StreamingResponse(
        _stream(request, drawings, page), media_type="text/event-stream", headers=headers
    )


async def _stream(request: Request, drawings: Drawings, page: str) -> AsyncIterator[str]:
    told, at = "", time.monotonic()
    drawings.listening += 1
    try:
        yield f"retry: {EVERY * 1000:.0f}\n\n"
        while _may_listen(request):
            text = await drawings.latest(request, page)
            if text != told:
                told, at = text, time.monotonic()
                yield _event("draw", text)
            elif time.monotonic() - at > _ALIVE:
                at = time.monotonic()
                yield ": alive\n\n"
            await asyncio.sleep(EVERY)
        yield _event("over", "the session is over")
    except Exception as error:  # noqa: BLE001  # the answer has begun: there is no other page to show
        log.error("dashboard.failed", path=request.scope["path"], error=type(error).__name__, exc_info=error)
        yield _event("over", "the dashboard failed; load the page again")
    finally:
        drawings.listening -= 1


def _may_listen(request: Request) -> bool:
    if request.state.session == BEARER:
        return True
    return board_of(request).sessions.read(request.cookies.get(COOKIE, "")) is not None


def _event(name: str, text: str) -> str:
    data = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{data}\n"


def _drawings(request: Request) -> Drawings:
    state = request.app.state
    if not hasattr(state, "drawings"):
        state.drawings = Drawings()
    drawings: Drawings = state.drawings
    return drawings
