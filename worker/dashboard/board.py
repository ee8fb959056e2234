"""What all pages have in common: the App, its Redis, how they are asked, and how a page is drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import HTMLResponse, RedirectResponse

from producers.connection import connect
from producers.errors import QueueUnavailable
from producers.wire import Keys

from ..failure import Cause
from ..retry import classify
from ..sqlstates import sqlstate_of
from . import words
from .sessions import Sessions
from .throttle import Throttle

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from starlette.requests import Request
    from starlette.responses import Response

    from ..app import App
    from .settings import DashboardSettings

T = TypeVar("T")


class Known(NamedTuple, Generic[T]):
    """What was asked for; or None, and the `problem` that there is."""

    value: T | None
    problem: str = ""


class Board:
    """One dashboard: of one App and queue."""

    def __init__(self, app: App, settings: DashboardSettings) -> None:
        self.app, self.settings, self.keys = app, settings, Keys(app.queue.name)
        self.redis = connect(app.queue, Redis)
        self.sessions, self.throttle = Sessions(settings), Throttle()
        self._pages = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters |= words.FILTERS
        self._pages.globals |= {"base": settings.base_path, "queue": app.queue.name, "writes": settings.write}

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()
        await self.app.close()

    async def ask(self, read: Callable[[], Awaitable[T]]) -> Known[T]:
        """Ask Redis or the database, or both; one that does not answer is a problem to tell, not an error."""
        try:
            return Known(await read())
        except Exception as error:
            if (problem := _problem(error)) is None:
                raise
            return Known(None, problem)

    async def ask_database(self, read: Callable[[AsyncSession], Awaitable[T]]) -> Known[T]:
        """Ask the database, in a transaction that only reads."""

        async def within() -> T:
            async with self.app.transaction(read_only=True) as session:
                return await read(session)

        return await self.ask(within)

    def page(self, request: Request, template: str, /, *, status: int = 200, **context: Any) -> Response:
        """Draw a page."""
        return HTMLResponse(self.drawn(request, template, **context), status)

    def drawn(self, request: Request, template: str, /, **context: Any) -> str:
        """Draw a page, or a part of one, as text; a problem that is told twice is told once."""
        session = request.state.session
        context["problems"] = list(dict.fromkeys(filter(None, context.get("problems", ()))))
        about = {"path": request.scope["path"], "session": session, "now": datetime.now(UTC)}
        form_word = self.sessions.form_word(session) if session else ""
        return self._pages.get_template(template).render(**about, form_word=form_word, **context)

    def to(self, path: str) -> Response:
        """Send the browser to another page."""
        return RedirectResponse(f"{self.settings.base_path}{path}", status_code=303)


def board_of(request: Request) -> Board:
    """Return the dashboard that a request is for."""
    board: Board = request.app.state.board
    return board


def _problem(error: Exception) -> str | None:
    """Say who does not answer; None for a bug of ours."""
    if isinstance(error, RedisError | QueueUnavailable):
        return _problem_of_redis(error)
    if not isinstance(error, SQLAlchemyError | OSError) and sqlstate_of(error) is None:
        return None
    failure = classify(error)
    if failure.sqlstate == "42P01":
        return "The database is not migrated: run `python -m worker migrate`."
    if failure.sqlstate and failure.cause not in {Cause.AWAY, Cause.SLOW}:
        return (
            f"The database refused ({failure.error_class}, SQLSTATE {failure.sqlstate}). "
            "Is it migrated as this code is (`python -m worker migrate`), and has this user the rights?"
        )
    return (
        f"The database does not answer ({failure.error_class}). "
        "What only it knows is missing here; commands wait in Redis until it is back."
    )


def _problem_of_redis(error: Exception) -> str:
    name = type(error).__name__
    if any(isinstance(one, ResponseError | AuthenticationError) for one in (error, error.__context__)):
        return f"Redis refused ({name}). Has the user in REDIS_URL the rights, as docs/security.md has them?"
    return f"Redis does not answer ({name}). What only Redis knows is missing here."
