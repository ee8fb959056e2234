"""/metrics, /livez and /readyz over HTTP, by a thread: it answers whatever becomes of the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ..breaker import State
from ..health import Check, NotReady
from ..logs import log
from ..settings import host_and_port
from .inspector import Inspector
from .metrics import Metrics, Source

if TYPE_CHECKING:
    from ..app import App

_JSON = "application/json"
_SLOWEST_CLIENT = 5.0
_MOST = 32
"""Requests that are answered at a time."""


@contextmanager
def serving(app: App, source: Source) -> Iterator[None]:
    """Answer at WORKER_HTTP while a block goes on.

    Raises NotReady where the address cannot be had.
    """
    address = app.options.http
    with Inspector(app) as inspector:
        try:
            server = _Server(address, _Answers(source, inspector, app.queue.name))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotReady(f"WORKER_HTTP: {address}: {reason}; choose another, or end what has it") from None
        thread = Thread(target=server.serve_forever, args=[0.1], name="http", daemon=True)
        thread.start()
        log.info("worker.http", port=server.server_port)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Answers:
    """What is answered at each path: a status, a type and a body."""

    def __init__(self, source: Source, inspector: Inspector, queue: str) -> None:
        self._source, self._inspector = source, inspector
        self._registry = CollectorRegistry()
        self._registry.register(Metrics(source, inspector, queue))

    def at(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        match path.partition("?")[0]:
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
            case "/livez":
                return _told(self._alive())
            case "/readyz":
                return _told([*self._inspector.checks(), *self._alive(), *self._at_work()])
            case _:
                known = {"paths": ["/metrics", "/livez", "/readyz"]}
                return HTTPStatus.NOT_FOUND, _JSON, json.dumps(known).encode()

    def _alive(self) -> list[Check]:
        stopped = [one.stopped for one in self._source.standings() if one.stopped]
        return [Check("progress", stopped[0] if stopped else "", "see docs/runbooks.md")]

    def _at_work(self) -> list[Check]:
        standings = self._source.standings()
        idle = "" if any(one.at_work for one in standings) else "no process takes commands"
        is_open = any(one.breaker != State.CLOSED for one in standings)
        away = "is not closed: a command met a database that is away" if is_open else ""
        return [
            Check("worker", idle, "wait until it has started; else see its log"),
            Check("breaker", away, "bring the database back: it is asked every second or two"),
        ]


def _told(checks: list[Check]) -> tuple[HTTPStatus, str, bytes]:
    well = not any(check.problem for check in checks)
    told = [
        {"name": check.name, "ok": not check.problem}
        | ({"problem": check.problem, "mend": check.mend} if check.problem else {})
        | ({"warning": check.warning, "mend": check.mend} if check.warning else {})
        for check in checks
    ]
    body = json.dumps({"ok": well, "checks": told}, indent=2) + "\n"
    return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, _JSON, body.encode()


class _Server(ThreadingHTTPServer):
    """A thread for each request: none waits for another that looks at a database."""

    daemon_threads = True
    request_queue_size = _MOST

    def __init__(self, address: str, answers: _Answers) -> None:
        self.answers = answers
        host, port = host_and_port(address)
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self._free = BoundedSemaphore(_MOST)
        super().__init__((host, port), _Request)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, where there is one left: else who asks too much is cut off."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SLOWEST_CLIENT

    def do_GET(self) -> None:  # so it is called
        self._answer()

    def do_HEAD(self) -> None:  # so it is called
        self._answer()

    def _answer(self) -> None:
        status, kind, body = self.server.answers.at(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "crud-worker"

    def log_message(self, *_: Any) -> None:
        """Log nothing: probes come every few seconds."""
