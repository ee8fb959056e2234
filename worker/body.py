"""The bytes of a job as a producer has them written: an envelope, and the stamp of its acceptance."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, NamedTuple

from pydantic_core import from_json

from producers.wire import END_OF_TIME


class Body(NamedTuple):
    """What is in the bytes of a job: an envelope that nobody has checked yet, and its stamp.

    Each is empty where the bytes hold none; so are the parts of an envelope where it has none.
    """

    envelope: dict[str, Any]
    stamp: dict[str, Any]

    @classmethod
    def read(cls, raw: bytes) -> Body:
        """Read the bytes of a job; raise ValueError with what is wrong."""
        match json_of(raw):
            case {"f": "execute", "a": [envelope, *rest]}:
                stamp = rest[0] if len(rest) == 1 and _is_stamp(rest[0]) else {}
                return cls(envelope if isinstance(envelope, dict) else {}, stamp)
            case {"f": "execute"}:
                raise ValueError("no envelope in it")
            case {"f": str(name)}:
                raise ValueError(f"{name[:100]!r} is not a function of this worker")
            case _:
                raise ValueError("JSON, but not a job")

    @classmethod
    def known(cls, raw: bytes | None) -> Body:
        """Read what can be read of the bytes of a job, which may be none."""
        with suppress(ValueError):
            return cls.read(raw or b"")
        return cls({}, {})

    @property
    def kind(self) -> str:
        """The kind of the command; "" where nobody knows."""
        return str(self.envelope.get("kind", ""))

    @property
    def payload(self) -> Any:
        """The payload as it came; None where nobody can read it."""
        return self.envelope.get("payload")

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes that the command stood in when it came."""
        return tuple(self.stamp.get("lanes", ()))

    @property
    def sent(self) -> tuple[str, int, dict[str, Any]]:
        """Kind, version and payload, as a registry takes them; raise ValueError where they are none."""
        try:
            return self.kind, int(self.envelope["version"]), dict(self.payload)
        except (LookupError, TypeError, OverflowError):
            raise ValueError("no command in it") from None


def written(envelope: str) -> bytes:
    """Write the bytes of a job that never was in Redis, of the JSON of its envelope."""
    return f'{{"t":null,"f":"execute","k":{{}},"a":[{envelope},{{}}],"et":0}}'.encode()


def json_of(raw: bytes) -> Any:
    """Read JSON; raise ValueError."""
    with suppress(ValueError):
        return from_json(raw)
    try:  # it reads what UTF-8 cannot hold, such as half of an emoji
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _is_stamp(value: Any) -> bool:
    match value:
        case {"accepted": int(at)} if 0 <= at <= END_OF_TIME:
            times = [value.get("due"), value.get("deadline")]
            names = [value.get("lanes", []), value.get("refs", [])]
        case _:
            return False
    return all(time is None or isinstance(time, int) for time in times) and all(
        isinstance(some, list) and all(isinstance(name, str) for name in some) for some in names
    )
