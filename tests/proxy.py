"""A TCP proxy that misbehaves on request, to put between a client and a server."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from worker.demo.loopback import HOST, free_port


class Way(Enum):
    """Which way bytes travel."""

    REQUEST = "client to server"
    REPLY = "server to client"


@dataclass
class Watch:
    """Something to do once, when bytes of a kind come by; `seen` is set when it was done."""

    predicate: Callable[[Way, bytes], bool]
    action: Callable[[], object]
    seen: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy:
    """Forwards connections to `host`:`port` from a port of its own, which stays the same.

    `cut` the connections there are, `refuse` new ones, `blackhole` all bytes or `pause_replies` only until
    `resume`. `on_bytes` does one of these at an exact moment: before the bytes it waits for are passed on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self.host = HOST
        self.port = free_port()
        self._listener: socket.socket | None = None
        self.delay: Callable[[], float] | None = None
        """Seconds by which each packet is late; None for not at all."""
        self._open = {way: asyncio.Event() for way in Way}
        self._watches: list[Watch] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._failures: list[Exception] = []

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def accept(self) -> None:
        """Take new connections."""
        if self._listener is None:
            self._listener = socket.create_server((self.host, self.port))
            self._listener.settimeout(0)
            asyncio.get_running_loop().add_reader(self._listener, self._take, self._listener)

    def refuse(self) -> None:
        """Refuse new connections; the ones there are go on."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def lead_to(self, port: int) -> None:
        """Lead to another server of the same host from now on; the connections there are come to an end."""
        self._upstream = (self._upstream[0], port)
        self.cut()

    def cut(self) -> None:
        """Close all connections at once; what was not passed on is lost."""
        for writer in self._writers:
            writer.transport.abort()

    def blackhole(self) -> None:
        """Accept connections and bytes, and pass nothing on."""
        for gate in self._open.values():
            gate.clear()

    def pause_replies(self) -> None:
        """Pass requests on, and hold the replies."""
        self._open[Way.REPLY].clear()

    def resume(self) -> None:
        """Pass on what was held, and everything after it."""
        for gate in self._open.values():
            gate.set()

    def on_bytes(
        self, predicate: Callable[[Way, bytes], bool], action: Callable[[], object]
    ) -> asyncio.Event:
        """Call `action` once, at the first bytes that `predicate` names, before they are passed on.

        Replies that come after a COMMIT are seen here while the client still waits: with `proxy.cut` as the
        action, the server has committed and the client will never be told. `predicate` gets what one read
        gave, so it should look for something short.
        """
        watch = Watch(predicate, action)
        self._watches.append(watch)
        return watch.seen

    def _take(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = listener.accept()
            connection = asyncio.create_task(self._serve(client))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _serve(self, client: socket.socket) -> None:
        client.settimeout(0)
        reader, writer = await asyncio.open_connection(sock=client)
        writers = {writer}
        self._writers.add(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream)
            writers.add(upstream_writer)
            self._writers.add(upstream_writer)
            await self._both(
                self._pass(Way.REQUEST, reader, upstream_writer),
                self._pass(Way.REPLY, upstream_reader, writer),
            )
        except OSError:
            pass  # a client sees what it would see without us: its connection closed
        except Exception as error:  # noqa: BLE001 -- a test's own predicate or action; raised on leaving
            self._failures.append(error)
        finally:
            for each in writers:
                each.close()
                with suppress(OSError):
                    await each.wait_closed()
            self._writers -= writers

    async def _both(self, *directions: Coroutine[Any, Any, None]) -> None:
        """Pass bytes both ways until one side is gone."""
        tasks = [asyncio.create_task(direction) for direction in directions]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _pass(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            for watch in [each for each in self._watches if each.predicate(way, data)]:
                self._watches.remove(watch)
                watch.action()
                watch.seen.set()
            await self._open[way].wait()
            if self.delay is not None:
                await asyncio.sleep(self.delay())
            if writer.transport.is_closing():
                return
            writer.write(data)
            await writer.drain()

    async def __aenter__(self) -> Self:
        self.resume()
        self.accept()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.refuse()
        self.resume()
        while self._connections:  # one that was taken a moment ago can only be cut a moment later
            self.cut()
            await asyncio.wait(self._connections, timeout=0.05)
        if self._failures and error is None:
            raise self._failures[0]
