"""The pages about commands: the search, one command, one row."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from producers.wire import command_uuid

from ..tables import ENDINGS, ENTITY_LENGTH
from ..why import Why
from .board import Known, board_of
from .masking import shown_payload, shown_result
from .record import Record, read_queued, read_rows
from .search import Cursor, Search, search

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ..why import Place
    from .board import Board

_PLACES = 20
"""Commands of a lane that are shown."""


async def commands(request: Request) -> Response:
    """Show commands that have ended, newest first; an id leads to its command."""
    board, asked = board_of(request), request.query_params
    if given := asked.get("id", "").strip():
        return board.to(f"/commands/{command_uuid(given)}")
    given_words = {name: asked.get(name, "").strip() for name in ("kind", "ending", "entity")}
    wanted = Search(
        kind=given_words["kind"] or None,
        ending=given_words["ending"] or None,
        entity=given_words["entity"] or None,
        before=Cursor.read(asked.get("before", "")),
    )
    found = await board.ask_database(lambda session: search(session, board.app.tables, wanted))
    following = found.value.next if found.value else None
    return board.page(
        request,
        "commands.html",
        problems=[found.problem],
        results=found.value,
        wanted=wanted,
        kinds=sorted(board.app.registry),
        endings=ENDINGS,
        next=urlencode({**_without_empty(given_words), "before": str(following)}) if following else "",
    )


async def command(request: Request) -> Response:
    """Show one command: its timeline, its payload and its result, without personal values."""
    board = board_of(request)
    command_id = command_uuid(request.path_params["command_id"])
    rows = await board.ask_database(lambda session: read_rows(session, board, command_id))
    queued = await board.ask(partial(read_queued, board, command_id))
    record = Record(command_id, rows.value, queued.value)
    problems = [rows.problem, queued.problem]
    return board.page(
        request,
        "command.html",
        status=200 if record.is_known or any(problems) else 404,
        problems=problems,
        record=record,
        payload=shown_payload(board.app.registry, record.kind, record.payload),
        result=shown_result(board.app.registry, record.kind, record.result, record.payload),
    )


async def entity(request: Request) -> Response:
    """Show one row: the commands before it now, and those about it that have ended."""
    board = board_of(request)
    name = request.query_params.get("name", "").strip()
    if not name:
        return board.to("/commands")
    wanted = Search(entity=name[:ENTITY_LENGTH], before=Cursor.read(request.query_params.get("before", "")))
    found = await board.ask_database(lambda session: search(session, board.app.tables, wanted))
    lane = await _lane(board, name)
    following = found.value.next if found.value else None
    return board.page(
        request,
        "entity.html",
        problems=[found.problem, lane.problem],
        name=name,
        results=found.value,
        length=lane.value[0] if lane.value else 0,
        places=lane.value[1] if lane.value else None,
        next=urlencode({"name": name, "before": str(following)}) if following else "",
    )


async def _lane(board: Board, name: str) -> Known[tuple[int, list[Place]]]:
    async def read() -> tuple[int, list[Place]]:
        async with board.app.sessions() as session:  # which connects only to tell of a dead one
            return await Why(board.app, board.redis, session).lane(name, _PLACES)

    return await board.ask(read)


def _without_empty(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}
