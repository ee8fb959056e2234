"""Signing in, and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..logs import log
from .board import board_of
from .guard import address, is_secret
from .sessions import COOKIE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def sign_in(request: Request) -> Response:
    """Show the form, or take what was written there: the password, or the token."""
    board = board_of(request)
    if request.method in {"GET", "HEAD"}:
        return board.to("/") if request.state.session else board.page(request, "sign_in.html", error="")
    settings, throttle, who = board.settings, board.throttle, address(request)
    async with request.form(max_files=0, max_fields=4) as form:
        given = str(form.get("secret", ""))
    # From here on nothing is waited for: many tries side by side are counted one after the other.
    if (wait := throttle.wait(who)) > 0:
        error = f"Too many wrong tries. Wait {wait:.0f} s."
        answer = board.page(request, "sign_in.html", status=429, error=error)
        answer.headers["Retry-After"] = f"{wait:.0f}"
        return answer
    by_password, by_token = is_secret(given, settings.password), is_secret(given, settings.token)
    if not (by_password or by_token):
        throttle.failed(who)
        log.warning("dashboard.refused", address=who, by="form")
        return board.page(
            request, "sign_in.html", status=401, error="That is neither the password nor the token."
        )
    throttle.succeeded(who)
    log.info("dashboard.signed_in", address=who, by="password" if by_password else "token")
    answer = board.to("/")
    answer.set_cookie(
        COOKIE,
        board.sessions.begin(),
        max_age=board.sessions.seconds,
        path=settings.base_path or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


async def sign_out(request: Request) -> Response:
    """End the session in this browser."""
    board = board_of(request)
    log.info("dashboard.signed_out", address=address(request))
    answer = board.to("/sign-in")
    answer.delete_cookie(COOKIE, path=board.settings.base_path or "/")
    return answer
