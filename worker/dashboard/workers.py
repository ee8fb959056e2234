"""The page about worker processes: who is there, and what they have in hand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .board import Board, board_of
from .fleet import read_fleet

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def workers(request: Request) -> Response:
    """Show the processes and their leases."""
    board = board_of(request)
    return board.page(request, "workers.html", **await look(board))


async def look(board: Board) -> dict[str, Any]:
    """Find out what the page shows."""
    fleet = await board.ask(partial(read_fleet, board))
    return {"fleet": fleet.value, "problems": [fleet.problem]}
