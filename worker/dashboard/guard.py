"""The door of the dashboard: each request comes by here, and nothing behind it is seen without a session.

Also the headers that every answer bears: a browser runs no script but ours, shows it in no frame, and
keeps nothing.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from ..logs import log
from .sessions import COOKIE, Sessions
from .throttle import Throttle

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .settings import DashboardSettings

OPEN = ("/sign-in", "/static/style.css", "/static/icon.svg")
"""What is shown without a session: the form, and how it looks."""
LARGEST, LARGEST_OF_STRANGERS = 4 * 1024 * 1024, 16 * 1024
"""Bytes of a form: of who has a session a payload of the largest, encoded; of others a password."""
BEARER = "bearer"
"""The name of the session of a program: it sends its token each time, so no other site can."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: `request.state.session` is the session's name in all that it lets through."""

    def __init__(
        self, app: ASGIApp, settings: DashboardSettings, sessions: Sessions, throttle: Throttle
    ) -> None:
        self._app, self._settings = app, settings
        self._sessions, self._throttle = sessions, throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        scope = self._within(scope)
        request = Request(scope)
        refusal = self._refusal(request)
        largest = LARGEST if request.state.session else LARGEST_OF_STRANGERS
        try:
            await (refusal or self._app)(scope, _no_more_than(largest, receive), send_with_headers)
        except Exception as error:
            log.error("dashboard.failed", path=scope["path"], error=type(error).__name__, exc_info=error)
            if begun:
                raise
            failed = PlainTextResponse("the dashboard failed; its log has the traceback\n", 500)
            await failed(scope, receive, send_with_headers)

    def _within(self, scope: Scope) -> Scope:
        """Take the base path away, where the proxy has left it."""
        base, path = self._settings.base_path, scope["path"]
        inner = path.removeprefix(base) if path == base or path.startswith(f"{base}/") else path
        return {**scope, "path": inner or "/", "raw_path": None, "state": {}}

    def _refusal(self, request: Request) -> Response | None:
        request.state.session = ""
        path, base = request.scope["path"], self._settings.base_path
        if request.method not in {"GET", "HEAD"} and (refusal := self._foreign(request)) is not None:
            return refusal
        session, refusal = self._session(request)
        request.state.session = session or ""
        if refusal is not None or session is not None or path in OPEN:
            return refusal
        if request.method == "GET" and not path.startswith(("/static/", "/events")):
            return RedirectResponse(f"{base}/sign-in", status_code=303)
        return PlainTextResponse("sign in first\n", status_code=401)

    def _session(self, request: Request) -> tuple[str | None, Response | None]:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != BEARER:
            return self._sessions.read(request.cookies.get(COOKIE, "")), None
        if (wait := self._throttle.wait(address(request))) > 0:
            return None, too_many(wait)
        if is_secret(given.strip(), self._settings.token):
            return BEARER, None
        self._throttle.failed(address(request))
        log.warning("dashboard.refused", address=address(request), by="token")
        headers = {"WWW-Authenticate": "Bearer"}
        return None, PlainTextResponse("the token is not WORKER_DASHBOARD_TOKEN\n", 401, headers)

    def _foreign(self, request: Request) -> Response | None:
        """Refuse what another site has sent: a browser says where a form comes from."""
        headers = request.headers
        if "authorization" in headers and "cookie" not in headers and "origin" not in headers:
            return None  # a program, that sends its token
        site, (_, _, origin) = headers.get("sec-fetch-site"), headers.get("origin", "").partition("://")
        is_ours = site == "same-origin" if site else origin == headers.get("host", "")
        if is_ours:
            return None
        log.warning("dashboard.refused", address=address(request), by="origin")
        return PlainTextResponse(
            "refused: no page of the dashboard has sent this; behind a proxy, let it pass the Host on\n",
            status_code=403,
        )


def _no_more_than(largest: int, receive: Receive) -> Receive:
    """Receive a body up to its limit, whatever length it was said to have; what is longer answers 413."""
    left = largest

    async def received() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"What was sent is too large: {largest // 1024} KiB at most.")
        return message

    return received


def is_secret(given: str, secret: str) -> bool:
    """Whether what was given is the secret, in a time that tells nothing; never, where there is none."""
    return hmac.compare_digest(given.encode(), secret.encode()) and bool(secret)


def address(request: Request) -> str:
    """Say where a request comes from."""
    return request.client.host if request.client else "unknown"


def too_many(wait: float) -> Response:
    """Ask somebody who guesses to wait."""
    headers = {"Retry-After": f"{wait:.0f}"}
    return PlainTextResponse(f"too many wrong tries; wait {wait:.0f} s\n", 429, headers)
