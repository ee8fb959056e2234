"""What comes out of Redis: read without ever raising, since arq ends a job that it cannot read."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from producers.wire import Envelope

_END_OF_TIME = 253_402_300_799_999
"""The last millisecond that a datetime holds: past it arq itself would fail, and the worker with it."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came out of Redis. It is an argument of an arq job, and arq logs those: hence the short repr."""

    body: bytes = field(repr=False)
    envelope: Envelope | None
    stamp: dict[str, Any] = field(default_factory=dict, repr=False)
    problem: str = field(default="", repr=False)


def deserialize(raw: bytes) -> dict[str, Any]:
    """Read the bytes of a job, of whatever kind; the problem that there is with them is told as well."""
    try:
        received = _read(raw)
    except Exception as error:  # noqa: BLE001  # bytes can be anything
        received = Received(raw, None, problem=str(error) if isinstance(error, ValueError) else "not a job")
    enqueued = received.stamp.get("accepted", round(time.time() * 1000))
    return {"t": None, "f": "execute", "a": (received,), "k": {}, "et": enqueued}


def _read(raw: bytes) -> Received:
    try:
        job = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    match job:
        case {"f": "execute", "a": [envelope, {"accepted": int(at)} as stamp]}:
            others = stamp.get("due"), stamp.get("deadline")
            if not (0 <= at <= _END_OF_TIME and all(isinstance(time, int | None) for time in others)):
                raise ValueError("its times are none")
            return Received(raw, Envelope.decode(envelope), stamp)
        case {"f": "execute"}:
            raise ValueError("no envelope in it")
        case {"f": str(name)}:
            raise ValueError(f"{name[:100]!r} is not a function of this worker")
        case _:
            raise ValueError("JSON, but not a job")


def serialize(value: dict[str, Any]) -> bytes:
    """Write a job or result of arq's own as JSON; an exception as its class's name."""
    return json.dumps(value, default=lambda other: type(other).__name__).encode()
