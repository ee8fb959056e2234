"""The pages about failures: groups, their letters, one letter to mend, and what is done about them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from producers.errors import CommandError

from .. import failures, replay
from ..body import Body
from ..dead_letters import read_letter
from ..logs import log
from .board import Board, board_of
from .editing import Form, edited, form_of
from .guard import address
from .masking import shown_payload, shown_trace
from .search import Cursor
from .writing import Sent, sent

if TYPE_CHECKING:
    from sqlalchemy import Row
    from starlette.requests import Request
    from starlette.responses import Response

LIMIT = 100
"""Letters on a page."""
_RETRIED = 20
"""Letters that are being retried, at the end of the page of groups."""
MOST = 1000
"""Letters that are retried or dropped at once."""
_ACTIONS = {"retry": replay.replay, "drop": replay.drop}


class Chosen(NamedTuple):
    """What a person chose: letters by their ids, or the whole of a group."""

    ids: list[UUID]
    group: str = ""
    left: int = 0


async def groups(request: Request) -> Response:
    """Show what failed, by kind, error and place in the code."""
    board = board_of(request)
    tables = board.app.tables

    async def read(session: Any) -> tuple[list[failures.Group], failures.Page]:
        retried = await failures.page(session, tables, failures.RETRIED, limit=_RETRIED)
        return await failures.groups(session, tables), retried

    found = await board.ask_database(read)
    groups, retried = found.value or (None, None)
    return board.page(request, "failures.html", problems=[found.problem], groups=groups, retried=retried)


async def group(request: Request) -> Response:
    """Show the letters of a group, the latest first."""
    board, group_id = board_of(request), request.path_params["group_id"]
    tables, before = board.app.tables, Cursor.read(request.query_params.get("before", ""))
    after = failures.Cursor(*before) if before else None

    async def read(session: Any) -> tuple[failures.Group | None, failures.Page | None]:
        about = await failures.group(session, tables, group_id)
        if about is None:
            return None, None
        return about, await failures.page(session, tables, about.choice, after=after, limit=LIMIT)

    found = await board.ask_database(read)
    about, page = found.value or (None, None)
    following = str(Cursor(*page.next)) if page and page.next else ""
    return board.page(
        request,
        "group.html",
        status=200 if about or found.problem else 404,
        problems=[found.problem],
        group=about,
        letters=page.letters if page else [],
        next=following,
    )


async def letter(request: Request) -> Response:
    """Show one letter: what happened, the traceback, and the payload as a form where one may write."""
    board, command_id = board_of(request), request.path_params["command_id"]
    found = await board.ask_database(lambda session: read_letter(session, board.app.tables, command_id))
    return _letter_page(request, board, found.value, _form(board, found.value), problems=[found.problem])


async def mend(request: Request) -> Response:
    """Replay one command as a person has edited it; what the model refuses comes back as it was written."""
    board, command_id = board_of(request), request.path_params["command_id"]
    if not isinstance(written := await sent(request), Sent):
        return written
    given = {name.removeprefix("field."): text for name, text in written.given.items()}
    found = await board.ask_database(lambda session: read_letter(session, board.app.tables, command_id))
    if found.value is None:
        return _letter_page(request, board, None, Form(), problems=[found.problem])
    form, payload = edited(board.app.registry, _form(board, found.value), given)
    if not form.is_valid:
        return _letter_page(request, board, found.value, form, status=422)
    problem = await _act(board, "retry", command_id, payload=payload)
    if problem is not None:
        form.error = problem.told
        return _letter_page(request, board, found.value, form, status=409)
    _note(request, "edited and retried" if payload else "retried", command_id)
    return board.to(f"/commands/{command_id}")


async def confirm(request: Request) -> Response:
    """Ask whether it is meant: the count is to be written back."""
    board = board_of(request)
    if not isinstance(form := await sent(request), Sent):
        return form
    given, ids = form
    chosen, problem = await _chosen(board, ids, given.get("group", ""))
    action = given.get("action", "")
    if action not in _ACTIONS or problem or not chosen.ids:
        problem = problem or "Nothing was chosen: go back, and choose letters."
        return board.page(request, "error.html", status=400, problems=[], title="Not done", told=problem)
    return _confirm_page(request, board, action, chosen)


async def act(request: Request) -> Response:
    """Retry or drop what was chosen, if the count is the one that was asked for."""
    board = board_of(request)
    if not isinstance(form := await sent(request), Sent):
        return form
    given, ids = form
    action = given.get("action", "")
    chosen, problem = await _chosen(board, ids, given.get("group", ""))
    if action not in _ACTIONS or problem or not chosen.ids:
        problem = problem or "There is nothing left to do: no such letter waits for a person."
        return board.page(request, "error.html", status=409, problems=[], title="Not done", told=problem)
    if given.get("count", "").strip() != str(len(chosen.ids)):
        error = f"Write {len(chosen.ids)}: so many commands it would be now."
        return _confirm_page(request, board, action, chosen, error=error)
    done, problems, untried = [], {}, 0
    for place, command_id in enumerate(chosen.ids, 1):
        if (refusal := await _act(board, action, command_id)) is not None:
            problems[command_id] = refusal.told
            if refusal.is_away:
                untried = len(chosen.ids) - place
                break
        else:
            done.append(command_id)
            _note(request, {"retry": "retried", "drop": "dropped"}[action], command_id)
    if len(done) == 1 and not problems:
        return board.to(f"/commands/{done[0]}")
    about: dict[str, Any] = {"action": action, "done": len(done), "left": problems}
    about["more"], about["untried"] = chosen.left, untried
    return board.page(request, "done.html", problems=[], **about)


def _form(board: Board, letter: Row[Any] | None) -> Form:
    if letter is None:
        return Form()
    try:
        _, version, payload = Body.known(letter.body).sent
    except ValueError:
        return Form(error="Nobody can read this command, so it cannot be mended: drop it.")
    return form_of(board.app.registry, letter.kind, version, payload)


def _letter_page(
    request: Request,
    board: Board,
    letter: Row[Any] | None,
    form: Form,
    *,
    status: int = 200,
    problems: list[str] | None = None,
) -> Response:
    payload = None if letter is None else Body.known(letter.body).payload
    registry = board.app.registry
    return board.page(
        request,
        "letter.html",
        status=status if letter is not None or any(problems or ()) else 404,
        problems=problems or [],
        letter=letter,
        form=form,
        payload=None if letter is None else shown_payload(registry, letter.kind, payload),
        trace="" if letter is None else shown_trace(registry, letter.kind, payload, letter.traceback),
    )


def _confirm_page(request: Request, board: Board, action: str, chosen: Chosen, error: str = "") -> Response:
    status = 409 if error else 200
    return board.page(
        request, "confirm.html", status=status, problems=[], action=action, chosen=chosen, error=error
    )


async def _chosen(board: Board, ids: list[str], group_id: str) -> tuple[Chosen, str]:
    """Find what was chosen; of a group, the first so many in the order in which they were accepted."""
    if not group_id:
        try:
            return Chosen(list(dict.fromkeys(map(UUID, ids)))[:MOST]), ""
        except ValueError:
            return Chosen([]), "That is no id of a command."
    tables = board.app.tables

    async def read(session: Any) -> Chosen:
        about = await failures.group(session, tables, group_id)
        if about is None:
            return Chosen([], group_id)
        first = await failures.chosen(session, tables, about.choice, limit=MOST)
        return Chosen(first, group_id, max(0, about.size - len(first)))

    found = await board.ask_database(read)
    return found.value or Chosen([], group_id), found.problem


class Problem(NamedTuple):
    """Why something was not done; `is_away` where nothing can be done now."""

    told: str
    is_away: bool


async def _act(board: Board, action: str, command_id: UUID, **how: Any) -> Problem | None:
    """Do it; return why not, where it cannot be done."""
    try:
        found = await board.ask(partial(_ACTIONS[action], board.app, board.redis, command_id, **how))
    except CommandError as error:
        return Problem(str(error), isinstance(error, replay.NotSent))
    return Problem(found.problem, is_away=True) if found.problem else None


def _note(request: Request, action: str, command_id: UUID) -> None:
    """Log what was done, and by whom."""
    by = {"session": request.state.session[:8], "address": address(request)}
    log.info("dashboard.acted", action=action, command_id=str(command_id), **by)
