"""Forms that a person sends: what each has to have is leave to write, and the word of its session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..logs import log
from .board import board_of
from .guard import BEARER, LARGEST, address

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_READ_ONLY = (
    "This dashboard only shows. To retry, mend and drop here, start it with --write "
    "(WORKER_DASHBOARD_WRITE); or use `python -m worker dead`."
)
_MOST_FIELDS = 1100
"""Fields of a form: the ids of as many letters as are acted upon at once, and some."""
_OLD_FORM = "This form is of another session: go back, load the page again, and send it once more."


class Sent(NamedTuple):
    """What a form has: a text by each name, and the ids that were ticked."""

    given: dict[str, str]
    ids: list[str]


async def sent(request: Request) -> Sent | Response:
    """Read a form; return the page that says why nothing is done, where it may not be."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=LARGEST) as form:
        given = {name: str(value) for name, value in form.items()}
        ids = [str(value) for value in form.getlist("id")]
    return _refused(request, given) or Sent(given, ids)


def _refused(request: Request, form: Mapping[str, str]) -> Response | None:
    """Return the page that says why nothing is done; None where it may be."""
    board, session = board_of(request), request.state.session
    if not board.settings.write:
        told = _READ_ONLY
    elif session != BEARER and not board.sessions.is_form_word(session, form.get("form_word", "")):
        told = _OLD_FORM
    else:
        return None
    log.warning("dashboard.refused", address=address(request), by="form", path=request.scope["path"])
    return board.page(request, "error.html", status=403, problems=[], title="Not done", told=told)
