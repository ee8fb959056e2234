"""Signatures of envelopes: who has no key cannot make a command, nor change one that is on its way.

Bytes are signed, and checked before any of them are parsed: the queue that they are for, the envelope (id,
kind, version, generation, payload), and its terms: its lanes, the rows it refers to, when it is due and when
it is too late as its sender said, and when it was signed.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from time import time as _now
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic_core import from_json, to_json

from .wire import FORMAT

if TYPE_CHECKING:
    from .settings import QueueSettings

_LABEL = b"crud-worker envelope"
_HEAD = b'{"t":null,"f":"execute","k":{},"a":['
_STAMP_BEGINS = b',{"accepted":'
_STAMP = re.compile(
    rb',\{"accepted":(\d{1,15}),"due":(\d{1,15}),"deadline":(null|\d{1,15})'
    rb'(,"asked":.*),"mac":"([\w-]{43})"\}\],"et":\1\}',
    re.DOTALL,
)
"""What enqueue.lua writes behind an envelope: no space, no order and no field is other than there."""


class Refused(Exception):
    """The bytes of a job are nothing that a sender with a key has made; the message is the reason."""


class Opened(NamedTuple):
    """What was found to be signed: the envelope's bytes, and its stamp.

    `since` is when it can have been due at the latest (ms since 1970): had it been accepted as it was signed.
    """

    envelope: bytes
    stamp: dict[str, Any]
    since: int


@dataclass(frozen=True, slots=True)
class Signing:
    """Signs for one queue with the first of its keys, and knows what is signed with any of them."""

    keys: tuple[bytes, ...]
    queue: bytes
    is_required: bool

    @classmethod
    def of(cls, settings: QueueSettings) -> Self | None:
        """Read the keys of a queue; None where it has none."""
        keys = tuple(key.strip().encode() for key in settings.signing_keys.split(",") if key.strip())
        return cls(keys, settings.name.encode(), settings.signing_required) if keys else None

    def signed(self, envelope: str, asked: str, stamp: str) -> str:
        """Sign an envelope and its terms: what its stamp has besides, and the times that are asked for."""
        terms = f',"asked":"{asked}","signed":{round(_now() * 1000)}{stamp}'
        mac = self._mac(self.keys[0], envelope.encode(), terms.encode())
        return f'{terms},"mac":"{mac.decode()}"'

    def opened(self, job: bytes) -> Opened | None:
        """Check the bytes of a job before any of them are read; raise Refused.

        None where it is not signed, and need not be.
        """
        begins = job.rfind(_STAMP_BEGINS)
        found = _STAMP.fullmatch(job, begins) if begins > 0 and job.startswith(_HEAD) else None
        if found is None:
            if self.is_required:
                raise Refused("unsigned")
            return None
        accepted, due, deadline, terms, mac = found.groups()
        envelope = job[len(_HEAD) : begins]
        if not any(hmac.compare_digest(mac, self._mac(key, envelope, terms)) for key in self.keys):
            raise Refused("bad_signature")
        stamp = from_json(b"{" + terms[1:] + b"}")
        times = _times(stamp["asked"], int(accepted))
        if [due, deadline] != [to_json(time) for time in times]:
            raise Refused("bad_times")
        stamp |= {"accepted": int(accepted), "due": times.due, "deadline": times.deadline}
        since, _ = _times(stamp["asked"], min(int(accepted), stamp["signed"]))
        return Opened(envelope, stamp, since)

    def _mac(self, key: bytes, envelope: bytes, terms: bytes) -> bytes:
        parts = (_LABEL, b"%d" % FORMAT, self.queue, terms, envelope)
        text = b"".join([b"%d:%b" % (len(part), part) for part in parts])
        return base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")).rstrip(b"=")


class _Times(NamedTuple):
    due: int
    deadline: int | None


def _times(asked: str, accepted: int) -> _Times:
    """Say when it is due and when it is too late, as enqueue.lua did when it was accepted."""

    def at(text: str) -> int:
        return accepted + int(text[1:]) if text.startswith("+") else int(text)

    starts, _, ends = asked.partition(" ")
    return _Times(max(1, at(starts)), at(ends) if ends else None)
