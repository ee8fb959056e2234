"""What comes out of Redis: read without ever raising, since arq ends a job that it cannot read."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from producers.commands import Command, Registry, UnreadableCommand
from producers.signing import Opened, Refused, Signing
from producers.wire import Envelope

from .body import Body, json_of


@dataclass(slots=True)
class Received:
    """What came out of Redis. It is an argument of an arq job, and arq logs those: hence the short repr.

    `refused` says why it is nothing that a sender has made who has a key. `since` is the latest time at which
    what is signed can have been due, in ms since 1970.
    """

    body: bytes = field(repr=False)
    envelope: Envelope | None
    stamp: dict[str, Any] = field(default_factory=dict, repr=False)
    problem: str = field(default="", repr=False)
    command: Command[Any] | None = field(default=None, repr=False)
    refused: str = ""
    since: int | None = None

    @property
    def due(self) -> float:
        """When it was due, or accepted if that was later: in ms since 1970, or 0 where nobody knows."""
        return float(max(self.stamp.get("accepted", 0), self.stamp.get("due") or 0))


def deserialize(
    raw: bytes, registry: Registry | None = None, signing: Signing | None = None
) -> dict[str, Any]:
    """Read the bytes of a job, of whatever kind; the problem that there is with them is told as well.

    With a `registry` its command is made as well, if it can be: for all that come together, one after the
    other, it is quicker than for each in its turn. With `signing`, nothing is read that nobody has signed.
    """
    try:
        opened = None if signing is None else signing.opened(raw)
        received = _read(raw, registry) if opened is None else _opened(raw, opened, registry)
    except Refused as refused:
        received = Received(raw, None, refused=str(refused))
    except Exception as error:  # noqa: BLE001  # bytes can be anything
        received = Received(raw, None, problem=str(error) if isinstance(error, ValueError) else "not a job")
    enqueued = received.stamp.get("accepted", round(time.time() * 1000))
    return {"t": None, "f": "execute", "a": (received,), "k": {}, "et": enqueued}


def _read(raw: bytes, registry: Registry | None) -> Received:
    body = Body.read(raw)
    if not body.stamp:
        raise ValueError("its stamp is none")
    return _enveloped(raw, *body, registry)


def _opened(raw: bytes, opened: Opened, registry: Registry | None) -> Received:
    received = _enveloped(raw, json_of(opened.envelope), opened.stamp, registry)
    received.since = opened.since
    return received


def _enveloped(raw: bytes, envelope: Any, stamp: dict[str, Any], registry: Registry | None) -> Received:
    try:
        known = Envelope.decode(envelope)
    except ValueError as error:  # it has its place in its lanes all the same
        return Received(raw, None, stamp, str(error))
    return Received(raw, known, stamp, command=_command(known, registry))


def _command(envelope: Envelope, registry: Registry | None) -> Command[Any] | None:
    if registry is not None:
        with suppress(UnreadableCommand):  # the executor finds it out again
            return registry.revive(envelope.kind, envelope.version, envelope.payload)
    return None


def serialize(value: dict[str, Any]) -> bytes:
    """Write a job or result of arq's own as JSON; an exception as its class's name."""
    return json.dumps(value, default=lambda other: type(other).__name__).encode()
